//! Copies of refused packets: which of them user space asks for, and what it gets.
//!
//! How many are copied is bounded here, so that a flood costs little more with a
//! capture than without one. What was not copied is counted by [`Omission`].

/// How many bytes of a packet are copied, from its network header on.
///
/// The programs read as many bytes of a shorter packet, and user space cuts the rest. The
/// read stays in the packet's buffer, which ends with `struct skb_shared_info`: that is
/// more than twice as large (`include/linux/skbuff.h`).
pub const SNAP_LENGTH: usize = 128;

/// Whether packets are to be copied: frozen before the programs are loaded.
///
/// No other constant has these values: the compiler merges equal constants, and user space
/// would then overwrite all uses.
pub const OFF: u32 = 0x6f66_6600;

/// See [`OFF`].
pub const ON: u32 = 0x6f6e_0000;

/// What is to be copied: frozen before the programs are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CaptureOrder {
    /// Inode of the only namespace; 0 for all.
    pub netns: u32,
    /// A bit for each [`crate::Reason`], by its number.
    pub reasons: u32,
    /// The only IP protocol; [`Self::ANY_PROTOCOL`] for all.
    pub protocol: u32,
    /// How many packets of a flow at most.
    pub per_flow: u32,
    /// How many packets in each window of time at most: see [`Budget`].
    pub per_window: u32,
    /// Unused: it makes the size a multiple of eight.
    pub padding: u32,
}
const _: () = assert!(size_of::<CaptureOrder>() == 24);

impl CaptureOrder {
    /// All protocols: no protocol has this number.
    pub const ANY_PROTOCOL: u32 = 256;

    /// No packet at all: the value in the object before it is loaded.
    pub const NOTHING: Self = Self {
        netns: 0,
        reasons: 0,
        protocol: Self::ANY_PROTOCOL,
        per_flow: 0,
        per_window: 0,
        padding: 0,
    };
}

/// A packet, as it lies in the ring buffer `CAPTURED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CapturedPacket {
    /// When it was counted, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// Its number among the refused packets of its flow, from 1 on.
    pub number: u64,
    /// Inode of the network namespace.
    pub netns: u32,
    /// A [`crate::Reason`].
    pub reason: u32,
    /// How many bytes it has from its network header on.
    pub length: u32,
    /// How many of these are in the linear part of the socket buffer. No further `bytes` are
    /// of the packet.
    pub linear: u32,
    /// The first of them.
    pub bytes: [u8; SNAP_LENGTH],
}
const _: () = assert!(size_of::<CapturedPacket>() == 160);

/// Why a packet that was asked for was not copied, by slot of the per-CPU array
/// `OMITTED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Omission {
    /// It is of another protocol.
    OtherProtocol,
    /// Enough packets of its flow were copied.
    FlowBound,
    /// Enough packets were copied at that time.
    RateBound,
    /// The ring buffer was full.
    NoRoom,
    /// The socket buffer has no linear part, or its bytes could not be read.
    Unreadable,
}

impl Omission {
    /// Number of slots.
    pub const COUNT: u32 = 5;
}

/// How many packets were copied in the current window of time.
///
/// CPUs that change it at the same moment can both take the last packet, or overwrite each
/// other's change. Then more packets are copied than the bound allows, but at most one more
/// for each CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Budget {
    /// Number of the window since the kernel started.
    window: u64,
    taken: u64,
}
const _: () = assert!(size_of::<Budget>() == 16);

impl Budget {
    /// A window lasts two to the power of so many nanoseconds: 67 ms. So copies are spread
    /// over each second. With one budget for a second, all would be from its beginning.
    pub const WINDOW: u32 = 26;

    /// Takes one packet at that time, if fewer than `most` were taken in its window.
    pub const fn take(&mut self, now: u64, most: u32) -> bool {
        let window = now >> Self::WINDOW;
        if self.window != window {
            self.window = window;
            self.taken = 0;
        }
        let has_room = self.taken < most as u64;
        if has_room {
            self.taken += 1;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_has_a_budget_of_its_own() {
        let mut budget = Budget::default();
        let mut taken = |now: u64, packets: usize| {
            let packets = (0..packets).filter(|_| budget.take(now, 3));
            packets.count()
        };
        let window = 1 << Budget::WINDOW;
        assert_eq!(taken(5 * window, 10), 3);
        assert_eq!(taken(6 * window - 1, 10), 0, "it is the same window");
        assert_eq!(taken(6 * window, 2), 2);
        assert_eq!(taken(6 * window, 10), 1);
        assert_eq!(taken(900 * window, 10), 3);
        assert!(!Budget::default().take(window, 0));
    }
}
