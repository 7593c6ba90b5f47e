//! The words of [`Advice`].

use serde::Serialize;

use crate::{
    commands::logs::advice::Advice,
    kernel::{
        defaults::{IP_CONNTRACK_TABLE, enough_buckets},
        generation::Generation,
    },
    logs::account::tally::PacketBounds,
    say::{
        finding::{Code, Severity},
        number::{counted, number},
    },
};

/// A piece of advice in words: a finding with several steps to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdviceText {
    /// What kind of thing it is, which stays the same when the words change.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// How that is known.
    pub why: String,
    /// What to do, step by step.
    pub remedy: Vec<String>,
}

/// Says a piece of advice.
pub fn text(advice: Advice) -> AdviceText {
    let (what, why, remedy) = match advice {
        Advice::IpConntrackFull { drops, began_with } => (
            format!(
                "the {} table was full (Linux 2.4 or 2.6.18, such as EL5)",
                Generation::IpConntrack.module()
            ),
            format!("{}; {}", packets_refused(drops), began(began_with)),
            ip_conntrack(began_with),
        ),
        Advice::NfConntrackFull { drops } => (
            format!("the {} table was full", Generation::NfConntrack.module()),
            packets_refused(drops),
            nf_conntrack(),
        ),
        Advice::NamespacesFull { namespaces } => (
            match namespaces {
                1 => "the table of 1 network namespace besides the host's was full".to_owned(),
                several => {
                    format!(
                        "the tables of {several} network namespaces besides the host's were full"
                    )
                }
            },
            "the kernel names them in its messages; each namespace counts its own entries, but \
             all are compared with the same limit"
                .to_owned(),
            vec![
                "find the namespace by its inode number (lsns -t net): a container or pod can be \
                 full while the host is nearly empty"
                    .to_owned(),
            ],
        ),
        Advice::LimitReset {
            generation,
            times,
            max,
            buckets,
        } => limit_reset(generation, times, max, buckets),
    };
    AdviceText {
        code: advice.code(),
        // The log tells of the past: it can happen again.
        severity: Severity::Warning,
        what,
        why,
        remedy,
    }
}

/// How many packets were refused, as far as it is known.
pub(super) fn packets_refused(range: PacketBounds) -> String {
    let were = |count| {
        let were = if count == 1 { "was" } else { "were" };
        format!("{} {were} refused", counted(count, "packet"))
    };
    let (least, most) = (range.at_least, range.at_most);
    match (least == most, range.open) {
        (true, false) => were(least),
        (true, true) => format!("at least {}", were(least)),
        (false, false) => format!("{} to {}", number(least), were(most)),
        (false, true) => format!(
            "at least {}, possibly more than {}",
            were(least),
            number(most)
        ),
    }
}

fn began(limit: Option<u64>) -> String {
    match limit {
        Some(limit) => format!("the module began with a limit of {}", number(limit)),
        None => format!(
            "the limit of such a kernel is {} by default, if it has more than 1 GiB of memory",
            number(IP_CONNTRACK_TABLE.max)
        ),
    }
}

/// For 2.6.18, of which EL5 is what is still met.
fn ip_conntrack(began_with: Option<u64>) -> Vec<String> {
    let generation = Generation::IpConntrack;
    let sysctl = generation.max_sysctl();
    let max = began_with
        .unwrap_or(IP_CONNTRACK_TABLE.max)
        .saturating_mul(2);
    // At the next load the limit is then 8 × this: never below what is wanted.
    let hashsize = enough_buckets(None, max);
    vec![
        format!(
            "first see what fills the table ({}): a leak or a flood would fill a larger table, too",
            generation.table_file()
        ),
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
        format!("to raise the limit now: sysctl -w {sysctl}={max}"),
    ]
}

fn nf_conntrack() -> Vec<String> {
    let generation = Generation::NfConntrack;
    let module = generation.module();
    vec![
        "first see on that host which flows are refused (ctdrop watch) and what fills the table \
         (ctdrop who): a leak or a flood would fill a larger table, too"
            .to_owned(),
        format!(
            "ctdrop fix on that host raises the limit, {}, and makes it last; by hand: set it in \
             /etc/sysctl.d, load {module} early (/etc/modules-load.d), and raise the buckets \
             (options {module} hashsize=… in /etc/modprobe.d)",
            generation.max_sysctl()
        ),
        format!(
            "where a restart of iptables unloads the module (EL6 and EL7), set {} in \
             {IPTABLES_CONFIG}",
            load_list(generation)
        ),
    ]
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

fn limit_reset(
    generation: Generation,
    times: usize,
    max: u64,
    buckets: u64,
) -> (String, String, Vec<String>) {
    let module = generation.module();
    let often = match times {
        1 => "once".to_owned(),
        several => format!("{several} times"),
    };
    (
        format!(
            "the limit was reset to its default: {module} was reloaded {often} without a reboot"
        ),
        format!(
            "the module writes its size each time it is loaded; the last size: limit {}, {}",
            number(max),
            counted(buckets, "bucket")
        ),
        vec![format!(
            "a restart of iptables or firewalld unloads the module: let the restart set the limit \
             again ({}), or keep the module loaded (IPTABLES_MODULES_UNLOAD=\"no\" for iptables, \
             CleanupModulesOnExit=no for firewalld)",
            load_list(generation)
        )],
    )
}
