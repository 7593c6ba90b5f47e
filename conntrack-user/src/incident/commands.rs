//! The commands that carry a remedy out.

use std::net::IpAddr;

use crate::{
    incident::{census::Service, remedy::Remedy},
    kernel::netns::called::Netns,
    say::protocol::{has_ports, protocol_name},
};

/// Whether its commands act on the namespace's own table.
pub(super) const fn act_inside(remedy: &Remedy) -> bool {
    matches!(
        remedy,
        Remedy::ShortenTimeout { .. }
            | Remedy::DeleteSource { .. }
            | Remedy::DeleteService { .. }
            | Remedy::Synproxy
    )
}

/// The commands of a remedy, each to be run as it is; none for a remedy that
/// depends on the host's own rules.
pub fn commands(remedy: &Remedy, netns: &Netns) -> Vec<String> {
    let inside = |command: String| {
        let enter = netns.enter.as_deref().unwrap_or_default();
        format!("{enter}{command}")
    };
    let of_netns = |command: &str| {
        if netns.is_host || netns.inode.is_none() {
            command.to_owned()
        } else {
            format!("{command} --netns {}", called(netns))
        }
    };
    match remedy {
        Remedy::RaiseLimit | Remedy::RaiseBuckets => vec!["ctdrop fix".to_owned()],
        Remedy::LookWho => vec![of_netns("ctdrop who")],
        Remedy::LookFlows => vec!["ctdrop watch".to_owned()],
        Remedy::LookSource { source } => vec![of_netns(&format!("ctdrop who --src {source}"))],
        Remedy::ShortenTimeout { timeout, to, .. } => vec![inside(format!(
            "sysctl -w net.netfilter.nf_conntrack_{timeout}={to}"
        ))],
        Remedy::DeleteSource { source, .. } => vec![inside(format!(
            "conntrack -D{} -s {source}",
            family(*source)
        ))],
        Remedy::DeleteService { service, .. } => vec![inside(delete(*service))],
        Remedy::Synproxy => [
            "net.netfilter.nf_conntrack_tcp_loose=0",
            "net.ipv4.tcp_syncookies=1",
        ]
        .map(|setting| inside(format!("sysctl -w {setting}")))
        .to_vec(),
        Remedy::StopOwner { .. }
        | Remedy::KeepOutUnreplied { .. }
        | Remedy::DropSource { .. }
        | Remedy::DoNotTrack { .. }
        | Remedy::DropForged
        | Remedy::LocalResolver
        | Remedy::NatAddresses
        | Remedy::FreeMemory => Vec::new(),
    }
}

/// What a command line can call a namespace: its number, if a shell would take
/// its name for something else.
fn called(netns: &Netns) -> String {
    let harmless = |char: char| char.is_ascii_alphanumeric() || "._/-".contains(char);
    let plain = netns.name.chars().all(harmless) && !netns.name.starts_with('-');
    match netns.inode.filter(|_| !plain) {
        Some(inode) => inode.to_string(),
        None => netns.name.clone(),
    }
}

fn delete(service: Service) -> String {
    let port = if has_ports(service.protocol) {
        format!(" --dport {}", service.port)
    } else {
        String::new()
    };
    format!(
        "conntrack -D{} -d {} -p {}{port}",
        family(service.address),
        service.address,
        protocol_name(service.protocol)
    )
}

/// The option for addresses of IPv6: without it some releases of conntrack look
/// among those of IPv4, as its manual page says.
const fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "" } else { " -f ipv6" }
}

/// Counts the sources in a table that the kernel lists in a file: those with the most
/// entries first. It works with the tools of any host.
pub fn count_sources(file: &str) -> String {
    format!(
        "awk '{{for (i = 1; i <= NF; i++) if ($i ~ /^src=/) {{n[$i]++; break}}}} END {{for (s in n) \
         print n[s], s}}' {file} | sort -rn | head"
    )
}
