//! Compares what the programs counted with the kernel's own counters, all the time.
//!
//! For each namespace and counter the *excess* is what the kernel counted
//! since just before the programs were attached, less what they counted. It
//! starts at what happened before they were attached, and must not change
//! after that. Kernel and programs cannot be read at the same instant, so each
//! reading gives the excess only as a range: the programs are read before and
//! after the counter. While packets pour in the range is wide; whenever they
//! pause it is a single number. The ranges of all readings together bound how
//! far the excess has moved, and a window edge can never look like a loss.
//!
//! While not all programs are attached the excess may grow: by what only the
//! counters show ([`Coverage`]).

use std::collections::{BTreeMap, BTreeSet};

use conntrack_ebpf::Reason;

use crate::observe::{
    backend::Backend,
    check::{
        counter::{Counter, Growth},
        excess::{Coverage, Excess, positive},
        verdict::{self, Unseen, Verdict},
    },
    counts::{health::Missed, totals::Totals},
};

/// One look at a namespace.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// The programs' totals, read before the counters.
    pub before: &'a Totals,
    /// The counters.
    pub kernel: &'a Growth,
    /// The programs' totals, read after the counters.
    pub after: &'a Totals,
    /// Packets that may be between a counter and a program at this moment: at
    /// most two for each CPU, 0 if nothing at all moved during the look.
    pub in_flight: u64,
}

/// All readings so far.
#[derive(Debug, Default)]
pub struct Ledger {
    excess: BTreeMap<(u32, Counter), Excess>,
    growth: BTreeMap<u32, Growth>,
    /// What the programs had counted at the last reading.
    counted: BTreeMap<u32, Totals>,
    /// Drops that were never checked, of namespaces that had ended.
    gone: BTreeMap<u32, u64>,
    /// Namespaces that the next reading is to be taken of as it comes.
    open: BTreeSet<u32>,
    coverage: Coverage,
    /// By counter: the coverage of the last period in which not all programs were attached
    /// that see what moves this counter.
    last_partial: BTreeMap<Counter, Coverage>,
}

impl Ledger {
    /// Takes in a look at a namespace.
    ///
    /// Where the first one shows more than the kernel has counted, the rest was
    /// lost in other namespaces, which had the same number and ended before
    /// anybody looked.
    pub fn read(&mut self, netns: u32, reading: &Reading<'_>) {
        let in_flight = reading.in_flight.cast_signed();
        let first = !self.growth.contains_key(&netns);
        let mut of_others = 0;
        for (&counter, &grown) in reading.kernel {
            let grown = grown.cast_signed();
            let low = grown - counter.expected(reading.after) - in_flight;
            let high = grown - counter.expected(reading.before) + in_flight;
            let last_partial = self.last_partial(counter);
            let excess = self.excess.entry((netns, counter)).or_insert(Excess::START);
            if first && high < 0 {
                excess.reopen_at_zero(last_partial);
                if matches!(counter, Counter::Drop | Counter::InsertFailed) {
                    // Some of them may turn out to be checked, but none is left out.
                    of_others += low.unsigned_abs();
                }
            }
            match self.coverage.of(counter) {
                Coverage::Full | Coverage::Allocations => excess.narrow((low, high)),
                Coverage::AtRest | Coverage::None => excess.rise((low, high)),
            }
        }
        let mut counted = reading.before;
        if self.open.remove(&netns) && !first {
            // It is followed from here on: what may have come before it is not.
            counted = reading.after;
            let gone = self.unchecked(netns, counted) + reading.in_flight;
            self.gone.insert(netns, gone);
        }
        if of_others > 0 {
            // A clash moves two counters, and is one packet.
            let packets = of_others.min(reading.after.drops());
            let gone = self.gone.entry(netns).or_default();
            *gone = packets.max(*gone);
        }
        self.growth.insert(netns, reading.kernel.clone());
        self.counted.insert(netns, *counted);
    }

    /// From now on the programs see this much. Belongs right after a reading of
    /// every namespace.
    pub fn cover(&mut self, coverage: Coverage) {
        for counter in Counter::ALL {
            let (before, now) = (self.coverage.of(counter), coverage.of(counter));
            if now != Coverage::Full && now != before {
                let last_partial = self.last_partial(counter);
                let excesses = self.excess.iter_mut();
                for (_, excess) in excesses.filter(|((_, of), _)| *of == counter) {
                    excess.settle(last_partial);
                }
                self.last_partial.insert(counter, now);
            }
        }
        self.coverage = coverage;
    }

    fn last_partial(&self, counter: Counter) -> Coverage {
        self.last_partial.get(&counter).copied().unwrap_or_default()
    }

    /// A namespace has ended, or may have: what follows under its number is
    /// taken as it comes, and what was lost there since its last reading stays
    /// unchecked.
    pub fn reopen(&mut self, netns: u32, counted: Option<&Totals>) {
        if let Some(counted) = counted {
            // With what was gone before.
            let gone = self.unchecked(netns, counted) + self.in_doubt(netns);
            self.gone.insert(netns, gone);
            self.counted.insert(netns, *counted);
        }
        self.open.insert(netns);
        for (&(_, counter), excess) in self
            .excess
            .range_mut((netns, Counter::Drop)..=(netns, Counter::ChainTooLong))
        {
            let last_partial = self.last_partial.get(&counter);
            excess.reopen(last_partial.copied().unwrap_or_default());
        }
    }

    /// The counters of a namespace, which begin at zero, are followed from
    /// there; what was lost there since the last reading stays unchecked.
    pub fn restart(&mut self, netns: u32, counted: &Totals) {
        self.reopen(netns, Some(counted));
        self.open.remove(&netns);
        let growth = self.growth.entry(netns).or_default();
        for (&counter, &grown) in growth.iter() {
            let now = grown.cast_signed() - counter.expected(counted);
            if let Some(excess) = self.excess.get_mut(&(netns, counter)) {
                excess.set(now);
            }
        }
    }

    /// Packets that the programs have counted in a namespace, and that no
    /// reading of its counters was compared with.
    pub fn unchecked(&self, netns: u32, counted: &Totals) -> u64 {
        let checked = self.counted.get(&netns).map_or(0, Totals::drops);
        let gone = self.gone.get(&netns).copied().unwrap_or(0);
        (gone + counted.drops().saturating_sub(checked)).min(counted.drops())
    }

    /// Packets that the programs had counted at the last reading, and that the
    /// kernel can as well have counted before it was watched: all readings were
    /// taken while packets moved.
    fn in_doubt(&self, netns: u32) -> u64 {
        let drop = (netns, Counter::Drop);
        let (Some(excess), Some(counted)) = (self.excess.get(&drop), self.counted.get(&netns))
        else {
            return 0;
        };
        let checked = self.growth_of(netns, Counter::Drop).cast_signed();
        positive(Counter::Drop.expected(counted) - checked).min(excess.doubt())
    }

    /// How much a counter of a namespace has grown while the programs were
    /// attached.
    fn growth_of(&self, netns: u32, counter: Counter) -> u64 {
        let grown = self.growth.get(&netns).and_then(|of| of.get(&counter));
        let excess = self.excess.get(&(netns, counter));
        let mut before = excess.map_or(0, Excess::before);
        if counter == Counter::Drop {
            // These came later, if the counter counts them at all.
            before = before.saturating_sub(self.undecided(netns));
        }
        grown.copied().unwrap_or(0).saturating_sub(before)
    }

    /// The growth of each counter while the programs were attached, summed
    /// over namespaces, at the last reading of each. What a counter can have
    /// grown by before they were attached is taken off.
    pub fn growth(&self, of: impl Fn(u32) -> bool) -> Growth {
        let mut sum = Growth::new();
        for (&netns, growth) in self.growth.iter().filter(|&(&netns, _)| of(netns)) {
            for &counter in growth.keys() {
                *sum.entry(counter).or_default() += self.growth_of(netns, counter);
            }
        }
        sum
    }

    /// What the readings prove, over the namespaces that `of` selects.
    pub fn verdict(&self, backend: Backend, missed: &Missed, of: impl Fn(u32) -> bool) -> Verdict {
        let unseen = self
            .growth
            .keys()
            .copied()
            .filter(|&netns| of(netns))
            .map(|netns| self.unseen(netns));
        verdict::judge(backend, missed, unseen)
    }

    /// What a counter has surely shown in all namespaces and no program saw, although the
    /// programs were attached that see what moves it.
    pub(crate) fn unseen_of(&self, counter: Counter) -> u64 {
        let excesses = self.excess.iter();
        excesses
            .filter(|((_, of), _)| *of == counter)
            .map(|(_, excess)| excess.unseen())
            .sum()
    }

    /// Packets that either conntrack refused or a rule dropped: as many as the programs
    /// could not decide, but no more than the counter has besides those they counted.
    fn rule_or_refused(&self, netns: u32) -> u64 {
        let undecided = self.undecided(netns);
        let excess = self.excess.get(&(netns, Counter::Drop));
        undecided.min(excess.map_or(0, |excess| excess.unseen() + excess.before()))
    }

    fn undecided(&self, netns: u32) -> u64 {
        let counted = self.counted.get(&netns);
        counted.map_or(0, |counted| counted.of(Reason::RuleOrRefused))
    }

    fn unseen(&self, netns: u32) -> Unseen {
        let mut unseen = Unseen {
            rule_or_refused: self.rule_or_refused(netns),
            ..Unseen::default()
        };
        for counter in Counter::ALL {
            if let Some(excess) = self.excess.get(&(netns, counter)) {
                let grown = |of| excess.grown(of, self.last_partial(counter));
                unseen.by_counter.insert(counter, excess.unseen());
                unseen.at_rest.insert(counter, grown(Coverage::AtRest));
                unseen.unwatched.insert(counter, grown(Coverage::None));
                unseen.unconfirmed += excess.unconfirmed();
            }
        }
        unseen
    }
}

#[cfg(test)]
mod tests;
