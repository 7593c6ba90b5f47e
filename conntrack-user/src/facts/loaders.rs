//! Services that load conntrack when they start, after sysctls have been set at
//! boot.

use serde::Serialize;

use crate::facts::{
    firewalld::Firewalld,
    reader::{Reader, Source, TextFile},
    rules,
    services::Services,
    ufw::Ufw,
};

/// A service that loads conntrack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loader {
    /// The service.
    pub service: String,
    /// A rule of its own that needs conntrack; none if it always does.
    pub rule: Option<Source>,
}

/// Services that make rules which need conntrack, whatever their configuration.
const ALWAYS: [&str; 10] = [
    "docker",
    "dockerd",
    "libvirtd",
    "virtnetworkd",
    "kubelet",
    "k3s",
    "k3s-agent",
    "pve-firewall",
    "lxc-net",
    "shorewall",
];

/// Rules that are loaded from a file: the service, the file, whether for nftables.
const SAVED: [(&str, &str, bool); 7] = [
    ("nftables", "/etc/nftables.conf", true),
    ("nftables", "/etc/sysconfig/nftables.conf", true),
    ("nftables", "/etc/nftables.nft", true),
    ("netfilter-persistent", "/etc/iptables/rules.v4", false),
    ("netfilter-persistent", "/etc/iptables/rules.v6", false),
    ("iptables", "/etc/iptables/rules-save", false),
    ("iptables", "/etc/iptables/iptables.rules", false),
];

pub(super) fn read(
    reader: &Reader<'_>,
    services: &Services,
    firewalld: Option<&Firewalld>,
    ufw: Option<&Ufw>,
) -> Vec<Loader> {
    let mut loaders = Vec::new();
    let mut always = |service: &str| {
        loaders.push(Loader {
            service: service.to_owned(),
            rule: None,
        });
    };
    if ufw.is_some_and(|ufw| ufw.enabled) {
        always("ufw");
    }
    if firewalld.is_some() && services.starts("firewalld") {
        always("firewalld");
    }
    for service in ALWAYS {
        if services.starts(service) {
            always(service);
        }
    }
    for (service, file, nft) in SAVED {
        let needs = |text: TextFile| {
            if nft {
                rules::nft_needs_conntrack(&text)
            } else {
                rules::needs_conntrack(&text)
            }
        };
        if services.starts(service)
            && let Some(rule) = reader.text(file).and_then(needs)
        {
            loaders.push(Loader {
                service: service.to_owned(),
                rule: Some(rule),
            });
        }
    }
    loaders
}
