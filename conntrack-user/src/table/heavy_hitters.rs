//! Counts by key in bounded memory, and how many different keys there were.
//!
//! Up to a fixed number of keys each has its exact count. When more come, the
//! smaller half is given up, so that the count of a key that comes back can be
//! too low, by at most [`HeavyHitters::error_bound`]. A key whose true count is
//! greater than that is never missing.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash},
};

use foldhash::{fast::RandomState, quality};

/// What is counted of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Entries of the table.
    pub entries: u32,
    /// Of these, those that `early_drop` may evict.
    pub evictable: u32,
    /// Of these, those that saw no reply.
    pub unreplied: u32,
    /// Of these, established TCP connections that have been idle long.
    pub idle: u32,
}

impl Count {
    /// Adds another count; what does not fit stays at the greatest number.
    pub const fn add(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.evictable = self.evictable.saturating_add(other.evictable);
        self.unreplied = self.unreplied.saturating_add(other.unreplied);
        self.idle = self.idle.saturating_add(other.idle);
    }
}

impl Count {
    /// As [`HeavyHitters::leave_idle`].
    pub fn leave_idle(&mut self, idle: u64, looked: u64) {
        let left = u64::from(self.idle) * idle / looked.max(1);
        self.idle = u32::try_from(left).unwrap_or(self.idle);
    }
}

/// How many different keys there were, in 1 MiB: linear counting (Whang and
/// others, 1990), within 1 % up to some ten million.
#[derive(Debug)]
struct Sketch {
    /// Which hashes there were.
    bits: Vec<u64>,
    /// The fast one is not even enough for this.
    hasher: quality::RandomState,
}

impl Sketch {
    const BITS: usize = 1 << 23;

    fn new() -> Self {
        Self {
            bits: vec![0; Self::BITS / 64],
            hasher: quality::RandomState::default(),
        }
    }

    fn note(&mut self, key: &impl Hash) {
        let place = usize::try_from(self.hasher.hash_one(key) >> 41).unwrap_or_default();
        self.bits[place / 64] |= 1 << (place % 64);
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a positive number far below 2^52"
    )]
    fn estimate(&self) -> u64 {
        let set: u64 = self
            .bits
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        let bits = Self::BITS as f64;
        let unset = (Self::BITS as u64 - set).max(1) as f64;
        (-bits * (unset / bits).ln()).round() as u64
    }
}

/// What is made when the first keys are given up: from then on the keys that
/// are left do not tell how many there were.
#[derive(Debug)]
struct Sketches {
    all: Sketch,
    /// Only keys with entries that saw no reply.
    unreplied: Sketch,
}

impl Sketches {
    fn note(&mut self, key: &impl Hash, count: Count) {
        self.all.note(key);
        if count.unreplied > 0 {
            self.unreplied.note(key);
        }
    }
}

/// Counts by key.
#[derive(Debug)]
pub struct HeavyHitters<K> {
    counts: HashMap<K, Count, RandomState>,
    capacity: usize,
    error_bound: u32,
    /// None as long as `counts` has all keys.
    sketches: Option<Sketches>,
}

impl<K: Copy + Eq + Hash + Ord> HeavyHitters<K> {
    /// Counts for up to `capacity` keys.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            counts: HashMap::default(),
            capacity,
            error_bound: 0,
            sketches: None,
        }
    }

    /// Adds to the count of a key.
    pub fn add(&mut self, key: K, count: Count) {
        if let Some(sketches) = &mut self.sketches {
            sketches.note(&key, count);
        }
        if let Some(known) = self.counts.get_mut(&key) {
            known.add(count);
            return;
        }
        if self.counts.len() >= self.capacity {
            self.give_up_half();
        }
        self.counts.insert(key, count);
    }

    /// Leaves only a part of the idle connections of each key, rounded down: of so
    /// many that were looked at again, that many were idle.
    pub fn leave_idle(&mut self, idle: u64, looked: u64) {
        for count in self.counts.values_mut() {
            count.leave_idle(idle, looked);
        }
    }

    /// The key of which `what` is greatest, if it is for any key greater than 0.
    pub fn most(&self, what: impl Fn(&Count) -> u32) -> Option<(K, Count)> {
        let known = self.counts.iter().map(|(&key, &count)| (key, count));
        let most = known.max_by_key(|(key, count)| (what(count), std::cmp::Reverse(*key)));
        most.filter(|(_, count)| what(count) > 0)
    }

    /// The keys with most entries, most first, and how many more have a count.
    pub fn top(&self, number: usize) -> (Vec<(K, Count)>, u64) {
        let mut all: Vec<(K, Count)> = self
            .counts
            .iter()
            .map(|(&key, &count)| (key, count))
            .collect();
        let by_rank = |a: &(K, Count), b: &(K, Count)| (b.1.entries, a.0).cmp(&(a.1.entries, b.0));
        let omitted = all.len().saturating_sub(number);
        if omitted > 0 && number > 0 {
            all.select_nth_unstable_by(number - 1, by_rank);
        }
        all.truncate(number);
        all.sort_unstable_by(by_rank);
        (all, omitted as u64)
    }

    /// By how many entries the count of a key can be too low; 0 as long as
    /// every key has found room.
    pub const fn error_bound(&self) -> u32 {
        self.error_bound
    }

    /// How many different keys there were: exact as long as `error_bound` is 0,
    /// else an estimate.
    pub fn distinct(&self) -> u64 {
        match &self.sketches {
            None => self.counts.len() as u64,
            Some(sketches) => sketches.all.estimate(),
        }
    }

    /// The same of the keys that have entries which saw no reply.
    pub fn distinct_unreplied(&self) -> u64 {
        match &self.sketches {
            None => {
                let counts = self.counts.values();
                counts.filter(|count| count.unreplied > 0).count() as u64
            }
            Some(sketches) => sketches.unreplied.estimate(),
        }
    }

    /// Gives up the keys with fewest entries, at least half of them.
    fn give_up_half(&mut self) {
        if self.sketches.is_none() {
            let mut sketches = Sketches {
                all: Sketch::new(),
                unreplied: Sketch::new(),
            };
            for (key, &count) in &self.counts {
                sketches.note(key, count);
            }
            self.sketches = Some(sketches);
        }
        let mut entries: Vec<u32> = self.counts.values().map(|count| count.entries).collect();
        let middle = entries.len() / 2;
        let (_, &mut limit, _) = entries.select_nth_unstable(middle);
        self.error_bound = self.error_bound.saturating_add(limit);
        self.counts.retain(|_, count| count.entries > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Count = Count {
        entries: 1,
        evictable: 1,
        unreplied: 0,
        idle: 0,
    };

    #[test]
    fn exact_while_there_is_room() {
        let mut hitters = HeavyHitters::with_capacity(10);
        for number in 0..10 {
            for _ in 0..=number {
                hitters.add(number, ONE);
            }
        }
        let (top, omitted) = hitters.top(3);
        let top: Vec<_> = top
            .iter()
            .map(|(key, count)| (*key, count.entries))
            .collect();
        assert_eq!((top, omitted), (vec![(9, 10), (8, 9), (7, 8)], 7));
        assert_eq!((hitters.error_bound(), hitters.distinct()), (0, 10));
    }

    #[test]
    fn a_second_look_leaves_a_part_of_the_idle_connections() {
        let mut hitters = HeavyHitters::with_capacity(10);
        hitters.add(
            1,
            Count {
                entries: 10,
                idle: 9,
                ..Count::default()
            },
        );
        hitters.leave_idle(600, 600);
        assert_eq!(hitters.top(1).0[0].1.idle, 9);
        hitters.leave_idle(1, 2);
        assert_eq!(hitters.top(1).0[0].1.idle, 4);
        hitters.leave_idle(0, 600);
        assert_eq!(hitters.top(1).0[0].1.idle, 0);
    }

    #[test]
    fn equal_counts_are_in_the_order_of_their_keys() {
        let mut hitters = HeavyHitters::with_capacity(10);
        for number in [5, 3, 4] {
            hitters.add(number, ONE);
        }
        let keys: Vec<_> = hitters.top(2).0.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, [3, 4]);
        assert_eq!(hitters.top(0).0, []);
    }

    #[test]
    fn a_flood_of_keys_leaves_the_heavy_ones_within_the_bound() {
        let mut hitters = HeavyHitters::with_capacity(1000);
        for light in 0_u32..200_000 {
            hitters.add(light + 10, ONE);
            if light % 20 == 0 {
                hitters.add(1, ONE);
            }
        }
        let (top, _) = hitters.top(1);
        let (key, count) = top[0];
        assert_eq!(key, 1);
        assert!(count.entries <= 10_000);
        assert!(count.entries + hitters.error_bound() >= 10_000);
        assert!(hitters.counts.len() <= 1000);
        let distinct = hitters.distinct();
        assert!((199_000..=201_000).contains(&distinct), "{distinct}");
    }
}
