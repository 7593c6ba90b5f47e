//! A table looked at once, and twice where one look cannot tell.

use std::{sync::atomic::AtomicBool, thread, time::SystemTime};

use anyhow::{Context as _, Result};

use crate::{
    kernel::{netns::Namespace, release::Release},
    table::{
        aggregate::{Aggregate, Circumstances, HEAVY_KEYS},
        dump::{self, Outcome},
        entry::Rules,
        filter::Filter,
        owners::Owners,
        second_look,
        socket::{Socket, Unless},
        timeouts::Timeouts,
    },
};

/// How a table is looked at.
pub struct Survey<'a> {
    /// Which entries are wanted.
    pub filter: &'a Filter,
    /// Whose addresses are whose.
    pub owners: &'a Owners,
    /// The kernel's rules of eviction.
    pub rules: Rules,
    /// Seconds without a packet from which on an established connection is idle.
    pub idle_after: u32,
    /// Keys that each of the three great groups has room for.
    pub keys: usize,
    /// Whether the sums are such that connections have to be looked at twice.
    pub in_doubt: fn(&Aggregate) -> bool,
}

/// Looks at the whole table of a namespace, for who is heaviest in it;
/// `owners`, `idle_after` and `in_doubt` as in [`Survey`].
pub fn whole(
    namespace: &Namespace,
    owners: &Owners,
    idle_after: u32,
    in_doubt: fn(&Aggregate) -> bool,
) -> Result<Aggregate> {
    let release = Release::running()?;
    let look = || {
        let survey = Survey {
            filter: &Filter::default(),
            owners,
            rules: Rules::of((release.major, release.minor)),
            idle_after,
            keys: HEAVY_KEYS,
            in_doubt,
        };
        let (mut sums, _) = survey.first(&AtomicBool::new(false), &mut |_| {})?;
        survey.second(&mut sums);
        Ok(sums)
    };
    Ok(namespace.inside(look)?)
}

impl Survey<'_> {
    /// Dumps the table of the namespace that the calling thread is in, and adds it
    /// up, until somebody wants it to `stop`. `progress` hears now and then how
    /// many entries have been received.
    pub fn first(
        &self,
        stop: &AtomicBool,
        progress: &mut impl FnMut(u64),
    ) -> Result<(Aggregate, Outcome)> {
        let source = Socket::open().context("cannot open a netfilter netlink socket")?;
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut sums = Aggregate::new(Circumstances {
            rules: self.rules,
            timeouts: Timeouts::read(),
            now: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            idle_after: self.idle_after,
            keys: self.keys,
        });
        let outcome = dump::dump(
            &mut Unless { stop, source },
            self.filter,
            &mut |entry| sums.add(entry, self.owners),
            progress,
        )?;
        Ok((sums, outcome))
    }

    /// Looks again at connections that may be idle, if there are so many that it
    /// matters. What cannot be looked at again stays as the first look has it.
    pub fn second(&self, sums: &mut Aggregate) {
        if !(self.in_doubt)(sums) {
            return;
        }
        let Ok(mut source) = Socket::open() else {
            return;
        };
        let entries = sums.in_question.entries();
        if let Ok(pairs) = second_look::look(&mut source, entries, thread::sleep) {
            sums.judge(&pairs);
        }
    }
}
