//! Where programs leave something for those that run later in the same call, at
//! a fraction of what a hash map of the kernel takes.
//!
//! An array of sets, each with room for a few: which set is told by the key, the
//! address of a task or of a place on a stack. What is left there is soon given
//! up again, so a set is rarely full.
//!
//! Sets have no locks. A slot is its owner's whose key it holds, and is claimed
//! by adding the key to zero: where two claim it at once neither finds its own
//! key there, or only the first does, and who does not takes it back. No sum of
//! two such addresses is the address of a third.

/// Slots of a set.
pub const WAYS: usize = 4;

/// Room for one value. All zero, as the kernel makes it, is free.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Slot<V> {
    /// The key of whose it is; 0 if it is free.
    owner: u64,
    value: V,
}

/// The slots of all keys that hash to this set.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Set<V> {
    slots: [Slot<V>; WAYS],
}

/// How an owner is changed: an addition that no other CPU can come between.
pub type Add = fn(&mut u64, u64);

/// Which of so many sets, a power of two, a key belongs to.
pub const fn set_of(key: u64, sets: u32) -> u32 {
    // 2^64 divided by the golden ratio: spreads what differs in any bit.
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 & (sets - 1)
}

impl<V: Copy> Set<V> {
    /// What is left under a key.
    pub fn find(&mut self, key: u64) -> Option<&mut V> {
        let slot = self.slots.iter_mut().find(|slot| slot.owner == key)?;
        Some(&mut slot.value)
    }

    /// Leaves something under a key that has nothing yet. False if that displaces
    /// what another has left, or fails: all slots are taken.
    pub fn leave(&mut self, key: u64, value: V, add: Add) -> bool {
        for slot in &mut self.slots {
            if slot.owner == 0 && slot.claim(key, 0, add) {
                slot.value = value;
                return true;
            }
        }
        let slot = &mut self.slots[(key >> 6) as usize % WAYS];
        let owner = slot.owner;
        if slot.claim(key, owner, add) {
            slot.value = value;
        }
        false
    }

    /// Gives up what is left under a key.
    pub fn release(&mut self, key: u64, add: Add) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.owner == key) {
            add(&mut slot.owner, key.wrapping_neg());
        }
    }

    /// The same, after a copy.
    pub fn take(&mut self, key: u64, add: Add) -> Option<V> {
        let slot = self.slots.iter_mut().find(|slot| slot.owner == key)?;
        let value = slot.value;
        add(&mut slot.owner, key.wrapping_neg());
        Some(value)
    }
}

impl<V> Slot<V> {
    /// Claims the slot of an owner; false if somebody else did meanwhile.
    fn claim(&mut self, key: u64, owner: u64, add: Add) -> bool {
        let difference = key.wrapping_sub(owner);
        add(&mut self.owner, difference);
        let is_own = self.owner == key;
        if !is_own {
            add(&mut self.owner, difference.wrapping_neg());
        }
        is_own
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::BTreeSet, thread_local};

    use super::*;

    /// As programs add.
    fn add(owner: &mut u64, amount: u64) {
        *owner = owner.wrapping_add(amount);
    }

    thread_local! {
        /// What somebody else adds just before the next addition.
        static FIRST: Cell<u64> = const { Cell::new(0) };
    }

    /// The same, on the heels of another CPU.
    fn add_second(owner: &mut u64, amount: u64) {
        add(owner, FIRST.replace(0).wrapping_add(amount));
    }

    #[test]
    fn what_is_left_is_found_until_it_is_given_up() {
        let mut set = Set::default();
        assert!(set.find(7).is_none());
        assert!(set.leave(7, 70, add));
        assert!(set.leave(8, 80, add));
        assert_eq!(set.find(7), Some(&mut 70));
        assert_eq!(set.take(8, add), Some(80));
        *set.find(7).unwrap() = 71;
        assert_eq!(set.take(7, add), Some(71));
        assert_eq!(set.take(7, add), None);
        set.release(7, add);
        assert!(set.slots.iter().all(|slot| slot.owner == 0));
    }

    #[test]
    fn a_full_set_gives_one_up_and_says_so() {
        let mut set = Set::default();
        for key in 1..=4 {
            assert!(set.leave(key, key * 10, add));
        }
        assert!(!set.leave(0x80, 90, add));
        assert_eq!(set.find(0x80), Some(&mut 90));
        let left = (1..=4).filter(|&key| set.find(key).is_some());
        assert_eq!(left.count(), 3);
    }

    #[test]
    fn who_comes_second_to_a_slot_takes_the_next() {
        let mut set = Set::default();
        FIRST.set(7);
        assert!(set.leave(8, 80, add_second));
        assert_eq!((set.slots[0].owner, set.slots[1].owner), (7, 8));
        assert_eq!(set.find(8), Some(&mut 80));
    }

    #[test]
    fn who_comes_second_to_a_taken_slot_gives_up() {
        let mut set = Set::default();
        for key in 1..=4 {
            set.leave(key, key * 10, add);
        }
        FIRST.set(5);
        assert!(!set.leave(0x40, 90, add_second));
        assert!(set.find(0x40).is_none());
        // The other one finds its own after that.
        assert_eq!(set.slots[1].owner, 2 + 5);
    }

    #[test]
    fn keys_that_follow_one_another_fall_apart() {
        // As the stacks of tasks do, at the same depth.
        let sets: BTreeSet<_> = (0..256_u64)
            .map(|task| set_of(0xffff_c900_0000_3f58 + task * 0x8000, 4096))
            .collect();
        assert!(sets.len() > 200, "{} sets for 256 tasks", sets.len());
    }
}
