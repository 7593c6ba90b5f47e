//! Follows conntrack's counters in every namespace of the host.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    kernel::{
        counters::{self, Counters, Totals},
        limits::Limits,
        netns::{Namespace, Namespaces},
    },
    observe::check::counter::{Counter, Growth},
};

/// How often namespaces are looked for without a reason: one that packets are
/// lost in for a reason that no program sees is found by nothing else.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The namespaces, and how far their counters have moved.
pub(crate) struct FollowedCounters {
    namespaces: Arc<Namespaces>,
    discovered: Instant,
    look_again: Duration,
    moved: BTreeMap<u32, Moved>,
    /// Numbers that the last discovery did not find.
    not_found: BTreeSet<u32>,
}

/// Counters of one namespace.
#[derive(Default)]
struct Moved {
    last: Last,
    growth: Growth,
}

/// What the next reading is to be compared with.
#[derive(Default)]
enum Last {
    /// Nothing: the counters must be taken as they come, since the namespace
    /// may be another one of the same number.
    #[default]
    Unknown,
    /// Zeros: the counters begin anew, and are followed from there.
    Zero,
    /// The last reading.
    Read(Counters),
}

impl FollowedCounters {
    pub(crate) fn discover() -> Result<Self> {
        Ok(Self {
            namespaces: Arc::new(Namespaces::discover()?),
            discovered: Instant::now(),
            look_again: LOOK_AGAIN,
            moved: BTreeMap::new(),
            not_found: BTreeSet::new(),
        })
    }

    /// Looks for namespaces at least this often.
    pub(crate) const fn look_again_after(&mut self, period: Duration) {
        self.look_again = period;
    }

    pub(crate) fn namespaces(&self) -> Arc<Namespaces> {
        Arc::clone(&self.namespaces)
    }

    /// Looks for namespaces anew if there is a reason: one of those in use is
    /// not known, or a known one is not where it was. Gives the numbers of the
    /// latter, which may now belong to others.
    pub(crate) fn refresh(&mut self, in_use: impl Iterator<Item = u32>) -> Result<Vec<u32>> {
        let unknown: BTreeSet<u32> = in_use
            .filter(|&netns| netns != 0 && self.namespaces.by_inode(netns).is_none())
            .collect();
        let again = self.discovered.elapsed() > self.look_again;
        let mut lost = lost(&self.namespaces);
        if again || !lost.is_empty() || !unknown.is_subset(&self.not_found) {
            let earlier = mem::replace(&mut self.namespaces, Arc::new(Namespaces::discover()?));
            // Those too that have made way for others meanwhile.
            lost = self::lost(&earlier);
            self.discovered = Instant::now();
            self.not_found = unknown
                .into_iter()
                .filter(|&netns| self.namespaces.by_inode(netns).is_none())
                .collect();
        }
        for netns in &lost {
            if let Some(moved) = self.moved.get_mut(netns) {
                moved.last = Last::Unknown;
            }
        }
        Ok(lost)
    }

    /// Takes the counters as they are now for the start of the growth.
    pub(crate) fn begin(&mut self) {
        for (netns, now) in self.counters() {
            let nothing = counters::delta(&now, &now).unwrap_or_default();
            let moved = Moved {
                growth: growth(&nothing),
                last: Last::Read(now),
            };
            self.moved.insert(netns, moved);
        }
    }

    /// The counters of each namespace that can be read now.
    pub(crate) fn counters(&self) -> BTreeMap<u32, Counters> {
        self.namespaces
            .list
            .iter()
            .filter_map(|namespace: &Namespace| {
                let counters = namespace.counters().ok().flatten()?;
                // Else it may be another one by now that was read.
                namespace
                    .is_where_it_was()
                    .then_some((namespace.inode, counters))
            })
            .collect()
    }

    /// Adds what the counters of a namespace have moved since the last time;
    /// gives the growth since the start. One that appears is followed from
    /// zero, as a namespace is made with zeros.
    pub(crate) fn record(&mut self, netns: u32, now: Counters) -> Growth {
        let nothing = || counters::delta(&now, &now).unwrap_or_default();
        let since = match self.moved.get(&netns).map(|moved| &moved.last) {
            // Nothing where the counters began anew unseen.
            Some(Last::Read(last)) => counters::delta(&now, last).unwrap_or_else(nothing),
            Some(Last::Unknown) => nothing(),
            Some(Last::Zero) | None => now.totals(),
        };
        let moved = self.moved.entry(netns).or_default();
        moved.last = Last::Read(now);
        for (counter, grown) in growth(&since) {
            *moved.growth.entry(counter).or_default() += grown;
        }
        moved.growth.clone()
    }

    /// Whether the counters of a namespace are not those that were followed
    /// until now, but began anew.
    pub(crate) fn began_anew(&self, netns: u32, now: &Counters) -> bool {
        matches!(
            self.moved.get(&netns).map(|moved| &moved.last),
            Some(Last::Read(last)) if counters::delta(now, last).is_none()
        )
    }

    /// All counters are gone, and will begin anew at zero. Gives the namespaces
    /// that were followed.
    pub(crate) fn restart(&mut self) -> Vec<u32> {
        for moved in self.moved.values_mut() {
            moved.last = Last::Zero;
        }
        self.moved.keys().copied().collect()
    }

    /// What these counters have shown so far.
    pub(crate) fn grown(&self, counters: &[Counter]) -> u64 {
        self.moved
            .values()
            .flat_map(|moved| &moved.growth)
            .filter(|(counter, _)| counters.contains(counter))
            .map(|(_, grown)| grown)
            .sum()
    }

    /// Everything that counters of refusals and evictions have shown so far.
    pub(crate) fn refusals(&self) -> u64 {
        self.moved
            .values()
            .flat_map(|moved| &moved.growth)
            .filter(|&(&counter, _)| counter != Counter::ClashResolve)
            .map(|(_, grown)| grown)
            .sum()
    }

    /// The entries of each namespace when its counters were last read.
    pub(crate) fn entries(&self) -> BTreeMap<u32, u64> {
        let of = |netns: u32| match &self.moved.get(&netns)?.last {
            Last::Read(counters) => counters.entries,
            Last::Unknown | Last::Zero => None,
        };
        let list = self.namespaces.list.iter();
        list.filter_map(|namespace| Some((namespace.inode, of(namespace.inode)?)))
            .collect()
    }

    /// The largest share of the limit that a namespace used when its counters
    /// were last read. 0 if there is no limit, or it cannot be read.
    pub(crate) fn fill(&self) -> f64 {
        let max = Limits::read().ok().and_then(|limits| limits.max);
        let entries = self.moved.values().filter_map(|moved| match &moved.last {
            Last::Read(counters) => counters.entries,
            Last::Unknown | Last::Zero => None,
        });
        match (max, entries.max()) {
            (Some(max), Some(entries)) if max > 0 => share(entries, max),
            _ => 0.0,
        }
    }
}

/// The numbers of those that are not where they were.
fn lost(namespaces: &Namespaces) -> Vec<u32> {
    namespaces
        .list
        .iter()
        .filter(|namespace| !namespace.is_where_it_was())
        .map(|namespace| namespace.inode)
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a table has far less than 2^52 entries"
)]
fn share(entries: u64, max: u64) -> f64 {
    entries as f64 / max as f64
}

/// Whether the counters that refusals move are the same.
pub(crate) fn same_refusals(one: &Counters, other: &Counters) -> bool {
    growth(&one.totals()) == growth(&other.totals())
}

/// By counter; without those that this kernel does not have.
pub(crate) fn growth(since: &Totals) -> Growth {
    Counter::ALL
        .into_iter()
        .filter_map(|counter| Some((counter, value(since, counter)?)))
        .collect()
}

const fn value(totals: &Totals, counter: Counter) -> Option<u64> {
    match counter {
        Counter::Drop => totals.drop,
        Counter::InsertFailed => totals.insert_failed,
        Counter::EarlyDrop => totals.early_drop,
        Counter::ClashResolve => totals.clash_resolve,
        Counter::ChainTooLong => totals.chaintoolong,
    }
}
