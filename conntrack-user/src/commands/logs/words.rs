//! The words of [`Advice`].

use serde::Serialize;

use crate::{
    commands::logs::{
        advice::{Advice, HostKind, Limit},
        remedies,
    },
    kernel::{defaults::IP_CONNTRACK_TABLE, generation::Generation},
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
        Advice::IpConntrackFull { drops, limit, host } => {
            let generation = Generation::IpConntrack;
            let kernel = match host {
                HostKind::Usual { .. } => "Linux 2.4 or 2.6.18, such as EL5",
                _ => "Linux 2.4 or 2.6",
            };
            (
                format!("the {} table was full ({kernel})", generation.module()),
                format!("{}; {}", packets_refused(drops), limit_then(limit, host)),
                remedies::larger_table(generation, limit, host),
            )
        }
        Advice::NfConntrackFull { drops, host } => {
            let generation = Generation::NfConntrack;
            (
                format!("the {} table was full", generation.module()),
                packets_refused(drops),
                remedies::larger_table(generation, None, host),
            )
        }
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
        Advice::ContainersFull {
            containers,
            worst,
            generation,
        } => (
            match containers {
                1 => format!("the table of OpenVZ container {worst} was full"),
                several => format!(
                    "the tables of {several} OpenVZ containers were full; most lines are about \
                     container {worst}"
                ),
            },
            "the kernel names it; each container counts its own entries".to_owned(),
            remedies::container(worst, generation),
        ),
        Advice::ExpectationsFull { lines } => (
            "the table of expected connections was full".to_owned(),
            format!(
                "{}; helpers (FTP, SIP, H.323) expect the connections that their protocol \
                 negotiates. If there is no room for one, the helper drops the packet that negotiates \
                 it. Other packets are not refused, and the conntrack table need not be full",
                match lines {
                    1 => "1 line says so".to_owned(),
                    more => format!("{} lines say so", number(more)),
                }
            ),
            remedies::expectations(),
        ),
        Advice::LimitReset {
            generation,
            times,
            max,
            buckets,
            host,
        } => limit_reset(generation, times, max, buckets, host),
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

/// The limit at that time, as far as it is known.
fn limit_then(limit: Option<Limit>, host: HostKind) -> String {
    match (limit, host) {
        (Some(Limit::Began(limit)), _) => {
            format!("the module began with a limit of {}", number(limit))
        }
        (Some(Limit::Exceeded(limit)), _) => format!("the limit was {}", number(limit)),
        (None, HostKind::Usual { .. }) => format!(
            "the limit of such a kernel is {} by default, if it has more than 1 GiB of memory",
            number(IP_CONNTRACK_TABLE.max)
        ),
        (None, _) => "the limit of such a kernel depends on its memory".to_owned(),
    }
}

fn limit_reset(
    generation: Generation,
    times: usize,
    max: u64,
    buckets: u64,
    host: HostKind,
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
        remedies::after_reload(generation, host),
    )
}
