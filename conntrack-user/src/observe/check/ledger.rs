//! Holds what the programs counted against the kernel's own counters, all the
//! time.
//!
//! For each namespace and counter the *surplus* is what the kernel counted
//! since just before the programs were attached, less what they counted. It
//! starts at what happened before they were attached, and must not change
//! after that. Kernel and programs cannot be read at the same instant, so each
//! reading gives the surplus only as a range: the programs are read before and
//! after the counter. While packets pour in the range is wide; whenever they
//! pause it is a single number. The ranges of all readings together bound how
//! far the surplus has moved, and a window edge can never look like a loss.
//!
//! While not all programs are attached the surplus may grow: by what only the
//! counters show ([`Coverage`]).

use std::collections::{BTreeMap, BTreeSet};

use crate::observe::{
    backend::Backend,
    check::{
        counter::{Counter, Growth},
        surplus::{Coverage, Surplus, positive},
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
    surplus: BTreeMap<(u32, Counter), Surplus>,
    growth: BTreeMap<u32, Growth>,
    /// What the programs had counted at the last reading.
    counted: BTreeMap<u32, Totals>,
    /// Drops that were never checked, of namespaces that had ended.
    gone: BTreeMap<u32, u64>,
    /// Namespaces that the next reading is to be taken of as it comes.
    open: BTreeSet<u32>,
    coverage: Coverage,
    /// That of the last period in which not all programs were attached.
    last_partial: Coverage,
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
            let surplus = self
                .surplus
                .entry((netns, counter))
                .or_insert(Surplus::START);
            if first && high < 0 {
                surplus.reopen_at_zero(self.last_partial);
                if matches!(counter, Counter::Drop | Counter::InsertFailed) {
                    // Some of them may turn out to be checked, but none is left out.
                    of_others += low.unsigned_abs();
                }
            }
            match self.coverage {
                Coverage::Full => surplus.narrow((low, high)),
                Coverage::AtRest | Coverage::None => surplus.rise((low, high)),
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
        if coverage != Coverage::Full && coverage != self.coverage {
            for surplus in self.surplus.values_mut() {
                surplus.settle(self.last_partial);
            }
            self.last_partial = coverage;
        }
        self.coverage = coverage;
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
        for (_, surplus) in self
            .surplus
            .range_mut((netns, Counter::Drop)..=(netns, Counter::ChainTooLong))
        {
            surplus.reopen(self.last_partial);
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
            if let Some(surplus) = self.surplus.get_mut(&(netns, counter)) {
                surplus.set(now);
            }
        }
    }

    /// Packets that the programs have counted in a namespace, and that no
    /// reading of its counters has been held against.
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
        let (Some(surplus), Some(counted)) = (self.surplus.get(&drop), self.counted.get(&netns))
        else {
            return 0;
        };
        let checked = self.growth_of(netns, Counter::Drop).cast_signed();
        positive(Counter::Drop.expected(counted) - checked).min(surplus.doubt())
    }

    /// How much a counter of a namespace has grown while the programs were
    /// attached.
    fn growth_of(&self, netns: u32, counter: Counter) -> u64 {
        let grown = self.growth.get(&netns).and_then(|of| of.get(&counter));
        let before = self.surplus.get(&(netns, counter));
        grown
            .copied()
            .unwrap_or(0)
            .saturating_sub(before.map_or(0, Surplus::before))
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

    /// What the readings prove, over the namespaces chosen.
    pub fn verdict(&self, backend: Backend, missed: &Missed, of: impl Fn(u32) -> bool) -> Verdict {
        let unseen = self
            .growth
            .keys()
            .copied()
            .filter(|&netns| of(netns))
            .map(|netns| self.unseen(netns));
        verdict::judge(backend, missed, unseen)
    }

    fn unseen(&self, netns: u32) -> Unseen {
        let mut unseen = Unseen::default();
        for counter in Counter::ALL {
            if let Some(surplus) = self.surplus.get(&(netns, counter)) {
                let grown = |of| surplus.grown(of, self.last_partial);
                unseen.by_counter.insert(counter, surplus.unseen());
                unseen.at_rest.insert(counter, grown(Coverage::AtRest));
                unseen.unwatched.insert(counter, grown(Coverage::None));
                unseen.invented += surplus.invented();
            }
        }
        unseen
    }
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::{Reason, TotalCounts};

    use super::*;

    fn totals(packets: &[(Reason, u64)]) -> Totals {
        let mut counts = TotalCounts::default();
        for &(reason, amount) in packets {
            counts.slots[reason as usize] = amount;
        }
        let mut totals = Totals::default();
        totals.add(&counts);
        totals
    }

    fn growth(drop: u64, insert_failed: u64) -> Growth {
        [
            (Counter::Drop, drop),
            (Counter::InsertFailed, insert_failed),
        ]
        .into()
    }

    /// A look while nothing moves.
    fn quiet(ledger: &mut Ledger, totals: &Totals, kernel: &Growth) {
        let reading = Reading {
            before: totals,
            kernel,
            after: totals,
            in_flight: 0,
        };
        ledger.read(1, &reading);
    }

    /// A look while packets are refused for a full table, by these numbers.
    fn in_flood(ledger: &mut Ledger, before: u64, kernel: u64, after: u64) {
        let reading = Reading {
            before: &totals(&[(Reason::TableFull, before)]),
            kernel: &growth(kernel, 0),
            after: &totals(&[(Reason::TableFull, after)]),
            in_flight: 4,
        };
        ledger.read(1, &reading);
    }

    fn unexplained(ledger: &Ledger) -> u64 {
        ledger
            .verdict(Backend::Fexit, &Missed::default(), |_| true)
            .unexplained
    }

    #[test]
    fn a_clash_in_two_counters_is_one_drop() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        let seen = totals(&[
            (Reason::TableFull, 5),
            (Reason::Clash, 3),
            (Reason::Dying, 1),
        ]);
        quiet(&mut ledger, &seen, &growth(8, 4));
        assert_eq!(unexplained(&ledger), 0);
    }

    #[test]
    fn what_came_before_the_programs_is_no_loss() {
        let mut ledger = Ledger::default();
        quiet(
            &mut ledger,
            &totals(&[(Reason::TableFull, 2)]),
            &growth(40, 0),
        );
        quiet(
            &mut ledger,
            &totals(&[(Reason::TableFull, 12)]),
            &growth(50, 0),
        );
        assert_eq!(unexplained(&ledger), 0);
        assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 12);
    }

    #[test]
    fn one_packet_too_few_or_too_many_is_found() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        quiet(
            &mut ledger,
            &totals(&[(Reason::TableFull, 9)]),
            &growth(10, 0),
        );
        assert_eq!(unexplained(&ledger), 1);
        assert_eq!(
            ledger
                .verdict(Backend::Fexit, &Missed::default(), |_| true)
                .other,
            1
        );

        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        quiet(
            &mut ledger,
            &totals(&[(Reason::TableFull, 11)]),
            &growth(10, 0),
        );
        assert_eq!(unexplained(&ledger), 1);
    }

    #[test]
    fn a_skipped_program_explains_as_many_as_it_was_skipped() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        quiet(
            &mut ledger,
            &totals(&[(Reason::TableFull, 7)]),
            &growth(10, 0),
        );
        let missed = Missed {
            allocations: 2,
            ..Missed::default()
        };
        let verdict = ledger.verdict(Backend::Fexit, &missed, |_| true);
        assert_eq!((verdict.other, verdict.unexplained), (3, 1));
    }

    #[test]
    fn an_eviction_whose_program_was_skipped_is_told_by_its_counter() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &[(Counter::EarlyDrop, 0)].into());
        let seen = totals(&[(Reason::Evicted, 8)]);
        quiet(&mut ledger, &seen, &[(Counter::EarlyDrop, 9)].into());
        let missed = Missed {
            evictions: 1,
            ..Missed::default()
        };
        let verdict = ledger.verdict(Backend::Kprobe, &missed, |_| true);
        assert_eq!(verdict.from_counters, [(Reason::Evicted, 1)].into());
        assert_eq!((verdict.other, verdict.unexplained), (0, 0));
    }

    #[test]
    fn what_a_skipped_program_left_is_not_told_again_when_all_are_detached() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        let seen = totals(&[(Reason::TableFull, 7)]);
        quiet(&mut ledger, &seen, &growth(10, 0));
        let missed = Missed {
            allocations: 3,
            ..Missed::default()
        };
        let other = |ledger: &Ledger| ledger.verdict(Backend::Fexit, &missed, |_| true).other;
        assert_eq!(other(&ledger), 3);
        ledger.cover(Coverage::None);
        assert_eq!(other(&ledger), 3);
        quiet(&mut ledger, &seen, &growth(12, 0));
        assert_eq!(other(&ledger), 5);
        // All are attached again, and another run is skipped.
        ledger.cover(Coverage::Full);
        quiet(&mut ledger, &seen, &growth(13, 0));
        assert_eq!(other(&ledger), 6);
        assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 13);
        // The module goes, with its counters, and comes back.
        ledger.cover(Coverage::None);
        ledger.restart(1, &seen);
        quiet(&mut ledger, &seen, &growth(14, 0));
        ledger.cover(Coverage::Full);
        quiet(&mut ledger, &seen, &growth(16, 0));
        assert_eq!(other(&ledger), 9);
        assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 16);
    }

    #[test]
    fn no_moment_of_a_flood_looks_like_a_loss() {
        // A true count that grows between the three readings of every look,
        // and starts before the programs do.
        let mut ledger = Ledger::default();
        let mut truth = 1000;
        let before_attach = truth;
        for step in 0..200_u64 {
            let seen = |truth: u64| totals(&[(Reason::TableFull, truth - before_attach)]);
            let before = seen(truth);
            truth += step % 7 * 100;
            let kernel = growth(truth, 0);
            truth += step % 5 * 100;
            let after = seen(truth);
            let reading = Reading {
                before: &before,
                kernel: &kernel,
                after: &after,
                in_flight: 4,
            };
            ledger.read(1, &reading);
            assert_eq!(unexplained(&ledger), 0, "step {step}");
        }
    }

    #[test]
    fn the_tracepoint_learns_the_rest_from_the_counters() {
        let mut ledger = Ledger::default();
        let mut kernel: Growth = Counter::ALL.map(|counter| (counter, 0)).into();
        quiet(&mut ledger, &totals(&[]), &kernel);
        kernel.insert(Counter::Drop, 105);
        kernel.insert(Counter::InsertFailed, 12);
        kernel.insert(Counter::ChainTooLong, 6);
        kernel.insert(Counter::EarlyDrop, 3);
        quiet(&mut ledger, &totals(&[(Reason::TableFull, 100)]), &kernel);
        let verdict = ledger.verdict(Backend::Tracepoint, &Missed::default(), |_| true);
        let proved: Vec<_> = verdict.from_counters.into_iter().collect();
        assert_eq!(
            proved,
            [
                (Reason::Clash, 5),
                (Reason::ChainTooLong, 6),
                (Reason::Evicted, 3)
            ]
        );
        assert_eq!((verdict.other, verdict.unexplained), (1, 0));
    }

    #[test]
    fn a_namespace_that_ends_leaves_what_was_not_checked_and_no_alarm() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        quiet(
            &mut ledger,
            &totals(&[(Reason::TableFull, 10)]),
            &growth(10, 0),
        );
        // Five more packets, then the end; another namespace gets the number.
        let last = totals(&[(Reason::TableFull, 15)]);
        ledger.reopen(1, Some(&last));
        quiet(&mut ledger, &last, &growth(10, 0));
        let next = totals(&[(Reason::TableFull, 18)]);
        quiet(&mut ledger, &next, &growth(13, 0));
        assert_eq!(unexplained(&ledger), 0);
        assert_eq!(ledger.unchecked(1, &next), 5);
        // However often the namespace may have ended.
        ledger.reopen(1, Some(&next));
        ledger.reopen(1, Some(&next));
        quiet(&mut ledger, &next, &growth(13, 0));
        assert_eq!(ledger.unchecked(1, &next), 5);
        // What was lost until the first reading after that is unchecked, too.
        ledger.reopen(1, Some(&next));
        let next = totals(&[(Reason::TableFull, 20)]);
        quiet(&mut ledger, &next, &growth(13, 0));
        assert_eq!(ledger.unchecked(1, &next), 7);
        // And a loss in the new one is still seen.
        quiet(&mut ledger, &next, &growth(14, 0));
        assert_eq!(unexplained(&ledger), 1);
    }

    #[test]
    fn what_the_counters_of_an_ended_namespace_showed_stays_known() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(40, 0));
        let last = totals(&[(Reason::TableFull, 10)]);
        quiet(&mut ledger, &last, &growth(50, 0));
        ledger.reopen(1, Some(&last));
        assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 10);
    }

    #[test]
    fn packets_of_namespaces_that_nobody_saw_are_unchecked() {
        let mut ledger = Ledger::default();
        // Seven packets in one namespace, then three in the next of its number.
        let seen = totals(&[(Reason::TableFull, 10)]);
        quiet(&mut ledger, &seen, &growth(3, 0));
        assert_eq!(unexplained(&ledger), 0);
        assert_eq!(ledger.unchecked(1, &seen), 7);
        assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 3);
        // A loss in that one is still seen.
        quiet(&mut ledger, &seen, &growth(4, 0));
        assert_eq!(unexplained(&ledger), 1);
    }

    #[test]
    fn those_that_nobody_saw_are_unchecked_also_in_the_middle_of_a_flood() {
        let mut ledger = Ledger::default();
        // 41 in one namespace, then nine in the next of its number, which is looked
        // at after the third, or a little later: two are on their way.
        in_flood(&mut ledger, 43, 3, 44);
        let last = totals(&[(Reason::TableFull, 50)]);
        quiet(&mut ledger, &last, &growth(9, 0));
        assert_eq!(unexplained(&ledger), 0);
        let checked = ledger.growth(|_| true)[&Counter::Drop];
        assert_eq!(checked, 9);
        assert!((41..=45).contains(&ledger.unchecked(1, &last)));
    }

    #[test]
    fn a_namespace_that_lived_only_in_a_flood_leaves_none_out() {
        let mut ledger = Ledger::default();
        in_flood(&mut ledger, 30, 31, 33);
        // Four of them may have come before it was watched.
        assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 26);
        let seen = totals(&[(Reason::TableFull, 40)]);
        ledger.reopen(1, Some(&seen));
        assert_eq!(ledger.unchecked(1, &seen), 14);
        // Another one of its number.
        in_flood(&mut ledger, 42, 31, 47);
        let seen = totals(&[(Reason::TableFull, 60)]);
        ledger.reopen(1, Some(&seen));
        assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 26);
        assert_eq!(ledger.unchecked(1, &seen), 14 + 20 + 4);
        assert_eq!(unexplained(&ledger), 0);
    }

    /// A ledger at rest that saw three packets refused by programs and seven
    /// for the length of their chain by counters alone, then was armed, in the
    /// middle of a flood.
    #[test]
    fn what_only_counters_show_at_rest_is_explained_and_exact_at_the_next_quiet_moment() {
        let kernel = |drop, failed, chains| -> Growth {
            [
                (Counter::Drop, drop),
                (Counter::InsertFailed, failed),
                (Counter::ChainTooLong, chains),
            ]
            .into()
        };
        let full = |packets| totals(&[(Reason::TableFull, packets)]);
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &full(0), &kernel(40, 2, 2));
        ledger.cover(Coverage::AtRest);
        quiet(&mut ledger, &full(3), &kernel(43, 9, 9));
        // The flood goes on while the programs are attached.
        let reading = Reading {
            before: &full(5),
            kernel: &kernel(46, 9, 9),
            after: &full(9),
            in_flight: 4,
        };
        ledger.read(1, &reading);
        ledger.cover(Coverage::Full);
        quiet(&mut ledger, &full(20), &kernel(60, 9, 9));
        let verdict = ledger.verdict(Backend::Fexit, &Missed::default(), |_| true);
        let proved: Vec<_> = verdict.from_counters.into_iter().collect();
        assert_eq!(proved, [(Reason::ChainTooLong, 7)]);
        assert_eq!((verdict.other, verdict.unexplained), (0, 0));
        let growth = ledger.growth(|_| true);
        assert_eq!(
            (growth[&Counter::Drop], growth[&Counter::ChainTooLong]),
            (20, 7)
        );
        // A second rest keeps the first one's.
        ledger.cover(Coverage::AtRest);
        quiet(&mut ledger, &full(20), &kernel(61, 10, 10));
        let verdict = ledger.verdict(Backend::Fexit, &Missed::default(), |_| true);
        assert_eq!(verdict.from_counters[&Reason::ChainTooLong], 8);
        assert_eq!((verdict.other, verdict.unexplained), (1, 0));
        // Armed again, a loss is a loss.
        ledger.cover(Coverage::Full);
        quiet(&mut ledger, &full(20), &kernel(62, 10, 10));
        let verdict = ledger.verdict(Backend::Fexit, &Missed::default(), |_| true);
        assert_eq!(verdict.unexplained, 1);
    }

    #[test]
    fn a_packet_that_no_counter_confirms_is_found_at_rest_too() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        ledger.cover(Coverage::AtRest);
        let seen = totals(&[(Reason::TableFull, 1)]);
        quiet(&mut ledger, &seen, &growth(0, 0));
        assert_eq!(unexplained(&ledger), 1);
    }

    #[test]
    fn packets_that_a_rule_dropped_are_not_taken_for_refusals() {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        quiet(
            &mut ledger,
            &totals(&[(Reason::TableFull, 30)]),
            &growth(10, 0),
        );
        let verdict = ledger.verdict(Backend::Tracepoint, &Missed::default(), |_| true);
        assert_eq!(verdict.unexplained, 20);
    }
}
