//! The numbers of a running host: two looks at all network namespaces, some
//! time apart, and looks at the entries alone in between.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::Serialize;

use crate::{
    kernel::{
        counters::{self, Counters, Totals},
        limits::{EntriesAt, Limits},
        netns::{Namespace, Namespaces, Unreadable, called::Netns},
    },
    observe::{
        check::proof::PacketRange,
        unread::{Remedies, Unread, UnreadableNamespace},
    },
    say::clock,
};

/// How often entries are read, the first look and the second among them.
const READINGS: u32 = 12;

/// A network namespace, and how it moves.
#[derive(Clone, Debug, Serialize)]
pub struct NamespaceUse {
    /// Inode of the namespace; none of a copied tree.
    pub netns: Option<u32>,
    /// What it is called.
    pub name: String,
    /// Entries in it.
    pub entries: Option<u64>,
    /// Entries allowed in it.
    pub max: Option<u64>,
    /// Counters since it was made, or since conntrack was loaded; each is summed
    /// over the processors and may have wrapped at 2³² in each.
    pub counters: Option<Totals>,
    /// Packets lost between the two looks; none if there was only one.
    pub refused: Option<PacketRange>,
    /// Change of `entries` for each second between the two looks.
    pub trend: Option<f64>,
    /// Change of the counters between the two looks.
    #[serde(skip)]
    pub growth: Option<Totals>,
    /// Its entries from the first look to the second.
    #[serde(skip)]
    pub samples: Vec<EntriesAt>,
    /// What it is called, for whoever acts on it.
    #[serde(skip)]
    pub called: Netns,
}

impl NamespaceUse {
    /// Entries of the limit, in per cent; none where there is no limit.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share, of numbers far below 2⁵²"
    )]
    pub fn share(&self) -> Option<f64> {
        let max = self.max.filter(|&max| max > 0)?;
        Some(self.entries? as f64 * 100.0 / max as f64)
    }
}

/// The use of all namespaces.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// The fullest first.
    pub namespaces: Vec<NamespaceUse>,
    /// Time between the two looks.
    pub apart: Duration,
    /// Namespaces that could not be looked into.
    pub unread: Unread,
    /// What else may not be seen from here, each as a sentence.
    pub warnings: Vec<String>,
}

/// A look at a namespace.
#[derive(Clone, Debug, Default)]
struct Look {
    at: Duration,
    limits: Limits,
    counters: Option<Counters>,
}

impl Look {
    fn at(namespace: &Namespace) -> Result<Self, Unreadable> {
        Ok(Self {
            at: Duration::from_nanos(clock::monotonic()),
            limits: namespace.limits()?,
            counters: namespace.counters()?,
        })
    }

    fn entries(&self) -> Option<u64> {
        let counted = self.counters.as_ref().and_then(|counters| counters.entries);
        self.limits.entries.or(counted)
    }

    fn sample(&self) -> Option<EntriesAt> {
        let (at, entries) = (self.at, self.entries()?);
        Some(EntriesAt { at, entries })
    }
}

/// Looks twice at all namespaces.
pub(crate) fn measure(interval: Duration) -> Usage {
    match Namespaces::discover() {
        Ok(namespaces) => look_twice(namespaces, interval),
        Err(error) => Usage {
            unread: Unread {
                not_found: Some(format!("{error:#}")),
                ..Unread::default()
            },
            ..Usage::default()
        },
    }
}

/// Looks twice at one namespace, by its name, inode number, `pid:PID` or path. Namespaces that
/// are hidden from ctdrop do not matter here.
pub(crate) fn measure_one(wanted: &str, interval: Duration) -> Result<Usage> {
    let namespaces = Namespaces::discover()?;
    let mut one = namespaces.find(wanted)?;
    one.host = namespaces.is_host(&one);
    let only = Namespaces {
        list: vec![one],
        hidden: Vec::new(),
        contained: false,
        warnings: Vec::new(),
        is_whole: true,
    };
    Ok(look_twice(only, interval))
}

fn look_twice(namespaces: Namespaces, interval: Duration) -> Usage {
    let began = Instant::now();
    let mut first: Vec<(&Namespace, Netns, Look)> = Vec::new();
    let mut unreadable: Vec<UnreadableNamespace> = Vec::new();
    for namespace in &namespaces.list {
        let called = Netns::of(namespace, namespaces.is_host(namespace));
        match Look::at(namespace) {
            Ok(look) => first.push((namespace, called, look)),
            Err(error) => unreadable.extend(UnreadableNamespace::of(&namespace.name, &error)),
        }
    }
    let found = first.len() + unreadable.len();
    let mut between = vec![Vec::new(); first.len()];
    for reading in 1..READINGS - 1 {
        // Where there are many namespaces, a reading may be late.
        thread::sleep((interval / (READINGS - 1) * reading).saturating_sub(began.elapsed()));
        if began.elapsed() >= interval {
            break;
        }
        for ((namespace, _, _), samples) in first.iter().zip(&mut between) {
            let at = Duration::from_nanos(clock::monotonic());
            let entries = namespace.limits().ok().and_then(|limits| limits.entries);
            samples.extend(entries.map(|entries| EntriesAt { at, entries }));
        }
    }
    thread::sleep(interval.saturating_sub(began.elapsed()));
    let apart = began.elapsed();
    let mut uses: Vec<NamespaceUse> = first
        .into_iter()
        .zip(between)
        .map(|((namespace, called, before), between)| {
            let after = Look::at(namespace).ok();
            describe(called, &before, &between, after.as_ref(), apart)
        })
        .collect();
    let share = |namespace: &NamespaceUse| namespace.share().unwrap_or(-1.0);
    uses.sort_by(|a, b| share(b).total_cmp(&share(a)));
    Usage {
        namespaces: uses,
        apart,
        unread: Unread {
            not_found: None,
            found,
            namespaces: unreadable,
            hidden: namespaces.hidden,
            contained: namespaces.contained,
            remedies: Remedies::now(),
        },
        warnings: namespaces.warnings,
    }
}

fn describe(
    called: Netns,
    before: &Look,
    between: &[EntriesAt],
    after: Option<&Look>,
    apart: Duration,
) -> NamespaceUse {
    let now = after.unwrap_or(before);
    let ends = [before.sample(), after.and_then(Look::sample)];
    let mut samples = between.to_vec();
    samples.extend(ends.into_iter().flatten());
    samples.sort_by_key(|sample| sample.at);
    let growth = after
        .and_then(|after| counters::delta(after.counters.as_ref()?, before.counters.as_ref()?));
    let trend = after.and_then(|after| trend(before.entries()?, after.entries()?, apart));
    NamespaceUse {
        netns: called.inode,
        name: called.name.clone(),
        entries: now.entries(),
        max: now.limits.max,
        counters: now.counters.as_ref().map(Counters::totals),
        refused: growth.as_ref().map(PacketRange::of),
        trend,
        growth,
        samples,
        called,
    }
}

/// Change for each second.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate, of numbers far below 2⁵²"
)]
fn trend(before: u64, after: u64, apart: Duration) -> Option<f64> {
    let seconds = apart.as_secs_f64();
    (seconds > 0.0).then(|| (after as f64 - before as f64) / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(second: u64, entries: u64) -> Look {
        Look {
            at: Duration::from_secs(second),
            limits: Limits {
                entries: Some(entries),
                ..Limits::default()
            },
            counters: None,
        }
    }

    #[test]
    fn the_rate_is_between_the_two_looks_and_the_samples_are_in_order() {
        let between = [EntriesAt {
            at: Duration::from_secs(2),
            entries: 1100,
        }];
        let (before, after) = (look(1, 1000), look(3, 1500));
        let apart = Duration::from_secs(2);
        let used = describe(Netns::default(), &before, &between, Some(&after), apart);
        assert_eq!(used.trend, Some(250.0));
        assert_eq!(used.entries, Some(1500));
        let entries: Vec<u64> = used.samples.iter().map(|sample| sample.entries).collect();
        assert_eq!(entries, [1000, 1100, 1500]);
        assert_eq!(trend(1, 2, Duration::ZERO), None);
    }
}
