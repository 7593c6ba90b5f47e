//! What is said of one namespace: plain data, for text and JSON.

use serde::Serialize;

use crate::{
    commands::who::{
        rows::{
            Age, Group, MarkValue, Name, OwnerName, Place, Row, ServiceName, StateRow, TimeRange,
            Zone, group, owner_rows, place, ranges, service_name, state_rows,
        },
        saved_file::SavedFile,
    },
    incident::{Census, Evidence, Incident, Remedies, judge, remedy},
    kernel::{container::Container, limits::Limits},
    table::{
        aggregate::{Aggregate, ByProgress, Evictable},
        dump::Outcome,
        filter::{Criterion, Filter},
        idle::SecondLook,
        owners::Owners,
    },
};

/// A table, added up.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "namespace")]
pub struct NamespaceReport {
    /// When the dump began, RFC 3339.
    pub time: String,
    /// Inode of the namespace.
    pub netns: Option<u32>,
    /// Its name.
    pub name: String,
    /// The container that it is of.
    pub container: Option<Container>,
    /// The limit for each namespace, if there is one.
    pub max: Option<u64>,
    /// Entries that were asked for.
    pub entries: u64,
    /// Why packets are refused, and what fills the table; of the entries that
    /// were asked for.
    pub incident: Incident,
    /// By who may evict them.
    pub evictable: Evictable,
    /// Share of entries that `early_drop` may evict; null without entries.
    pub evictable_share: Option<f64>,
    /// The chance that `early_drop` finds one of these for a new flow, once the table is
    /// full; null without entries, or if not all were asked for.
    pub eviction_chance: Option<f64>,
    /// By how far they have come.
    pub progress: ByProgress,
    /// Established TCP connections.
    pub established: u64,
    /// Of these, those without a packet for an hour or longer: by a second look at
    /// some of them, if there was one, or else by the first.
    pub idle_established: u64,
    /// Of these, those of which it cannot be told.
    pub idle_unknown: u64,
    /// What the second look has shown.
    pub second_look: Option<SecondLook>,
    /// By source.
    pub sources: Group<Place>,
    /// By destination.
    pub destinations: Group<Place>,
    /// By service.
    pub services: Group<ServiceName>,
    /// By container, pod or namespace whose address it is.
    pub owners: Vec<Row<OwnerName>>,
    /// By protocol, state and progress; all of them.
    pub states: Vec<StateRow>,
    /// By zone.
    pub zones: Group<Zone>,
    /// By mark.
    pub marks: Group<MarkValue>,
    /// By time until they expire.
    pub remaining: Vec<TimeRange>,
    /// By age, of entries that have one.
    pub age: Age,
    /// What would free most.
    pub would_free: Remedies,
    /// How the dump went.
    pub dump: Dump,
    /// The file, if it is a saved table.
    pub saved: Option<SavedFile>,
}

/// How a dump went.
#[derive(Debug, Serialize)]
pub struct Dump {
    /// Seconds that it took.
    pub seconds: f64,
    /// How often it was begun.
    pub attempts: u32,
    /// Entries of the namespace before, by its own count.
    pub entries_before: Option<u64>,
    /// The same afterwards.
    pub entries_after: Option<u64>,
    /// Whether the number of buckets changed meanwhile: entries may be missing
    /// or counted twice.
    pub resized: bool,
    /// Entries received, also those that were not asked for.
    pub received: u64,
    /// Of these, those that could not be read; they are in no count.
    pub unreadable: u64,
    /// How often the kernel lacked room for a datagram (`ENOBUFS`).
    pub overruns: u64,
    /// Whether the kernel said that the table changed under the dump.
    pub interrupted: bool,
    /// Criteria that the kernel filtered by, as far as can be seen: it sent
    /// nothing that fails them.
    pub filtered_by_kernel: Vec<Criterion>,
    /// Criteria that entries had to be filtered by here.
    pub filtered_here: Vec<Criterion>,
}

/// What was seen of a table.
#[derive(Debug)]
pub struct Seen {
    /// The entries, added up.
    pub sums: Aggregate,
    /// How the dump went.
    pub outcome: Outcome,
    /// When it began, RFC 3339.
    pub time: String,
    /// Seconds that it took.
    pub seconds: f64,
    /// How often it was begun.
    pub attempts: u32,
    /// The namespace's limits before.
    pub before: Limits,
    /// And afterwards.
    pub after: Limits,
}

/// What is known besides.
#[derive(Debug)]
pub struct Context<'a> {
    /// The container that the namespace is of.
    pub container: Option<&'a Container>,
    /// Whose addresses are whose.
    pub owners: &'a Owners,
    /// What was asked for.
    pub filter: &'a Filter,
    /// What shows whether packets are refused.
    pub evidence: Evidence,
    /// How many rows a group shows.
    pub top: usize,
}

impl Dump {
    /// Whether entries were chosen from the table.
    pub const fn is_filtered(&self) -> bool {
        !(self.filtered_by_kernel.is_empty() && self.filtered_here.is_empty())
    }
}

impl NamespaceReport {
    /// Puts a report together.
    pub fn new(seen: &Seen, context: &Context<'_>) -> Self {
        let Context {
            container,
            owners,
            evidence,
            top,
            ..
        } = context;
        let sums = &seen.sums;
        let census = Census {
            filtered: context.filter.criteria().next().is_some(),
            ..Census::of(sums, owners)
        };
        let idle = census.idle();
        let buckets = seen.before.buckets.filter(|_| !census.filtered);
        let place = |address| place(address, owners);
        Self {
            time: seen.time.clone(),
            netns: evidence.netns.inode,
            name: evidence.netns.name.clone(),
            container: container.cloned(),
            max: seen.before.max.filter(|&max| max > 0),
            entries: sums.entries,
            incident: judge(evidence, Some(&census)),
            evictable: sums.evictable,
            evictable_share: share(sums.evictable.early_drop, sums.entries),
            eviction_chance: buckets
                .filter(|_| sums.entries > 0)
                .map(|buckets| sums.eviction_chance(buckets)),
            progress: sums.progress,
            established: sums.established,
            idle_established: idle.idle,
            idle_unknown: idle.unknown,
            second_look: sums.second,
            sources: group(&sums.sources, *top, place),
            destinations: group(&sums.destinations, *top, place),
            services: group(&sums.services, *top, |service| {
                service_name(service, owners)
            }),
            owners: owner_rows(sums, owners, *top),
            states: state_rows(sums),
            zones: group(&sums.zones, *top, |zone| Zone { zone }),
            marks: group(&sums.marks, *top, |mark| MarkValue { mark }),
            remaining: ranges(&sums.remaining),
            age: Age {
                known: sums.aged,
                ranges: if sums.aged > 0 {
                    ranges(&sums.age)
                } else {
                    Vec::new()
                },
            },
            would_free: Remedies {
                netns: evidence.netns.clone(),
                list: remedy::freeing(&census),
            },
            dump: dump(seen, context.filter),
            saved: None,
        }
    }
}

/// A namespace as a row of a table.
pub(super) fn row(report: &NamespaceReport) -> Row<Name> {
    let count = |entries: u64| u32::try_from(entries).unwrap_or(u32::MAX);
    Row {
        key: Name {
            name: report.name.clone(),
        },
        entries: count(report.entries),
        evictable: count(report.evictable.early_drop),
        unreplied: count(report.progress.unreplied),
        idle_established: count(report.idle_established),
    }
}

fn dump(seen: &Seen, filter: &Filter) -> Dump {
    let Seen {
        outcome,
        before,
        after,
        ..
    } = seen;
    // What the kernel does not know it ignores, so that entries show it.
    let here: Vec<Criterion> = filter
        .criteria()
        .filter(|&criterion| {
            outcome.discarded[criterion as usize] > 0 || !filter.may_be_left_to_kernel(criterion)
        })
        .collect();
    Dump {
        seconds: seen.seconds,
        attempts: seen.attempts,
        entries_before: before.entries,
        entries_after: after.entries,
        resized: before.buckets != after.buckets,
        received: outcome.received,
        unreadable: outcome.unreadable,
        overruns: outcome.overruns,
        interrupted: outcome.interrupted,
        filtered_by_kernel: filter
            .criteria()
            .filter(|criterion| !here.contains(criterion))
            .collect(),
        filtered_here: here,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share needs no more than 52 bits"
)]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        commands::who::text,
        say::port::Services,
        table::{
            aggregate::{Circumstances, HEAVY_KEYS},
            entry::Rules,
            timeouts::Timeouts,
        },
    };

    /// A full table of 500 entries that `early_drop` may evict.
    fn full(buckets: u64, filter: &Filter) -> NamespaceReport {
        let mut sums = Aggregate::new(Circumstances {
            rules: Rules::of((6, 12)),
            timeouts: Timeouts::default(),
            now: 0,
            idle_after: 3600,
            keys: HEAVY_KEYS,
        });
        sums.entries = 500;
        sums.evictable.early_drop = 500;
        let limits = Limits {
            max: Some(500),
            buckets: Some(buckets),
            entries: Some(500),
        };
        let seen = Seen {
            sums,
            outcome: Outcome::default(),
            time: String::new(),
            seconds: 0.0,
            attempts: 1,
            before: limits,
            after: limits,
        };
        let context = Context {
            container: None,
            owners: &Owners::default(),
            filter,
            evidence: Evidence::default(),
            top: 1,
        };
        NamespaceReport::new(&seen, &context)
    }

    #[test]
    fn what_may_be_evicted_is_mostly_not_found_among_many_buckets() {
        let report = full(262_144, &Filter::default());
        let chance = report.eviction_chance.unwrap();
        assert!((0.029..0.031).contains(&chance), "{chance}");
        let lines = text::lines(&report, &Services::default());
        let expected = "evictable  up to 500 (100 %) by early_drop (when the table is full, it finds one \
                        for about 3 % of new flows); 0 leave only by their timeout";
        assert!(lines.iter().any(|line| line == expected), "{lines:#?}");
        let report = full(512, &Filter::default());
        assert!(report.eviction_chance.unwrap() > 0.999);
    }

    #[test]
    fn of_some_entries_no_chance_is_told() {
        let filter = Filter {
            protocol: Some(17),
            ..Filter::default()
        };
        let report = full(262_144, &filter);
        assert_eq!(report.eviction_chance, None);
        let lines = text::lines(&report, &Services::default());
        assert!(
            lines
                .iter()
                .any(|line| line.contains("up to 500 (100 %) by early_drop; 0")),
            "{lines:#?}"
        );
    }

    #[test]
    fn no_kernel_filters_by_a_prefix() {
        let dump = |src: &str| {
            let filter = Filter {
                src: src.parse().ok(),
                ..Filter::default()
            };
            full(512, &filter).dump
        };
        let of = dump("10.0.0.0/8");
        assert_eq!(of.filtered_by_kernel, [Criterion::Family]);
        assert_eq!(of.filtered_here, [Criterion::Src]);
        let of = dump("10.0.0.1/32");
        assert_eq!(of.filtered_by_kernel, [Criterion::Family, Criterion::Src]);
        assert!(of.filtered_here.is_empty());
    }
}
