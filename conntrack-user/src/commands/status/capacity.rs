//! Findings about capacity: how full tables are, what is refused, chains,
//! memory, timeouts.

use std::time::Duration;

use crate::{
    facts::Facts,
    incident::{Forecast, Incident, TimeToFull, commands, words},
    kernel::{defaults::TCP_TIMEOUT_ESTABLISHED, memory::Memory},
    observe::{check::proof::PacketRange, usage::NamespaceUse},
    plan::sizing::least_buckets,
    say::{
        finding::{Code, Finding, Severity},
        number::{bytes, duration, number, percent, shortened},
    },
};

/// Bounds that the user may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Per cent of the limit from which a table is worth a warning.
    pub warning: u8,
    /// From which it is critical.
    pub critical: u8,
}

impl Bounds {
    /// The defaults.
    pub const USUAL: Self = Self {
        warning: 75,
        critical: 90,
    };
}

/// What is judged.
pub(crate) struct Capacity<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) namespaces: &'a [NamespaceUse],
    /// What is foretold of each of them.
    pub(crate) forecasts: &'a [Forecast],
    pub(crate) memory: &'a Memory,
    /// The incident of the worst namespace.
    pub(crate) incident: &'a Incident,
    pub(crate) apart: Duration,
    pub(crate) bounds: Bounds,
}

/// A table that is going to be full within this time is worth a warning.
const SOON: Duration = Duration::from_mins(10);

/// Of a table fuller than this the time until it is full is told: a look of a
/// second at an almost empty one says nothing.
const FILLING: f64 = 50.0;

/// Per cent of the host's memory.
const MUCH_MEMORY: f64 = 25.0;

/// Per cent of the host's memory above which a full table has no room.
const ALL_MEMORY: f64 = 100.0;

/// Entries in each bucket of a full table from which few buckets are worth a warning.
const LONG_CHAINS: u64 = 16;

impl Capacity<'_> {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (namespace, forecast) in self.namespaces.iter().zip(self.forecasts) {
            findings.extend(self.refused(namespace));
            findings.extend(self.full(namespace));
            findings.extend(self.filling(namespace, forecast));
        }
        findings.extend(self.since_boot());
        findings.extend(self.no_limit());
        findings.extend(chains(self.facts));
        findings.extend(self.much_memory());
        findings.extend(self.long_timeout());
        findings
    }

    /// The incident, if it is about that namespace.
    fn incident_in(&self, namespace: &NamespaceUse) -> Option<&Incident> {
        let incident = self.incident;
        let here = incident.netns.inode == namespace.netns && incident.kind.is_refusal();
        here.then_some(incident)
    }

    /// What to do about a table that is full or will be.
    fn who(&self, namespace: &NamespaceUse) -> String {
        let look = if self.runs_here() {
            let incident = self.incident_in(namespace);
            if let Some(incident) = incident.filter(|incident| incident.wants_room()) {
                return incident.advice().join("\n");
            }
            "ctdrop who".to_owned()
        } else {
            commands::count_sources(self.list())
        };
        format!(
            "stop a flood or a leak at its source; if the load is honest, raise buckets and limit. \
             To see who fills the table: {look}"
        )
    }

    /// Whether ctdrop can run on the host.
    fn runs_here(&self) -> bool {
        self.facts.kernel.runs_ctdrop()
    }

    /// The file in which a kernel before 3.2 lists the entries.
    fn list(&self) -> &'static str {
        self.facts.kernel.generation.table_file()
    }

    fn refused(&self, namespace: &NamespaceUse) -> Option<Finding> {
        let refused = namespace.refused.filter(|refused| refused.at_most > 0)?;
        let growth = namespace.growth.unwrap_or_default();
        let moved = [
            ("drop", growth.drop),
            ("insert_failed", growth.insert_failed),
            ("chaintoolong", growth.chaintoolong),
        ];
        let moved: Vec<String> = moved
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} +{}", number((*value)?))))
            .collect();
        // Up to 5.6 a clash that was resolved looks the same.
        let severity = if refused.at_least > 0 {
            Severity::Critical
        } else {
            Severity::Info
        };
        Some(Finding::new(
            Code::PacketsRefused,
            severity,
            format!(
                "{} refused in {} in the last {}",
                packets(refused),
                namespace.name,
                duration(self.apart)
            ),
            match self.incident_in(namespace) {
                Some(incident) => format!(
                    "{}; the kernel's counters: {}",
                    incident.headline(),
                    moved.join(", ")
                ),
                None => format!("the kernel's counters: {}", moved.join(", ")),
            },
            match self.incident_in(namespace) {
                Some(incident) => incident.advice().join("\n"),
                None => "ctdrop watch shows the flows and the reason; ctdrop who shows what fills \
                         the table"
                    .to_owned(),
            },
        ))
    }

    fn full(&self, namespace: &NamespaceUse) -> Option<Finding> {
        let share = namespace.share()?;
        let Bounds { warning, critical } = self.bounds;
        let (severity, bound) = if share >= f64::from(critical) {
            (Severity::Critical, critical)
        } else if share >= f64::from(warning) {
            (Severity::Warning, warning)
        } else {
            return None;
        };
        Some(Finding::new(
            Code::TableNearlyFull,
            severity,
            format!(
                "the table of {} is {} full: {} of {} entries",
                namespace.name,
                percent(share),
                number(namespace.entries?),
                number(namespace.max?)
            ),
            match self.incident_in(namespace) {
                Some(incident) => incident.headline(),
                None => format!(
                    "the table has reached {bound} % of the limit; the kernel refuses new flows when \
                     the table is full"
                ),
            },
            self.who(namespace),
        ))
    }

    fn filling(&self, namespace: &NamespaceUse, forecast: &Forecast) -> Option<Finding> {
        let soon = |time: &&TimeToFull| time.seconds < SOON.as_secs_f64();
        let time = forecast.filling().filter(soon)?;
        let share = namespace.share().filter(|&share| share >= FILLING)?;
        if share >= f64::from(self.bounds.critical) {
            return None;
        }
        Some(Finding::new(
            Code::TableFilling,
            Severity::Warning,
            format!(
                "the table of {} will be {}",
                namespace.name,
                words::time_to_full(time)
            ),
            format!("{:+.0} entries a second", time.rate),
            self.who(namespace),
        ))
    }

    /// What is over is no alarm, or there would be one until the next boot.
    fn since_boot(&self) -> Option<Finding> {
        let lost: Vec<(PacketRange, &NamespaceUse)> = self
            .namespaces
            .iter()
            .filter_map(|namespace| {
                Some((PacketRange::of(namespace.counters.as_ref()?), namespace))
            })
            .filter(|(lost, _)| lost.at_least > 0)
            .collect();
        let names: Vec<&str> = lost
            .iter()
            .map(|(_, namespace)| namespace.name.as_str())
            .collect();
        let sum = |of: fn(&PacketRange) -> u64| lost.iter().map(|(lost, _)| of(lost)).sum::<u64>();
        (!lost.is_empty()).then(|| {
            let sum = PacketRange {
                at_least: sum(|lost| lost.at_least),
                at_most: sum(|lost| lost.at_most),
            };
            Finding::new(
                Code::RefusedSinceBoot,
                Severity::Info,
                format!(
                    "{} {} been refused since boot",
                    packets(sum),
                    if sum.at_most == 1 { "has" } else { "have" }
                ),
                format!("the counters of {} show this", shortened(&names)),
                if self.runs_here() {
                    "ctdrop logs shows when packets were refused, if the kernel log still has the lines"
                } else {
                    "to see when packets were refused, copy the kernel log to another host and run \
                     ctdrop logs there"
                },
            )
        })
    }

    fn no_limit(&self) -> Option<Finding> {
        (self.facts.numbers.limits.max == Some(0)).then(|| {
            Finding::new(
                Code::NoLimit,
                Severity::Warning,
                "there is no limit",
                "nf_conntrack_max is 0, so entries can take all memory",
                "set a limit that fits the host's memory",
            )
        })
    }

    fn much_memory(&self) -> Option<Finding> {
        let share = self.memory.share().filter(|&share| share >= MUCH_MEMORY)?;
        let at_limit = self.memory.at_limit_with_extensions?;
        if share > ALL_MEMORY {
            return Some(Finding::new(
                Code::MemoryShare,
                Severity::Critical,
                "this host runs out of memory before its table is full",
                format!(
                    "a full table takes {} and the host has {}; this memory is never swapped out, so \
                     the kernel kills processes when the table grows",
                    bytes(at_limit),
                    bytes(self.memory.total?)
                ),
                "lower the limit, or add memory",
            ));
        }
        Some(Finding::new(
            Code::MemoryShare,
            Severity::Warning,
            format!("a full table takes up to {} of the memory", percent(share)),
            format!(
                "{} of {}; this memory is never swapped out, and each network namespace can fill its \
                 own table",
                bytes(at_limit),
                bytes(self.memory.total?)
            ),
            "lower the limit, or add memory",
        ))
    }

    fn long_timeout(&self) -> Option<Finding> {
        let established = *self.facts.numbers.timeouts.get("tcp_timeout_established")?;
        (established >= TCP_TIMEOUT_ESTABLISHED).then(|| {
            Finding::new(
                Code::LongTimeout,
                Severity::Info,
                format!(
                    "TCP flows that are never closed stay for {}",
                    duration(Duration::from_secs(established))
                ),
                format!(
                    "{}_tcp_timeout_established sets this time; the kernel cannot evict such entries",
                    self.facts.kernel.generation.module()
                ),
                if self.runs_here() {
                    "if ctdrop who shows many idle established flows, lower this time to a day or less"
                        .to_owned()
                } else {
                    format!(
                        "if grep -c ESTABLISHED {} counts far more than there are open \
                         connections, lower this time to a day or less",
                        self.list()
                    )
                },
            )
        })
    }
}

/// `1 packet`, or `7 to 9 packets`.
pub(crate) fn packets(count: PacketRange) -> String {
    let plural = if count.at_most == 1 { "" } else { "s" };
    format!("{} packet{plural}", range(count))
}

/// Fewer buckets than `ctdrop fix` would set for the limit in force.
fn chains(facts: &Facts) -> Option<Finding> {
    let limits = facts.numbers.limits;
    let (max, buckets) = (limits.max?, limits.buckets.filter(|&buckets| buckets > 0)?);
    let machine = facts.kernel.machine();
    let (enough, _) = least_buckets(facts, max, false);
    if buckets >= enough {
        return None;
    }
    // Each flow is in the table twice, once for each direction.
    let load = max.saturating_mul(2) / buckets;
    let refuses = machine.is_some_and(|machine| {
        machine.refuses_short_chains() || machine.bounds_chains() && load > LONG_CHAINS
    });
    let (severity, effect) = if refuses {
        (
            Severity::Warning,
            "this kernel refuses entries whose chain is too long, so packets are lost before \
             the table reaches the limit",
        )
    } else if load > LONG_CHAINS {
        (Severity::Warning, "each look-up goes through long chains")
    } else {
        (Severity::Info, "each look-up goes through long chains")
    };
    Some(Finding::new(
        Code::FewBuckets,
        severity,
        format!(
            "{} buckets are few for a limit of {}",
            number(buckets),
            number(max)
        ),
        format!("a full table has {load} entries in each bucket: {effect}"),
        format!(
            "raise the buckets to {} or more, now and with the module option hashsize",
            number(enough)
        ),
    ))
}

/// `7`, or `7 to 9`.
pub(super) fn range(range: PacketRange) -> String {
    if range.at_least == range.at_most {
        number(range.at_least)
    } else {
        format!("{} to {}", number(range.at_least), number(range.at_most))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        facts::root::Root,
        incident::Evidence,
        plan::{
            demand::Demand,
            sizing::{self, Request},
        },
    };

    fn write(root: &Path, path: &str, text: &impl ToString) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.to_string()).unwrap();
    }

    #[test]
    fn status_and_fix_name_the_same_number_of_buckets() {
        for (release, sysctls) in [
            ("2.6.18-274.el5", "proc/sys/net/ipv4/netfilter/ip_conntrack"),
            ("2.6.32-642.el6", "proc/sys/net/netfilter/nf_conntrack"),
            ("5.10.0", "proc/sys/net/netfilter/nf_conntrack"),
            ("5.15.0", "proc/sys/net/netfilter/nf_conntrack"),
            ("6.0.0", "proc/sys/net/netfilter/nf_conntrack"),
            ("6.1.0", "proc/sys/net/netfilter/nf_conntrack"),
            ("7.3.0", "proc/sys/net/netfilter/nf_conntrack"),
        ] {
            for (max, buckets) in [
                (65_536, 8192),
                (65_536, 16_384),
                (65_536, 65_536),
                (100_000, 24_576),
                (100_000, 25_088),
                (262_144, 65_024),
                (262_144, 131_072),
                (1_048_576, 16_384),
            ] {
                let tree = tempfile::tempdir().unwrap();
                write(tree.path(), "etc/sysctl.conf", &"");
                write(tree.path(), "proc/sys/kernel/osrelease", &release);
                write(tree.path(), "proc/sys/net/ipv4/ip_conntrack_max", &max);
                write(tree.path(), &format!("{sysctls}_max"), &max);
                write(tree.path(), &format!("{sysctls}_buckets"), &buckets);
                let facts = Facts::read(&Root::open(tree.path()).unwrap()).unwrap();
                assert_eq!(facts.numbers.limits.buckets, Some(buckets), "{release}");
                let demand = Demand::new(vec![Evidence::of_tree(&facts)], Vec::new(), None);
                let size = sizing::size(&facts, &demand, Request::default()).unwrap();
                assert_eq!(size.max, max, "{release}");
                let advised = chains(&facts).map(|finding| finding.remedy);
                let case = format!("{release}, {buckets} buckets for {max}: {advised:?}");
                assert_eq!(advised.is_some(), size.buckets > buckets, "{case}");
                if let Some(advised) = advised {
                    assert!(
                        advised.contains(&format!(" {} ", number(size.buckets))),
                        "{case}"
                    );
                }
            }
        }
    }
}
