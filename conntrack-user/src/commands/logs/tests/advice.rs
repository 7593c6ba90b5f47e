//! Advice for the kind of host that wrote the lines, as far as they show it. The host names are
//! replaced.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{FULL, in_2012, read_files};
use crate::{
    commands::logs::{report::LogReport, text},
    input::progress::Silent,
    kernel::netns::called::Netns,
    logs::read::{reader::Reader, request::Request},
};

/// The codes and the steps.
fn advice(log: &str) -> (Vec<String>, String) {
    let (report, _) = read_files(&[("messages", log.as_bytes())], &in_2012());
    let advice = report["advice"].as_array().unwrap();
    let codes = advice
        .iter()
        .map(|one| one["code"].as_str().unwrap().to_owned());
    let all = advice.iter().map(ToString::to_string).collect();
    (codes.collect(), all)
}

#[test]
fn advice_names_only_files_that_the_host_has() {
    let enterprise = ["IPTABLES_SYSCTL_LOAD_LIST", "iptables-config", "EL6", "EL7"];
    for (log, named, not_named) in [
        (
            // OpenWrt, logread.
            "Thu Mar 12 13:40:34 2026 kern.warn kernel: [ 1281.489259] nf_conntrack: nf_conntrack: table full, dropping packet",
            vec![
                "/etc/sysctl.conf, which OpenWrt reads after",
                "/proc/net/nf_conntrack",
            ],
            [enterprise.as_slice(), &["modules-load.d", "ctdrop"]].concat(),
        ),
        (
            // OpenWrt through syslog.
            "Mar 12 13:40:34 OpenWrt kern.warn kernel: [ 1281.489259] nf_conntrack: table full, dropping packet",
            vec!["which OpenWrt reads after"],
            enterprise.to_vec(),
        ),
        (
            "Jan  1 00:02:10 unknown user.warn kernel: nf_conntrack: table full, dropping packet.",
            vec!["Tomato", "/proc/sys/net/netfilter/nf_conntrack_max"],
            [enterprise.as_slice(), &["modules-load.d", "ctdrop"]].concat(),
        ),
        (
            // EL6.
            "Mar 12 13:40:34 gate kernel: nf_conntrack: table full, dropping packet.",
            vec!["(EL6)", "IPTABLES_SYSCTL_LOAD_LIST"],
            vec!["EL7", "OpenWrt"],
        ),
        (
            // EL7.
            "Mar 12 13:40:34 gate kernel: nf_conntrack: table full, dropping packet",
            vec!["(EL7)", "IPTABLES_SYSCTL_LOAD_LIST"],
            vec!["EL6", "OpenWrt"],
        ),
        (
            // Since 4.9.
            "Mar 12 13:40:34 gate kernel: nf_conntrack: nf_conntrack: table full, dropping packet",
            vec!["ctdrop fix", "/etc/modules-load.d"],
            enterprise.to_vec(),
        ),
        (
            // Linux 2.4.1.
            "Feb 18 23:05:50 rhino kernel: ip_conntrack: maximum limit of 8184 entries exceeded",
            vec![
                "the limit was 8,184",
                "net.ipv4.ip_conntrack_max = 16368",
                "/etc/modules.conf",
            ],
            [
                enterprise.as_slice(),
                &["el5", "EL5", "65,536", "modprobe.conf"],
            ]
            .concat(),
        ),
        (
            "Nov 15 20:51:05 gate kernel: NET: 37 messages suppressed.\n\
             Nov 15 20:51:05 gate kernel: ip_conntrack: table full, dropping packet.",
            vec!["/etc/modules.conf"],
            [enterprise.as_slice(), &["el5", "EL5", "65,536"]].concat(),
        ),
    ] {
        let (_, all) = advice(log);
        for named in named {
            assert!(all.contains(named), "{named} in {all}");
        }
        for wrong in not_named {
            assert!(!all.contains(wrong), "{wrong} in {all}");
        }
    }
}

#[test]
fn a_container_of_openvz_is_named() {
    let (codes, all) = advice(
        "Mar 12 13:40:34 host kernel: ip_conntrack: VPS 101 table full, dropping packet.\n\
         Mar 12 13:40:35 host kernel: ip_conntrack: VPS 77 table full, dropping packet.\n\
         Mar 12 13:40:35 host kernel: ip_conntrack: VPS 101 table full, dropping packet.\n",
    );
    assert_eq!(codes, ["ip_conntrack_full", "containers_full"]);
    assert!(
        all.contains("2 OpenVZ containers were full; most lines are about container 101")
            && all.contains("vzctl exec 101 cat /proc/net/ip_conntrack"),
        "{all}"
    );
}

#[test]
fn a_full_table_of_expectations_alone_is_explained() {
    let line = "Mar 12 13:40:34 gate kernel: nf_conntrack: expectation table full\n";
    let (report, text) = read_files(&[("messages", line.repeat(2).as_bytes())], &in_2012());
    assert_eq!(report["lines"], 0);
    assert_eq!(report["expectation_lines"], 2);
    assert_eq!(report["advice"][0]["code"], "expectations_full");
    for said in [
        "no line about a full table in ",
        "2 lines say that there were too many expected connections",
        "nf_conntrack_expect_max",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn a_bound_that_is_none_is_not_called_one() {
    let burst = format!("Mar 12 10:00:01 gate kernel: {FULL}\n").repeat(10);
    let log = format!(
        "{burst}Mar 12 10:20:00 gate kernel: Linux version 6.1.0\n{}",
        burst.replace("10:00", "10:30")
    );
    let (_, text) = read_files(&[("messages", log.as_bytes())], &in_2012());
    assert!(text.contains("unknown: 10 or more"), "{text}");
    assert!(
        text.starts_with("at least 20 packets were refused: the table was full\n"),
        "{text}"
    );
}

#[test]
fn namespaces_are_called_as_this_host_calls_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dmesg");
    let line = |inode: u32| {
        format!(
            "[ 1281.489259] nf_conntrack: nf_conntrack: table full in netns {inode}, dropping packet\n"
        )
    };
    std::fs::write(&path, line(4_026_532_246).repeat(2) + &line(4_026_532_999)).unwrap();
    let mut progress = Silent;
    let mut reader = Reader::new(&Request::default(), TimeZone::UTC, &mut progress).unwrap();
    reader.files(&[path]);
    let web = Netns {
        inode: Some(4_026_532_246),
        name: "web".to_owned(),
        ..Netns::default()
    };
    let report = LogReport::new(&reader.finish(), &BTreeMap::from([(4_026_532_246, web)]));
    assert_eq!(report.by_netns[0].name.as_deref(), Some("web"));
    assert_eq!(report.by_netns[1].name, None);
    let text = text::report(&report, &TimeZone::UTC).join("\n");
    assert!(
        text.contains("web (net:[4026532246])") && text.contains(" net:[4026532999]"),
        "{text}"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["incident"]["netns"]["name"], "web", "{json:#}");
}
