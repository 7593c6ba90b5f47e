//! A part of a table's entries, chosen by chance, in memory that does not grow
//! with it.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    hash::{BuildHasher as _, Hasher as _},
};

use foldhash::quality::RandomState;

use crate::table::entry::Entry;

/// Entries that a sample has room for. A share of the whole is then known to
/// within 3 per cent, mostly.
const ROOM: usize = 2048;

/// The entries with the smallest hashes of all that were offered.
#[derive(Debug, Default)]
pub struct Sample {
    chosen: BinaryHeap<Chosen>,
    /// With a seed of its own, so that nobody can choose what is chosen.
    hasher: RandomState,
}

#[derive(Debug)]
struct Chosen {
    hash: u64,
    entry: Entry,
}

impl Sample {
    /// Offers an entry.
    pub fn offer(&mut self, entry: &Entry) {
        let hash = self.hash(entry);
        let full = self.chosen.len() >= ROOM;
        if full && self.chosen.peek().is_some_and(|most| most.hash <= hash) {
            return;
        }
        if full {
            self.chosen.pop();
        }
        self.chosen.push(Chosen {
            hash,
            entry: *entry,
        });
    }

    /// The entries chosen.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.chosen.iter().map(|chosen| &chosen.entry)
    }

    /// Of what makes an entry this one and no other.
    fn hash(&self, entry: &Entry) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u128(entry.src.0);
        hasher.write_u128(entry.dst.0);
        hasher.write_u16(entry.sport);
        hasher.write_u16(entry.dport);
        hasher.write_u8(entry.protocol);
        hasher.write_u16(entry.zone);
        hasher.finish()
    }
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Chosen {}

impl PartialOrd for Chosen {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Chosen {
    fn cmp(&self, other: &Self) -> Ordering {
        self.hash.cmp(&other.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::entry::Address;

    fn entry(number: u32) -> Entry {
        Entry {
            src: Address::v4(number.to_be_bytes()),
            ..Entry::default()
        }
    }

    #[test]
    fn all_are_chosen_as_long_as_there_is_room() {
        let mut sample = Sample::default();
        (0..100).for_each(|number| sample.offer(&entry(number)));
        assert_eq!(sample.entries().len(), 100);
    }

    #[test]
    fn each_part_of_a_large_table_is_chosen_by_its_share() {
        let mut sample = Sample::default();
        (0..100_000).for_each(|number| sample.offer(&entry(number)));
        assert_eq!(sample.entries().len(), ROOM);
        let quarter = Address::v4(25_000_u32.to_be_bytes());
        let first = sample.entries().filter(|entry| entry.src < quarter).count();
        // 512 are expected, with a standard deviation of 20.
        assert!((400..625).contains(&first), "{first}");
    }
}
