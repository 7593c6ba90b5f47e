//! The decisions: what it means when one of conntrack's functions returns
//! what it returns. Pure, so that they can be tried without a kernel.

use crate::{epoch::Phase, reason::Reason};

/// Bits of `enum ip_conntrack_status` (`IPS_SRC_NAT`, `IPS_DYING`;
/// `include/uapi/linux/netfilter/nf_conntrack_common.h`).
const SRC_NAT: u64 = 1 << 4;
const DYING: u64 = 1 << 9;

/// When a mark is left or taken, by the [`Phase`] of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Left while armed: the program that takes it does the counting, or, of
    /// a clash, knows that it is done.
    Armed,
    /// Left at rest, by a program that counted the packet itself.
    AtRest,
    /// Left while armed, by the second program that sees a refused allocation if it came
    /// before the first: the packet is counted.
    Counted,
    /// Left while armed, where the call has killed an entry to make room.
    Evicted,
}

/// What to do about a refused allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Count it for this reason.
    Count(Reason),
    /// It is counted already.
    Counted,
}

/// Judges a refused allocation (`__nf_conntrack_alloc`), by the tuple's hash and the mark of
/// `early_drop`. There may be no mark from a time when all programs were attached. If the
/// programs are not yet armed, the packet was then counted at rest. Otherwise the mark is
/// lost, or the kernel has skipped the programs that leave it, or the table was not full. Then
/// the reason depends on whether the table is `full` now.
///
/// `nf_conntrack_alloc`, which ctnetlink and BPF programs call, passes 0 for
/// the hash.
pub fn allocation(
    hash: u32,
    mark: Option<Mark>,
    phase: Phase,
    full: impl FnOnce() -> bool,
) -> Refusal {
    match (hash, mark) {
        (0, _) => Refusal::Count(Reason::NonPacket),
        (_, Some(Mark::Armed)) => Refusal::Count(Reason::TableFull),
        (_, Some(Mark::Evicted)) => Refusal::Count(Reason::NoMemory),
        (_, Some(Mark::Counted)) => Refusal::Counted,
        _ if !phase.is_armed() => Refusal::Counted,
        _ if full() => Refusal::Count(Reason::TableFull),
        _ => Refusal::Count(Reason::NoMemory),
    }
}

/// The same allocation, seen by a second program in case the kernel skipped the
/// first. Whichever takes the mark of `early_drop` counts the packet; without
/// one, the first has done so, or it was no full table.
pub const fn allocation_again(hash: u32, mark: Option<Mark>) -> Refusal {
    match (hash, mark) {
        (1.., Some(Mark::Armed)) => Refusal::Count(Reason::TableFull),
        _ => Refusal::Counted,
    }
}

/// A clash that `nf_ct_resolve_clash` could not resolve, by the status of the
/// entry that lost. One that was source-NATed lost because the port it was
/// given, as a last resort, was in use.
pub const fn clash(status: u64) -> Reason {
    if status & SRC_NAT == 0 {
        Reason::Clash
    } else {
        Reason::NatExhausted
    }
}

/// What `__nf_conntrack_confirm` has left of an entry that it refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// `ct->status`.
    pub status: u64,
    /// It is in the hash table, or has been.
    pub inserted: bool,
    /// Its extensions are of an older generation than the kernel's.
    pub stale: bool,
}

/// Which of its ways out `__nf_conntrack_confirm` took with `NF_DROP`, clash
/// aside (5.10 to 7.3). On its way out it marks only one entry dying: one that
/// it has just inserted, and whose extensions it then finds stale.
pub const fn confirmation(entry: Refused) -> Reason {
    let dying = entry.status & DYING != 0;
    match (entry.inserted, dying, entry.stale) {
        (true, true, _) => Reason::StaleExtensionLate,
        (true, false, _) => Reason::AlreadyConfirmed,
        (false, true, _) => Reason::Dying,
        (false, false, true) => Reason::StaleExtension,
        (false, false, false) => Reason::ChainTooLong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_is_refused_for_a_full_table_only_if_early_drop_failed() {
        use Refusal::{Count, Counted};
        for phase in [
            Phase::AtRest,
            Phase::Arming,
            Phase::Armed,
            Phase::Reinforced,
        ] {
            for full in [false, true] {
                let marked = |hash, mark| allocation(hash, mark, phase, || full);
                assert_eq!(marked(7, Some(Mark::Armed)), Count(Reason::TableFull));
                assert_eq!(marked(7, Some(Mark::Counted)), Counted);
                assert_eq!(marked(7, Some(Mark::Evicted)), Count(Reason::NoMemory));
                for mark in [None, Some(Mark::Armed), Some(Mark::AtRest)] {
                    assert_eq!(marked(0, mark), Count(Reason::NonPacket));
                }
            }
        }
        for mark in [None, Some(Mark::AtRest)] {
            for phase in [Phase::AtRest, Phase::Arming] {
                assert_eq!(allocation(7, mark, phase, || true), Counted);
            }
            for phase in [Phase::Armed, Phase::Reinforced] {
                let armed = |full| allocation(7, mark, phase, || full);
                assert_eq!(armed(false), Count(Reason::NoMemory));
                assert_eq!(armed(true), Count(Reason::TableFull));
            }
        }
    }

    #[test]
    fn of_two_programs_that_see_an_allocation_one_counts_it() {
        use Refusal::{Count, Counted};
        assert_eq!(
            allocation_again(7, Some(Mark::Armed)),
            Count(Reason::TableFull)
        );
        for mark in [None, Some(Mark::AtRest), Some(Mark::Counted)] {
            assert_eq!(allocation_again(7, mark), Counted);
        }
        assert_eq!(allocation_again(0, Some(Mark::Armed)), Counted);
    }

    #[test]
    fn a_clash_of_a_source_nated_entry_is_a_lack_of_ports() {
        const CONFIRMED: u64 = 1 << 3;
        const DST_NAT: u64 = 1 << 5;
        assert_eq!(clash(0), Reason::Clash);
        assert_eq!(clash(CONFIRMED | DST_NAT), Reason::Clash);
        assert_eq!(clash(SRC_NAT | DST_NAT), Reason::NatExhausted);
    }

    #[test]
    fn each_way_out_of_confirm_is_told() {
        let reason = |status, inserted, stale| {
            confirmation(Refused {
                status,
                inserted,
                stale,
            })
        };
        assert_eq!(reason(0, false, false), Reason::ChainTooLong);
        assert_eq!(reason(DYING, false, false), Reason::Dying);
        assert_eq!(reason(0, false, true), Reason::StaleExtension);
        // Both at once cannot be told apart, nor can the counters: both move
        // `insert_failed`.
        assert_eq!(reason(DYING, false, true), Reason::Dying);
        assert_eq!(reason(DYING, true, true), Reason::StaleExtensionLate);
        assert_eq!(reason(0, true, false), Reason::AlreadyConfirmed);
        // The bits of NAT have no say.
        assert_eq!(reason(SRC_NAT, false, false), Reason::ChainTooLong);
    }
}
