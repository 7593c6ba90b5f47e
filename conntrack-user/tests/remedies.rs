//! Every command that a remedy names exists: `ctdrop` understands its own, and the
//! sysctls are the kernel's. The scenario `incident` runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::IpAddr;

use conntrack_user::{
    cli::Command,
    incident::{Netns, Remedy, Service, commands, words},
};

/// Sysctls that a remedy may write: `Documentation/networking/nf_conntrack-sysctl.rst`
/// and `ip-sysctl.rst`, the same from 4.12 to 7.3.
const SYSCTLS: [&str; 17] = [
    "net.ipv4.tcp_syncookies",
    "net.netfilter.nf_conntrack_generic_timeout",
    "net.netfilter.nf_conntrack_gre_timeout",
    "net.netfilter.nf_conntrack_gre_timeout_stream",
    "net.netfilter.nf_conntrack_icmp_timeout",
    "net.netfilter.nf_conntrack_icmpv6_timeout",
    "net.netfilter.nf_conntrack_tcp_loose",
    "net.netfilter.nf_conntrack_tcp_timeout_close",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_fin_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_last_ack",
    "net.netfilter.nf_conntrack_tcp_timeout_syn_recv",
    "net.netfilter.nf_conntrack_tcp_timeout_syn_sent",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
    "net.netfilter.nf_conntrack_udp_timeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream",
];

fn remedies() -> Vec<Remedy> {
    let v4: IpAddr = "192.0.2.7".parse().unwrap();
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    let mut remedies = vec![
        Remedy::RaiseLimit,
        Remedy::RaiseBuckets,
        Remedy::LookWho,
        Remedy::LookFlows,
        Remedy::StopOwner {
            owner: "docker/web".to_owned(),
            entries: 3,
        },
        Remedy::KeepOutUnreplied { entries: 3 },
        Remedy::DoNotTrack { service: None },
        Remedy::Synproxy,
        Remedy::DropForged,
        Remedy::LocalResolver,
        Remedy::NatAddresses,
        Remedy::FreeMemory,
    ];
    let timeouts = SYSCTLS
        .iter()
        .filter_map(|name| name.strip_prefix("net.netfilter.nf_conntrack_"))
        .filter(|name| name.contains("timeout"));
    remedies.extend(timeouts.map(|timeout| Remedy::ShortenTimeout {
        timeout,
        from: 432_000,
        to: 7440,
        entries: 3,
    }));
    for address in [v4, v6] {
        remedies.extend([
            Remedy::LookSource { source: address },
            Remedy::DropSource { source: address },
            Remedy::DeleteSource {
                source: address,
                owner: None,
                entries: 3,
            },
        ]);
        for protocol in [1, 6, 17, 58, 253] {
            let service = Service {
                address,
                protocol,
                port: 53,
            };
            remedies.extend([
                Remedy::DoNotTrack {
                    service: Some(service),
                },
                Remedy::DeleteService {
                    service,
                    owner: None,
                    entries: 3,
                },
            ]);
        }
    }
    remedies
}

/// Each remedy that there is has to be in the list above.
const fn is_listed(remedy: &Remedy) {
    match remedy {
        Remedy::RaiseLimit
        | Remedy::RaiseBuckets
        | Remedy::LookWho
        | Remedy::LookFlows
        | Remedy::ShortenTimeout { .. }
        | Remedy::LookSource { .. }
        | Remedy::DeleteSource { .. }
        | Remedy::DeleteService { .. }
        | Remedy::StopOwner { .. }
        | Remedy::KeepOutUnreplied { .. }
        | Remedy::DropSource { .. }
        | Remedy::DoNotTrack { .. }
        | Remedy::Synproxy
        | Remedy::DropForged
        | Remedy::LocalResolver
        | Remedy::NatAddresses
        | Remedy::FreeMemory => {}
    }
}

fn namespaces() -> Vec<(Netns, Vec<&'static str>)> {
    let netns = |name: &str, enter: Option<&str>| Netns {
        inode: Some(4_026_532_000),
        name: name.to_owned(),
        is_host: name == "host",
        enter: enter.map(ToOwned::to_owned),
        ..Netns::default()
    };
    vec![
        (netns("host", Some("")), vec![]),
        (Netns::of_tree(), vec![]),
        (
            netns("blue", Some("ip netns exec blue ")),
            vec!["ip", "netns", "exec", "blue"],
        ),
        (
            netns("docker/0123456789ab", Some("nsenter -t 7 -n ")),
            vec!["nsenter", "-t", "7", "-n"],
        ),
        (netns("sleep[7]", None), vec![]),
    ]
}

#[test]
fn every_command_of_a_remedy_exists() {
    for (netns, enter) in namespaces() {
        for remedy in remedies() {
            is_listed(&remedy);
            for command in commands::commands(&remedy, &netns) {
                let line: Vec<&str> = command.split_whitespace().collect();
                if line[0] == "ctdrop" {
                    let read = Command::read(&line);
                    assert!(read.is_ok(), "{command}: {:?}", read.err());
                    continue;
                }
                let line = line.strip_prefix(enter.as_slice());
                check(&command, line.unwrap_or_else(|| panic!("{command}")));
            }
        }
    }
}

fn check(command: &str, line: &[&str]) {
    match line {
        ["sysctl", "-w", setting] => {
            let (name, value) = setting.split_once('=').unwrap();
            assert!(SYSCTLS.contains(&name), "{command}");
            assert!(value.parse::<u32>().is_ok(), "{command}");
        }
        ["conntrack", "-D", options @ ..] => {
            for pair in options.chunks(2) {
                match pair {
                    ["-s" | "-d", address] => assert!(address.parse::<IpAddr>().is_ok()),
                    ["-f", family] => assert_eq!(*family, "ipv6"),
                    ["-p", protocol] => assert!(!protocol.is_empty()),
                    ["--dport", port] => assert!(port.parse::<u16>().is_ok()),
                    _ => panic!("{command}"),
                }
            }
        }
        _ => panic!("no test knows {command}"),
    }
}

#[test]
fn every_remedy_says_what_and_how() {
    for (netns, _) in namespaces() {
        for remedy in remedies() {
            let said = [words::what(&remedy), words::how(&remedy, &netns)];
            assert!(said.iter().all(|text| !text.is_empty()), "{remedy:?}");
        }
    }
}

#[test]
fn an_option_that_does_not_exist_is_found_out() {
    assert!(Command::read(["ctdrop", "who", "--by", "flow"]).is_err());
    assert!(Command::read(["ctdrop", "who", "--sort", "src"]).is_err());
}

#[test]
fn every_command_of_the_overview_exists() {
    let source = include_str!("../src/commands/overview/next.rs");
    let literals = source.split('"').skip(1).step_by(2);
    let commands: Vec<&str> = literals.filter(|it| it.contains("ctdrop ")).collect();
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands {
        match Command::read(command.split(' ')) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.exit_code(), 0, "{command}: {error}"),
        }
    }
}
