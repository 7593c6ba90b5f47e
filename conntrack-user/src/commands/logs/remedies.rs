//! The steps that [`super::advice`] leads to, on the kind of host that wrote the lines.

use crate::{
    commands::logs::advice::{HostKind, Limit},
    kernel::{
        defaults::{IP_CONNTRACK_TABLE, enough_buckets},
        generation::Generation::{self, IpConntrack, NfConntrack},
    },
};

/// How to have a larger table.
pub(super) fn larger_table(
    generation: Generation,
    limit: Option<Limit>,
    host: HostKind,
) -> Vec<String> {
    match (host, generation) {
        (HostKind::OpenWrt, _) => openwrt(generation),
        (HostKind::BusyBox, _) => busybox(generation),
        (HostKind::Linux24, _) => linux_2_4(limit),
        (HostKind::Usual { .. }, IpConntrack) => el5(limit),
        (HostKind::Usual { el6, el7 }, NfConntrack) => nf_conntrack(el6, el7),
    }
}

/// On hosts where ctdrop does not run.
fn look_first(generation: Generation) -> String {
    format!(
        "first see what fills the table ({}): a leak or a flood would fill a larger table, too",
        generation.table_file()
    )
}

/// Twice the limit that there was.
fn doubled(limit: Option<Limit>) -> u64 {
    limit
        .map_or(IP_CONNTRACK_TABLE.max, Limit::get)
        .saturating_mul(2)
}

/// For 2.6.18, of which EL5 is what is still met.
fn el5(limit: Option<Limit>) -> Vec<String> {
    let generation = IpConntrack;
    let sysctl = generation.max_sysctl();
    let max = doubled(limit);
    // At the next load the limit is then 8 × this: never below what is wanted.
    let hashsize = enough_buckets(None, max);
    vec![
        look_first(generation),
        format!(
            "in /etc/sysctl.conf, the only file that a restart of iptables reads, set \
             {sysctl} = {max}; if it has a line for \
             net.ipv4.netfilter.ip_conntrack_max, which is the same variable, set the same there"
        ),
        format!(
            "in {IPTABLES_CONFIG}, with straight quotes, set {}: `service iptables restart` \
             unloads the module, and then sets the limit again",
            load_list(generation)
        ),
        "iptables before 1.3.5-9.1.el5 ignores that list: update it, or set \
         IPTABLES_MODULES_UNLOAD=\"no\" in the same file"
            .to_owned(),
        format!(
            "in /etc/modprobe.conf, set options {} hashsize={hashsize}: this keeps hash \
             chains short, and the module then begins with a limit of 8 entries for each bucket",
            generation.module()
        ),
        now(generation, &max.to_string()),
    ]
}

/// For 2.4, whatever the distribution.
fn linux_2_4(limit: Option<Limit>) -> Vec<String> {
    let generation = IpConntrack;
    let (sysctl, module) = (generation.max_sysctl(), generation.module());
    let max = limit.map_or_else(|| "N".to_owned(), |_| doubled(limit).to_string());
    vec![
        look_first(generation),
        format!(
            "in /etc/sysctl.conf, set {sysctl} = {max}; where {module} is a module, this has an \
             effect only if the module is loaded before that file is read: otherwise set the \
             limit in the script that starts the firewall"
        ),
        format!(
            "with many more entries than buckets, set options {module} hashsize=… in \
             /etc/modules.conf, if modinfo {module} lists that parameter"
        ),
        now(generation, &max),
    ]
}

/// For OpenWrt, which applies `/etc/sysctl.d/*.conf` and then `/etc/sysctl.conf`.
fn openwrt(generation: Generation) -> Vec<String> {
    let (sysctl, module) = (generation.max_sysctl(), generation.module());
    vec![
        look_first(generation),
        format!(
            "in /etc/sysctl.conf, which OpenWrt reads after /etc/sysctl.d, set {sysctl}=N, with N \
             twice what sysctl {sysctl} says now; look at free memory first"
        ),
        format!(
            "with more than 4 entries for each bucket, write a quarter of N to \
             /sys/module/{module}/parameters/hashsize in /etc/rc.local"
        ),
        now(generation, "N"),
    ]
}

/// For routers and other devices with `BusyBox`, each of which has start scripts of its own.
fn busybox(generation: Generation) -> Vec<String> {
    vec![
        look_first(generation),
        format!(
            "in a script that the device runs at its start, after the firewall's script, write N to \
             {}, with N twice what is there now: Buildroot reads /etc/sysctl.conf if it has \
             S02sysctl, Tomato and DD-WRT have a start script in their web interface; look at free \
             memory first",
            generation.max_file()
        ),
        now(generation, "N"),
    ]
}

fn now(generation: Generation, max: &str) -> String {
    format!(
        "to raise the limit now: sysctl -w {}={max}",
        generation.max_sysctl()
    )
}

fn nf_conntrack(el6: bool, el7: bool) -> Vec<String> {
    let generation = NfConntrack;
    let module = generation.module();
    let mut steps = vec![
        "first see on that host which flows are refused (ctdrop watch) and what fills the table \
         (ctdrop who): a leak or a flood would fill a larger table, too"
            .to_owned(),
        format!(
            "ctdrop fix on that host raises the limit, {}, and makes it last; by hand: set it in \
             /etc/sysctl.d, load {module} early (/etc/modules-load.d), and raise the buckets \
             (options {module} hashsize=… in /etc/modprobe.d)",
            generation.max_sysctl()
        ),
    ];
    if let Some(releases) = releases(el6, el7) {
        steps.push(format!(
            "where a restart of iptables unloads the module ({releases}), set {} in \
             {IPTABLES_CONFIG}",
            load_list(generation)
        ));
    }
    steps
}

/// The releases of Enterprise Linux that a kernel can be of.
const fn releases(el6: bool, el7: bool) -> Option<&'static str> {
    match (el6, el7) {
        (true, true) => Some("EL6 and EL7"),
        (true, false) => Some("EL6"),
        (false, true) => Some("EL7"),
        (false, false) => None,
    }
}

/// Where the start of `iptables` of Enterprise Linux is configured.
const IPTABLES_CONFIG: &str = "/etc/sysconfig/iptables-config";

/// The line of that file which has the start set the sysctls of conntrack again.
fn load_list(generation: Generation) -> String {
    format!(
        "IPTABLES_SYSCTL_LOAD_LIST=\"{}\"",
        generation.sysctl_pattern()
    )
}

/// How to have a limit that survives a reload of the module.
pub(super) fn after_reload(generation: Generation, host: HostKind) -> Vec<String> {
    let step = match host {
        HostKind::Usual { .. } => format!(
            "a restart of iptables or firewalld unloads the module: let the restart set the limit \
             again ({}), or keep the module loaded (IPTABLES_MODULES_UNLOAD=\"no\" for iptables, \
             CleanupModulesOnExit=no for firewalld)",
            load_list(generation)
        ),
        HostKind::Linux24 | HostKind::OpenWrt | HostKind::BusyBox => format!(
            "a script, such as the firewall's, unloads {} and loads it again: have it write the \
             limit to {} afterwards",
            generation.module(),
            generation.max_file()
        ),
    };
    vec![step]
}

/// How to help an OpenVZ container. Its limit is the one of the node, unless it has set
/// another one (OpenVZ user's guide, "Using conntrack Rules and NAT Tables").
pub(super) fn container(container: u32, generation: Generation) -> Vec<String> {
    let sysctl = generation.max_sysctl();
    vec![
        format!(
            "see what fills its table: vzctl exec {container} cat {}",
            generation.table_file()
        ),
        format!(
            "see its limit: vzctl exec {container} sysctl {sysctl}; raise {sysctl} on the node, \
             or in /etc/sysctl.conf of the container if that sets a lower limit"
        ),
    ]
}

/// How to have room for more expected connections.
pub(super) fn expectations() -> Vec<String> {
    vec![
        "see which helper expects them: conntrack -L expect, or /proc/net/nf_conntrack_expect; \
         if many are from one client, look at that client first"
            .to_owned(),
        "raise net.netfilter.nf_conntrack_expect_max, in a file of /etc/sysctl.d too, or do not \
         assign the helper where nobody needs it"
            .to_owned(),
    ]
}
