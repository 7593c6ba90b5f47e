//! Totals for each namespace, and errors inside the programs.

use crate::reason::Reason;

/// Whose totals: those of one namespace in one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct TotalKey {
    /// Inode of the network namespace; 0 if it could not be read.
    pub netns: u32,
    /// The epoch, 0 or 1, in which it was counted.
    pub epoch: u32,
}
const _: () = assert!(size_of::<TotalKey>() == 8);

/// Numbers kept for each [`TotalKey`] on each CPU: a [`Reason`]'s is in the
/// slot of its number.
pub const TOTAL_SLOTS: usize = 17;
const _: () = assert!(Reason::ALL.len() <= TABLE_FULL_AT_REST as usize);

/// Slot of the packets that were refused by a full table at rest, when no
/// program sees their flow.
pub const TABLE_FULL_AT_REST: u32 = 14;

/// Slot of the packets for which `early_drop` found no victim, while the programs at its
/// exit are attached and other programs count the packet. It is a second, independent count
/// of the packets in [`TABLE_FULL_WITNESSED`].
///
/// The kernel skips a program that was interrupted on its CPU by the packet to
/// be counted. It never skips both of the programs that count a full table for
/// the same packet, so neither count alone is always right, and the larger one
/// is the better.
pub const EARLY_DROP_FAILED: u32 = 15;

/// Slot of the packets of [`Reason::TableFull`] whose call of `early_drop` can be in
/// [`EARLY_DROP_FAILED`]: all but the packets that were recognised by the note of its entry.
pub const TABLE_FULL_WITNESSED: u32 = 16;

/// What is counted for each [`TotalKey`] on each CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TotalCounts {
    /// By reason, and [`EARLY_DROP_FAILED`].
    pub slots: [u64; TOTAL_SLOTS],
}

/// Errors inside the programs, by slot of the per-CPU array `FAULTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Fault {
    /// A kernel pointer could not be read; the packet is in the totals, without
    /// a flow, and of namespace 0 if that could not be read either.
    Unreadable,
    /// The map that joins two programs was full; the reason may be wrong.
    JoinLost,
}

impl Fault {
    /// Number of slots.
    pub const COUNT: u32 = 2;
}
