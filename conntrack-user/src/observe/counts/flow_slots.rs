//! Takes flows out of the tables of slots, which are memory that programs and user space
//! share. While nothing is counted, it reads only one bit for each set.

use std::{
    cell::OnceCell,
    os::fd::RawFd,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, Result};
use conntrack_ebpf::{
    FlowCount, FlowKey,
    flow_slots::{Entry, SETS, Set, Slot, UNIT_BITS, USED_WORDS, WAYS, WORDS},
};

use crate::{
    observe::{
        bpf::{object::Object, shared::Shared},
        counts::totals::TotalsByNetns,
    },
    say::clock,
};

/// The tables of both epochs.
#[derive(Debug)]
pub(super) struct FlowSlots([Table; 2]);

/// The table of an epoch.
#[derive(Debug)]
struct Table {
    /// Stays open as long as the object of the maps.
    map: RawFd,
    /// Mapped only while packets are refused, because all of it counts as memory of this
    /// process.
    sets: OnceCell<Shared>,
    /// A bit for each set in which a slot was claimed.
    used: Shared,
}

impl FlowSlots {
    /// The tables of an object that has slots.
    pub(super) fn new(object: &Object) -> Result<Self> {
        let table = |slots, used| {
            Ok::<_, anyhow::Error>(Table {
                map: object.map(slots)?,
                sets: OnceCell::new(),
                used: Shared::new(object.map(used)?, USED_WORDS)?,
            })
        };
        Ok(Self([
            table("SLOTS_0", "USED_0")?,
            table("SLOTS_1", "USED_1")?,
        ]))
    }

    /// Whether nothing was counted in an epoch.
    pub(super) fn is_unused(&self, epoch: u32) -> bool {
        let mut words = self.of(epoch).used.words().iter();
        words.all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// Unmaps the memory. It is mapped again when something is counted.
    pub(super) fn unmap(&mut self) {
        for table in &mut self.0 {
            table.sets.take();
        }
    }

    /// Takes out what was counted in an epoch that is at rest, and adds it to `totals`.
    pub(super) fn take(
        &self,
        epoch: u32,
        span: &Span,
        totals: &mut TotalsByNetns,
        mut each: impl FnMut(FlowKey, FlowCount),
    ) -> Result<()> {
        let table = self.of(epoch);
        table.visit(|slot| {
            let Some(entry) = slot.take() else { return };
            let flow = FlowKey::from(&entry.key);
            add(totals, &flow, &entry);
            each(flow, span.widen(&entry));
        })?;
        for word in table.used.words() {
            word.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Adds to `totals` what is counted in an epoch now.
    pub(super) fn add_now(&self, epoch: u32, totals: &mut TotalsByNetns) -> Result<()> {
        self.of(epoch).visit(|slot| {
            if let Some(entry) = slot.read() {
                add(totals, &FlowKey::from(&entry.key), &entry);
            }
        })
    }

    const fn of(&self, epoch: u32) -> &Table {
        &self.0[(epoch & 1) as usize]
    }
}

impl Table {
    /// Calls `each` with every slot of the sets that are used.
    fn visit(&self, mut each: impl FnMut(&Slot<'_, AtomicU64>)) -> Result<()> {
        let mut places = self.used.words().iter().enumerate();
        let Some(first) = places.find(|(_, word)| word.load(Ordering::Acquire) != 0) else {
            return Ok(());
        };
        let sets = sets_of(self.sets()?);
        for (place, word) in std::iter::once(first).chain(places) {
            let used = word.load(Ordering::Acquire);
            for set in bits(used).filter_map(|bit| sets.get(place * 64 + bit)) {
                for words in set {
                    each(&Slot(words));
                }
            }
        }
        Ok(())
    }

    fn sets(&self) -> Result<&Shared> {
        if let Some(sets) = self.sets.get() {
            return Ok(sets);
        }
        let sets = Shared::new(self.map, SETS * WAYS * WORDS).context("slots of flows")?;
        Ok(self.sets.get_or_init(|| sets))
    }
}

fn sets_of(memory: &Shared) -> &[Set<AtomicU64>] {
    let (slots, _) = memory.words().as_chunks();
    let (sets, _) = slots.as_chunks();
    sets
}

/// The numbers of the bits that are set.
fn bits(word: u64) -> impl Iterator<Item = usize> {
    let rest = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
    rest.take_while(|&rest| rest != 0)
        .map(|rest| rest.trailing_zeros() as usize)
}

fn add(totals: &mut TotalsByNetns, flow: &FlowKey, entry: &Entry) {
    let counts = &mut totals.entry(flow.netns).or_default().0;
    if let Some(count) = counts.slots.get_mut(flow.reason as usize) {
        *count += u64::from(entry.packets);
    }
}

/// When an epoch began and ended, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// No packet was counted earlier, apart from the time that a program takes to run.
    began: u64,
    /// No packet was counted later.
    ended: u64,
}

impl Span {
    /// From a time until now.
    pub(super) fn since(began: u64) -> Self {
        Self {
            began,
            ended: clock::monotonic(),
        }
    }

    /// The count of an entry, whose times are the lower 32 bits.
    ///
    /// These bits repeat after 73 minutes. If the epoch was shorter, only one time in it has
    /// these bits. The epoch is longer if this process was stopped. Then the first packet came
    /// no earlier than the time returned for it, and the last packet no later than its time.
    fn widen(&self, entry: &Entry) -> FlowCount {
        /// After this many units the times repeat.
        const PERIOD: u64 = 1 << 32;
        let now = self.ended >> UNIT_BITS;
        let longest = now.saturating_sub(self.began >> UNIT_BITS) + SLACK;
        let is_certain = longest < PERIOD;
        let at = |time: u32| {
            let age = now.wrapping_sub(time.into()) % PERIOD;
            // The clocks of CPUs can differ a little. Then the time is that of now.
            let age = if is_certain && age > longest { 0 } else { age };
            now.saturating_sub(age) << UNIT_BITS
        };
        FlowCount {
            packets: entry.packets.into(),
            first: if is_certain {
                at(entry.first)
            } else {
                self.began
            },
            last: at(entry.last),
        }
    }
}

/// A second, in units of the times: more than a program takes to run.
const SLACK: u64 = 1_000_000_000 >> UNIT_BITS;

#[cfg(test)]
mod tests {
    use conntrack_ebpf::flow_slots::{SlotKey, count};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;
    const UNIT: u64 = 1 << UNIT_BITS;

    /// The times of a flow whose packets came at `first` and `last`.
    fn times(span: &Span, first: u64, last: u64) -> [u64; 2] {
        let low = |time: u64| u32::try_from((time >> UNIT_BITS) & 0xffff_ffff).unwrap();
        let set: Set<AtomicU64> = Default::default();
        let flow = FlowKey {
            src: [1; 16],
            dst: [2; 16],
            netns: 3,
            sport: 4,
            dport: 5,
            zone: 0,
            family: 2,
            protocol: 17,
            reason: 0,
            sender: 0,
        };
        let key = SlotKey::from(&flow);
        count(&set, &key, low(first), || ());
        count(&set, &key, low(last), || ());
        let count = span.widen(&Slot(&set[0]).read().unwrap());
        assert_eq!(count.packets, 2);
        [count.first, count.last]
    }

    fn is_near(time: u64, expected: u64) -> bool {
        time <= expected && expected - time < UNIT
    }

    #[test]
    fn a_time_in_a_short_epoch_is_exact_to_a_unit() {
        for start in [0, HOUR, 73 * 60 * SECOND, 1000 * HOUR + 7] {
            let span = Span {
                began: start,
                ended: start + SECOND / 5,
            };
            let [first, last] = [start + 12_345, start + SECOND / 5 - 1];
            let [seen_first, seen_last] = times(&span, first, last);
            assert!(is_near(seen_first, first), "{seen_first} for {first}");
            assert!(is_near(seen_last, last), "{seen_last} for {last}");
        }
    }

    /// A program reads the clock, and the epoch changes before the program counts.
    #[test]
    fn a_time_just_before_the_epoch_is_kept() {
        let began = 5 * HOUR;
        let span = Span {
            began,
            ended: began + SECOND,
        };
        let [first, _] = times(&span, began - 3 * UNIT, began);
        assert!(is_near(first, began - 3 * UNIT));
    }

    /// The clocks of two CPUs differ a little.
    #[test]
    fn a_time_in_the_future_is_now() {
        for ended in [SECOND, 5 * HOUR] {
            let span = Span {
                began: ended - SECOND / 2,
                ended,
            };
            let [_, last] = times(&span, ended - UNIT, ended + 2 * UNIT);
            assert!(is_near(last, ended));
        }
    }

    #[test]
    fn in_an_epoch_of_hours_times_are_bounds() {
        let span = Span {
            began: HOUR,
            ended: 4 * HOUR,
        };
        let [first, last] = times(&span, HOUR + 60 * SECOND, 4 * HOUR - 2 * SECOND);
        assert_eq!(first, HOUR);
        assert!(is_near(last, 4 * HOUR - 2 * SECOND));
        let [first, last] = times(&span, HOUR, 2 * HOUR);
        assert_eq!(first, HOUR);
        assert!((2 * HOUR..=4 * HOUR).contains(&last));
    }

    #[test]
    fn bits_are_numbered_from_the_lowest() {
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(1 | 1 << 5 | 1 << 63).collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!(bits(u64::MAX).count(), 64);
    }
}
