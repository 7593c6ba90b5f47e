//! The numbers of a running host: two looks at all network namespaces, some
//! time apart.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    kernel::{
        counters::{self, Counters, Totals},
        limits::Limits,
        netns::{Namespace, Namespaces, Unreadable, called::Netns},
    },
    observe::{
        check::proof::PacketRange,
        unread::{Remedies, Unread, UnreadableNamespace},
    },
};

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
    /// Seconds until it is full, if that goes on; none if it does not grow.
    pub full_in: Option<f64>,
    /// Change of the counters between the two looks.
    #[serde(skip)]
    pub growth: Option<Totals>,
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
    limits: Limits,
    counters: Option<Counters>,
}

impl Look {
    fn at(namespace: &Namespace) -> Result<Self, Unreadable> {
        Ok(Self {
            limits: namespace.limits()?,
            counters: namespace.counters()?,
        })
    }

    fn entries(&self) -> Option<u64> {
        let counted = self.counters.as_ref().and_then(|counters| counters.entries);
        self.limits.entries.or(counted)
    }
}

/// Looks twice.
pub(crate) fn measure(interval: Duration) -> Usage {
    let namespaces = match Namespaces::discover() {
        Ok(namespaces) => namespaces,
        Err(error) => {
            return Usage {
                unread: Unread {
                    not_found: Some(format!("{error:#}")),
                    ..Unread::default()
                },
                ..Usage::default()
            };
        }
    };
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
    thread::sleep(interval);
    let apart = began.elapsed();
    let mut uses: Vec<NamespaceUse> = first
        .into_iter()
        .map(|(namespace, called, before)| {
            let after = Look::at(namespace).ok();
            describe(called, &before, after.as_ref(), apart)
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

fn describe(called: Netns, before: &Look, after: Option<&Look>, apart: Duration) -> NamespaceUse {
    let now = after.unwrap_or(before);
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
        full_in: full_in(now.entries(), now.limits.max, trend),
        growth,
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

/// Seconds until a table is full.
#[expect(
    clippy::cast_precision_loss,
    reason = "a time, of numbers far below 2⁵²"
)]
fn full_in(entries: Option<u64>, max: Option<u64>, trend: Option<f64>) -> Option<f64> {
    let rate = trend.filter(|&rate| rate > 0.0)?;
    let left = max.filter(|&max| max > 0)?.saturating_sub(entries?);
    Some(left as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_to_full() {
        let rate = trend(1000, 1500, Duration::from_secs(2));
        assert_eq!(rate, Some(250.0));
        assert_eq!(full_in(Some(1500), Some(4000), rate), Some(10.0));
        assert_eq!(full_in(Some(1500), Some(0), rate), None, "0 is no limit");
        assert_eq!(full_in(Some(4001), Some(4000), rate), Some(0.0));
        assert_eq!(
            full_in(Some(1), Some(2), trend(5, 1, Duration::from_secs(1))),
            None
        );
        assert_eq!(trend(1, 2, Duration::ZERO), None);
    }
}
