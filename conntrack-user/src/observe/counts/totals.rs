//! What the programs counted, by namespace.

use std::collections::BTreeMap;

use conntrack_ebpf::{
    EARLY_DROP_FAILED, Reason, TABLE_FULL_AT_REST, TABLE_FULL_WITNESSED, TotalCounts,
};

/// What the programs counted in one namespace, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals(pub(crate) TotalCounts);

impl Totals {
    /// Packets (of evicted: entries; of non-packets: refusals) for a reason.
    ///
    /// While programs are attached to the exit of `early_drop`, two programs count a full
    /// table. If the first has counted more, there are two possible causes: the second was
    /// skipped, or the mark of the first was lost and the second has counted the packet as
    /// one without memory.
    pub fn of(&self, reason: Reason) -> u64 {
        let counted = self.0.slots[reason as usize];
        let witnessed = self.0.slots[TABLE_FULL_WITNESSED as usize];
        let more = self.0.slots[EARLY_DROP_FAILED as usize].saturating_sub(witnessed);
        match reason {
            Reason::TableFull => counted + more + self.0.slots[TABLE_FULL_AT_REST as usize],
            Reason::NoMemory => counted.saturating_sub(more),
            _ => counted,
        }
    }

    /// Packets lost, for whatever reason.
    pub fn drops(&self) -> u64 {
        Reason::ALL
            .into_iter()
            .filter(|reason| reason.is_drop())
            .map(|reason| self.of(reason))
            .sum()
    }

    /// Adds other totals.
    pub fn join(&mut self, more: &Self) {
        self.add(&more.0);
    }

    /// Adds what another CPU or epoch counted.
    pub fn add(&mut self, more: &TotalCounts) {
        for (slot, more) in self.0.slots.iter_mut().zip(more.slots) {
            *slot += more;
        }
    }
}

/// Totals by namespace inode; 0 stands for those that found no room of their
/// own, or whose namespace could not be read.
pub type TotalsByNetns = BTreeMap<u32, Totals>;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Counts of one epoch: 0 but for the slots given.
    pub(in crate::observe::counts) fn counts(slots: &[(u32, u64)]) -> TotalCounts {
        let mut counts = TotalCounts::default();
        for &(slot, amount) in slots {
            counts.slots[slot as usize] = amount;
        }
        counts
    }

    #[test]
    fn a_packet_without_its_mark_is_not_counted_twice() {
        let mut totals = Totals::default();
        totals.add(&counts(&[
            (Reason::TableFull as u32, 95),
            (TABLE_FULL_WITNESSED, 95),
            (Reason::NoMemory as u32, 5),
            (EARLY_DROP_FAILED, 98),
        ]));
        assert_eq!(totals.of(Reason::TableFull), 98);
        assert_eq!(totals.of(Reason::NoMemory), 2);
        assert_eq!(totals.drops(), 100);
    }

    #[test]
    fn what_was_refused_at_rest_does_not_hide_a_skipped_program() {
        let mut totals = Totals::default();
        totals.add(&counts(&[
            (TABLE_FULL_AT_REST, 1000),
            (Reason::TableFull as u32, 95),
            (TABLE_FULL_WITNESSED, 95),
            (Reason::NoMemory as u32, 3),
            (EARLY_DROP_FAILED, 98),
        ]));
        assert_eq!(totals.of(Reason::TableFull), 1098);
        assert_eq!(totals.of(Reason::NoMemory), 0);
    }

    #[test]
    fn what_one_program_alone_counts_does_not_hide_a_skipped_one() {
        let mut totals = Totals::default();
        totals.add(&counts(&[
            (Reason::TableFull as u32, 1000 + 95),
            (TABLE_FULL_WITNESSED, 95),
            (EARLY_DROP_FAILED, 98),
        ]));
        assert_eq!(totals.of(Reason::TableFull), 1098);
    }

    #[test]
    fn of_two_counts_of_a_full_table_the_larger_one_holds() {
        let mut totals = Totals::default();
        totals.add(&counts(&[
            (Reason::TableFull as u32, 98),
            (TABLE_FULL_WITNESSED, 98),
            (EARLY_DROP_FAILED, 100),
            (Reason::Evicted as u32, 7),
        ]));
        assert_eq!(totals.of(Reason::TableFull), 100);
        assert_eq!(totals.drops(), 100, "an eviction is no drop");
    }
}
