//! What to do about what the logs say, on the kind of host that said it.

use serde::Serialize;

use crate::{
    logs::{
        burst::Generations,
        report::{Load, Range},
    },
    say::number::number,
};

/// A piece of advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What is wrong.
    pub what: String,
    /// What it is told from.
    pub why: String,
    /// What to do, step by step.
    pub remedy: Vec<String>,
}

/// What advice follows from.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Packets refused.
    pub drops: Range,
    /// The kernels that have written.
    pub generations: Generations,
    /// Starts of conntrack.
    pub loads: &'a [Load],
    /// Network namespaces that were named.
    pub namespaces: usize,
}

/// The limit that `ip_conntrack` begins with on a host with 1 GiB or more: 8
/// entries for each of 8192 buckets (`net/ipv4/netfilter/ip_conntrack_core.c:
/// ip_conntrack_init`, 2.6.18).
const IP_DEFAULT: u64 = 65_536;

/// Gives the advice that fits.
pub fn advise(evidence: &Evidence<'_>) -> Vec<Advice> {
    let mut advice = Vec::new();
    if evidence.drops.at_least > 0 {
        if evidence.generations.ip {
            advice.push(ip_conntrack(evidence));
        }
        if evidence.generations.nf {
            advice.push(nf_conntrack(evidence));
        }
        if evidence.namespaces > 0 {
            advice.push(namespaces(evidence.namespaces));
        }
    }
    advice.extend(reloads(evidence));
    advice
}

fn refused(range: Range) -> String {
    if range.open || range.at_least == range.at_most {
        format!(
            "{}{} refused",
            if range.open { "at least " } else { "" },
            match range.at_least {
                1 => "1 packet was".to_owned(),
                several => format!("{} packets were", number(several)),
            }
        )
    } else {
        format!(
            "{} to {} packets were refused",
            number(range.at_least),
            number(range.at_most)
        )
    }
}

/// For 2.6.18, of which EL5 is what is still met.
fn ip_conntrack(evidence: &Evidence<'_>) -> Advice {
    let began = evidence
        .loads
        .iter()
        .rev()
        .find(|load| load.module == "ip_conntrack")
        .map(|load| load.max);
    let max = began.unwrap_or(IP_DEFAULT).saturating_mul(2);
    // At the next load the limit is then 8 × this: never below what is wanted.
    let hashsize = max.div_ceil(4);
    Advice {
        what: "the table of ip_conntrack was full: Linux 2.4 or 2.6.18, such as EL5".to_owned(),
        why: format!(
            "{}; {}",
            refused(evidence.drops),
            began.map_or_else(
                || format!(
                    "such a kernel begins with {} entries if it has 1 GiB or more",
                    number(IP_DEFAULT)
                ),
                |max| format!("conntrack began with {} entries", number(max))
            )
        ),
        remedy: vec![
            "see what fills it first: a leak or a flood fills a larger table, too \
             (/proc/net/ip_conntrack)"
                .to_owned(),
            format!(
                "in /etc/sysctl.conf (no other file is read when iptables restarts): \
                 net.ipv4.ip_conntrack_max = {max}; net.ipv4.netfilter.ip_conntrack_max is the \
                 same variable, so let a line with that name say the same"
            ),
            "in /etc/sysconfig/iptables-config, with straight quotes: \
             IPTABLES_SYSCTL_LOAD_LIST=\".ip_conntrack\", so that `service iptables restart`, \
             which unloads the module, sets the limit again"
                .to_owned(),
            "iptables before 1.3.5-9.1.el5 ignores that list: update it, or set \
             IPTABLES_MODULES_UNLOAD=\"no\" there"
                .to_owned(),
            format!(
                "in /etc/modprobe.conf: options ip_conntrack hashsize={hashsize}, so that chains \
                 stay short, and the module begins with 8 entries for each bucket"
            ),
            format!("now: sysctl -w net.ipv4.ip_conntrack_max={max}"),
        ],
    }
}

fn nf_conntrack(evidence: &Evidence<'_>) -> Advice {
    Advice {
        what: "the table of nf_conntrack was full".to_owned(),
        why: refused(evidence.drops),
        remedy: vec![
            "see on that host which flows are refused (`ctdrop watch`) before the limit is raised: \
             a leak or a flood fills a larger table, too"
                .to_owned(),
            "net.netfilter.nf_conntrack_max is the limit; a value in sysctl.d counts at boot only \
             if nf_conntrack is loaded before (/etc/modules-load.d), and buckets are to be raised \
             with it (options nf_conntrack hashsize=… in /etc/modprobe.d)"
                .to_owned(),
            "where a service restart unloads the module (iptables of EL6 and EL7): \
             IPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack\" in /etc/sysconfig/iptables-config"
                .to_owned(),
        ],
    }
}

fn namespaces(count: usize) -> Advice {
    Advice {
        what: match count {
            1 => "a network namespace besides the host's was full".to_owned(),
            several => format!("{several} network namespaces besides the host's were full"),
        },
        why: "the kernel named them; each namespace has its own entries, the limit is one number \
              for all"
            .to_owned(),
        remedy: vec![
            "find the namespace by its inode: lsns -t net; a container or pod can be full while \
             the host is nearly empty"
                .to_owned(),
        ],
    }
}

fn reloads(evidence: &Evidence<'_>) -> Option<Advice> {
    let reloads: Vec<&Load> = evidence.loads.iter().filter(|load| load.reload).collect();
    let last = reloads.last()?;
    let pattern = if last.module == "ip_conntrack" {
        ".ip_conntrack"
    } else {
        ".nf_conntrack"
    };
    Some(Advice {
        what: format!(
            "the limit was reset: {} was loaded again {} while its kernel ran",
            last.module,
            match reloads.len() {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            }
        ),
        why: format!(
            "it says its size each time it is loaded, lastly {} entries in {} buckets",
            number(last.max),
            number(last.buckets)
        ),
        remedy: vec![format!(
            "a restart of iptables or firewalld unloads it: let the restart set the limit again \
                 (IPTABLES_SYSCTL_LOAD_LIST=\"{pattern}\"), or keep the module \
                 (IPTABLES_MODULES_UNLOAD=\"no\", CleanupModulesOnExit=no)"
        )],
    })
}
