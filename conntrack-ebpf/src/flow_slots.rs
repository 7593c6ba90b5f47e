//! A table that counts most flows, each in one cache line.
//!
//! The hash of a flow selects a set of four slots. The flow is in one of them. The
//! hash is keyed, so that nobody who sends packets can choose flows that collide.
//!
//! Slots have no locks. A program that finds an empty slot claims it with a
//! compare-and-exchange, in which only one program can succeed. It writes the key, and
//! publishes the slot. From then on programs add packets, and the key does not change
//! until user space takes the slot out. A program does not wait for a slot that is
//! claimed and not yet published, because it may have interrupted the program that
//! claimed it. It goes on to the next slot. So a flow can have two slots, or a slot and
//! an entry elsewhere, and user space adds them up. A flow that finds no slot in its
//! set is counted elsewhere.
//!
//! All of this code uses a trait for one word of shared memory. So the programs,
//! user space and the model test in `tests/flow_slots.rs` use the same code.

#![expect(
    clippy::inline_always,
    reason = "a call in a program costs more than what is called"
)]

#[cfg(not(target_arch = "bpf"))]
use core::sync::atomic::{AtomicU64, Ordering};

mod key;

use self::key::{KEY_WORDS, high, low};
pub use self::key::{SEEDS, SETS, SlotKey, set_of_tuple};

/// Slots of a set.
pub const WAYS: usize = 4;

/// Words of a slot: six of the key, its state, its times.
pub const WORDS: usize = 8;

/// Words of the map that has a bit for each set: whether it is used.
pub const USED_WORDS: usize = SETS / 64;

/// The table is used: the kernel has compare-and-exchange (5.12 and later).
pub const ON: u32 = u32::from_le_bytes(*b"slot");

/// The table is not used. No constant of a program may have this value (as would be the
/// case with 0): the compiler would store both at one address, and user space would change
/// both.
pub const OFF: u32 = u32::from_le_bytes(*b"none");

/// Times are in units of 2^10 nanoseconds.
pub const UNIT_BITS: u32 = 10;

const STATE: usize = 6;
const TIMES: usize = 7;

/// A state: no flow has the slot.
const EMPTY: u64 = 0;
/// A state: a program writes the key.
const CLAIMED: u64 = 1;
/// The low byte of a state: the key can be read. The next three bytes are the reason, and
/// the upper half is the number of packets.
const PUBLISHED: u32 = 2;

/// A slot with this many packets takes no more, so that the number does not wrap. Above it
/// is room for one packet of each program that has read a smaller number and not added yet.
const FULL: u64 = 0xffff_0000;

/// A word of memory that CPUs share. If all words of a slot are zero, as the kernel makes
/// them, the slot is empty.
pub trait Word {
    /// Reads it, before anything that is read after it.
    fn acquire(&self) -> u64;
    /// Reads it.
    fn get(&self) -> u64;
    /// Writes it.
    fn set(&self, value: u64);
    /// Writes the upper half.
    fn set_high(&self, value: u32);
    /// Writes `value` if the word is 0, and returns whether it was. If several try at the
    /// same time, at most one succeeds.
    fn claim(&self, value: u64) -> bool;
    /// Writes it, after anything that was written before.
    fn publish(&self, value: u64);
    /// Adds to it, atomically.
    fn add(&self, amount: u64);
    /// Sets these bits, atomically.
    fn set_bits(&self, bits: u64);
}

/// In user space, and where the programs are only checked.
#[cfg(not(target_arch = "bpf"))]
impl Word for AtomicU64 {
    fn acquire(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn get(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.store(value, Ordering::Relaxed);
    }

    fn set_high(&self, value: u32) {
        self.set(u64::from(low(self.get())) | u64::from(value) << 32);
    }

    fn claim(&self, value: u64) -> bool {
        self.compare_exchange(EMPTY, value, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn publish(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    fn add(&self, amount: u64) {
        self.fetch_add(amount, Ordering::Relaxed);
    }

    fn set_bits(&self, bits: u64) {
        self.fetch_or(bits, Ordering::Relaxed);
    }
}

/// Where a packet was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// In a slot that the flow had already.
    Again,
    /// In a slot that the flow has got now.
    First,
    /// Nowhere: no slot of the set has the flow, and none is empty.
    No,
}

/// A slot.
#[derive(Debug)]
pub struct Slot<'a, W>(pub &'a [W; WORDS]);

/// What a slot has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The flow.
    pub key: SlotKey,
    /// Number of packets.
    pub packets: u32,
    /// Low bits of the time of the first packet.
    pub first: u32,
    /// Low bits of the time of the last packet.
    pub last: u32,
}

/// The slots of all flows that hash to it.
pub type Set<W> = [[W; WORDS]; WAYS];

/// Counts a packet of a flow at `now` in its set. `mark` marks the set as used, before
/// anything is counted in a new slot.
#[inline(always)]
pub fn count<W: Word>(set: &Set<W>, key: &SlotKey, now: u32, mark: impl FnOnce()) -> Counted {
    for words in set {
        let slot = Slot(words);
        let state = slot.state().acquire();
        if low(state) == published(key) && slot.has(key) {
            return slot.add(state, now);
        }
        if state == EMPTY && slot.state().claim(CLAIMED) {
            mark();
            slot.begin(key, now);
            return Counted::First;
        }
    }
    Counted::No
}

/// The low half of the state of a published slot of this flow.
const fn published(key: &SlotKey) -> u32 {
    key.reason << 8 | PUBLISHED
}

impl<W: Word> Slot<'_, W> {
    const fn state(&self) -> &W {
        &self.0[STATE]
    }

    #[inline(always)]
    fn has(&self, key: &SlotKey) -> bool {
        let same = |(word, &wanted): (&W, &u64)| word.get() == wanted;
        self.0.iter().zip(&key.words).all(same)
    }

    /// Adds a packet to a slot whose state was read as `state`.
    #[inline(always)]
    fn add(&self, state: u64, now: u32) -> Counted {
        if state >> 32 >= FULL {
            return Counted::No;
        }
        self.state().add(1 << 32);
        self.0[TIMES].set_high(now);
        Counted::Again
    }

    /// Puts a flow with its first packet into a slot that was just claimed.
    #[inline(always)]
    fn begin(&self, key: &SlotKey, now: u32) {
        for (word, &value) in self.0.iter().zip(&key.words) {
            word.set(value);
        }
        self.0[TIMES].set(u64::from(now) << 32 | u64::from(now));
        self.state().publish(1 << 32 | u64::from(published(key)));
    }

    /// What it has counted up to now. None if the slot is empty or not published yet.
    pub fn read(&self) -> Option<Entry> {
        let state = self.state().acquire();
        if low(state) & 0xff != PUBLISHED {
            return None;
        }
        let mut words = [0; KEY_WORDS];
        for (to, word) in words.iter_mut().zip(self.0) {
            *to = word.get();
        }
        let times = self.0[TIMES].get();
        Some(Entry {
            key: SlotKey {
                words,
                reason: low(state) >> 8,
            },
            packets: high(state),
            first: low(times),
            last: high(times),
        })
    }

    /// Takes out what it has counted. Call it only when no program uses the table.
    pub fn take(&self) -> Option<Entry> {
        let entry = self.read()?;
        self.state().set(EMPTY);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::array;

    use super::{
        key::tests::{flow, set_of},
        *,
    };
    use crate::{FlowKey, Reason};

    fn new_set() -> Set<AtomicU64> {
        array::from_fn(|_| array::from_fn(|_| AtomicU64::new(0)))
    }

    #[test]
    fn a_flow_comes_out_as_it_went_in() {
        let flow = flow();
        for reason in Reason::ALL {
            let flow = FlowKey {
                reason: reason as u32,
                ..flow
            };
            let set = new_set();
            assert_eq!(count(&set, &SlotKey::from(&flow), 5, || ()), Counted::First);
            assert_eq!(count(&set, &SlotKey::from(&flow), 9, || ()), Counted::Again);
            let entry = Slot(&set[0]).take().unwrap();
            assert_eq!(FlowKey::from(&entry.key), flow);
            assert_eq!((entry.packets, entry.first, entry.last), (2, 5, 9));
            assert_eq!(Slot(&set[0]).take(), None);
        }
    }

    #[test]
    fn each_part_of_a_flow_makes_another_one() {
        let flow = flow();
        let mut others = vec![
            FlowKey { netns: 1, ..flow },
            FlowKey { sport: 1, ..flow },
            FlowKey { dport: 1, ..flow },
            FlowKey { zone: 1, ..flow },
            FlowKey { family: 2, ..flow },
            FlowKey {
                protocol: 6,
                ..flow
            },
            FlowKey {
                reason: Reason::Dying as u32,
                ..flow
            },
            FlowKey { sender: 1, ..flow },
        ];
        for byte in 0..16 {
            let [mut src, mut dst] = [flow; 2];
            src.src[byte] = 0;
            dst.dst[byte] = 0;
            others.extend([src, dst]);
        }
        for other in others {
            let set = new_set();
            count(&set, &SlotKey::from(&flow), 1, || ());
            assert_eq!(
                count(&set, &SlotKey::from(&other), 1, || ()),
                Counted::First
            );
            let taken = Slot(&set[1]).take().unwrap();
            assert_eq!(FlowKey::from(&taken.key), other);
        }
    }

    #[test]
    fn a_fifth_flow_has_no_slot() {
        let set = new_set();
        let of_port = |sport| SlotKey::from(&FlowKey { sport, ..flow() });
        let mut marked = 0;
        for port in 1..=4 {
            assert_eq!(
                count(&set, &of_port(port), 1, || marked += 1),
                Counted::First
            );
        }
        assert_eq!(count(&set, &of_port(5), 1, || marked += 1), Counted::No);
        assert_eq!(count(&set, &of_port(4), 1, || marked += 1), Counted::Again);
        assert_eq!(marked, 4);
    }

    /// A program that finds a slot claimed by another program takes the next one.
    #[test]
    fn a_claimed_slot_is_passed_over() {
        let set = new_set();
        let key = SlotKey::from(&flow());
        assert!(set[0][STATE].claim(CLAIMED));
        assert_eq!(count(&set, &key, 1, || ()), Counted::First);
        assert_eq!(Slot(&set[0]).read(), None);
        assert_eq!(Slot(&set[1]).read().unwrap().packets, 1);
    }

    #[test]
    fn a_number_of_packets_never_wraps() {
        let set = new_set();
        let key = SlotKey::from(&flow());
        count(&set, &key, 1, || ());
        set[0][STATE].set_high(u32::try_from(FULL - 1).unwrap());
        assert_eq!(count(&set, &key, 2, || ()), Counted::Again);
        assert_eq!(count(&set, &key, 3, || ()), Counted::No);
        let entry = Slot(&set[0]).take().unwrap();
        assert_eq!((u64::from(entry.packets), entry.last), (FULL, 2));
    }

    /// 10,000 flows of one sender. On average there is a third of a flow in a set. If all
    /// sets are equally likely, about ten of the 10,000 flows find no slot.
    #[test]
    fn flows_that_follow_one_another_are_spread() {
        let flows = (0..10_000_u16).map(|number| FlowKey {
            sport: 1024 + number,
            ..flow()
        });
        let mut flows_of = vec![0_usize; SETS];
        flows.for_each(|flow| flows_of[set_of(&flow) as usize] += 1);
        let without: usize = flows_of
            .iter()
            .map(|flows| flows.saturating_sub(WAYS))
            .sum();
        assert!(without <= 20, "{without} of 10,000 flows without a slot");
    }
}
