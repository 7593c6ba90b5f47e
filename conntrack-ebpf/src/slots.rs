//! Where programs leave something for those that run later for the same packet,
//! at a fraction of what a hash map of the kernel takes.
//!
//! An array of sets, each with room for a few: which set is told by the key. What
//! is left there is soon taken again, so a set is rarely full; if it is, what has
//! been left for longest by somebody who never came is likely to make room.
//!
//! Sets have no locks. Two CPUs that claim the same slot at the same moment can
//! leave a mixture of both behind, which its seal gives away: then neither finds
//! what it has left, as if it had been displaced.

/// Slots of a set.
pub const WAYS: usize = 4;

/// What can be left, and by what it is found: a few words.
pub trait Words: Copy + PartialEq {
    /// A number that differs if any word does, as good as always.
    fn mix(&self) -> u64;
}

impl Words for u64 {
    fn mix(&self) -> u64 {
        *self
    }
}

/// Joins the numbers of two parts.
pub const fn mixed(one: u64, other: u64) -> u64 {
    one.rotate_left(23) ^ other
}

/// Place for one. All zero, as the kernel makes it, is free.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Slot<K, V> {
    key: K,
    value: V,
    /// 0 if it is free.
    seal: u64,
}

/// Places for those whose keys fall together.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Set<K, V> {
    slots: [Slot<K, V>; WAYS],
}

/// Which of so many sets, a power of two, a key belongs to.
pub fn set_of<K: Words>(key: &K, sets: u32) -> u32 {
    // 2^64 divided by the golden ratio: spreads what differs in any bit.
    let spread = key.mix().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> 32) as u32 & (sets - 1)
}

/// The seal of a slot in use.
fn seal<K: Words, V: Words>(key: &K, value: &V) -> u64 {
    mixed(key.mix(), value.mix()) | 1 << 63
}

impl<K: Words, V: Words> Slot<K, V> {
    fn is_of(&self, key: &K) -> bool {
        self.seal != 0 && self.key == *key
    }
}

impl<K: Words, V: Words> Set<K, V> {
    /// What was left under a key.
    pub fn get(&self, key: &K) -> Option<V> {
        let slot = self.slots.iter().find(|slot| slot.is_of(key))?;
        (slot.seal == seal(key, &slot.value)).then_some(slot.value)
    }

    /// The same, and makes it free.
    pub fn take(&mut self, key: &K) -> Option<V> {
        let slot = self.slots.iter_mut().find(|slot| slot.is_of(key))?;
        let found = (slot.seal == seal(key, &slot.value)).then_some(slot.value);
        slot.seal = 0;
        found
    }

    /// Leaves something, in place of what was left under the same key. If nothing
    /// is free, gives what it displaces: what is in the slot of this CPU.
    pub fn put(&mut self, key: K, value: V, cpu: u32) -> Option<V> {
        let own = cpu as usize % WAYS;
        let slots = &self.slots;
        let same = slots.iter().position(|slot| slot.is_of(&key));
        let free = || {
            if slots[own].seal == 0 {
                return Some(own);
            }
            slots.iter().position(|slot| slot.seal == 0)
        };
        let place = same.or_else(free);
        let slot = &mut self.slots[place.unwrap_or(own) % WAYS];
        let displaced = place.is_none().then_some(slot.value);
        let seal = seal(&key, &value);
        *slot = Slot { key, value, seal };
        displaced
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn empty() -> Set<u64, u64> {
        let slot = Slot {
            key: 0,
            value: 0,
            seal: 0,
        };
        Set {
            slots: [slot; WAYS],
        }
    }

    #[test]
    fn what_is_left_is_found_until_it_is_taken() {
        let mut set = empty();
        assert_eq!(set.get(&7), None);
        set.put(7, 70, 0);
        set.put(8, 80, 0);
        assert_eq!((set.get(&7), set.get(&8)), (Some(70), Some(80)));
        assert_eq!((set.take(&7), set.take(&7)), (Some(70), None));
        assert_eq!(set.get(&8), Some(80));
    }

    #[test]
    fn zeros_can_be_left_too() {
        let mut set = empty();
        set.put(0, 0, 2);
        assert_eq!(set.take(&0), Some(0));
        assert_eq!(set.take(&0), None);
    }

    #[test]
    fn the_same_key_has_one_value() {
        let mut set = empty();
        assert_eq!(set.put(7, 70, 0), None);
        assert_eq!(set.put(7, 71, 3), None);
        assert_eq!((set.take(&7), set.take(&7)), (Some(71), None));
    }

    #[test]
    fn a_full_set_gives_up_the_slot_of_the_cpu() {
        let mut set = empty();
        for key in 0..4 {
            set.put(key, key * 10, 0);
        }
        assert_eq!(set.put(9, 90, 6), Some(20));
        let found = [0, 1, 2, 3, 9].map(|key| set.get(&key).is_some());
        assert_eq!(found.into_iter().filter(|found| *found).count(), 4);
        assert_eq!(set.get(&9), Some(90));
        // Keys 0 to 3 went to the slots 0 to 3, and 6 is the CPU of slot 2.
        assert_eq!(set.get(&2), None);
    }

    #[test]
    fn keys_that_follow_one_another_fall_apart() {
        // As the stacks of tasks do, at the same depth.
        let sets: BTreeSet<_> = (0..256_u64)
            .map(|task| set_of(&(0xffff_c900_0000_3f58 + task * 0x8000), 4096))
            .collect();
        assert!(sets.len() > 200, "{} sets for 256 tasks", sets.len());
    }

    #[test]
    fn a_mixture_of_two_is_nobodys() {
        let mut set = empty();
        set.put(7, 70, 0);
        set.slots[0].value = 80;
        assert_eq!(set.get(&7), None);
        assert_eq!(set.take(&7), None);
        // But its slot is free again.
        assert_eq!(set.slots[0].seal, 0);
        set.put(7, 70, 0);
        set.slots[0].key = 8;
        assert_eq!((set.get(&7), set.get(&8)), (None, None));
    }
}
