//! The reasons for which packets are lost, and what else is counted.

/// Why the connection-tracking code did what it did to a packet or an entry.
///
/// Crosses the border as a `u32`. The decision for each is made where it is
/// counted, in the programs of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Reason {
    /// A new flow was refused: more entries than the limit allows, and
    /// `early_drop` found no entry to evict.
    TableFull,
    /// A new flow was refused below the limit: its entry could not be
    /// allocated.
    NoMemory,
    /// A new flow lost the race for its tuple, and could not be merged with
    /// the winner.
    Clash,
    /// A clash whose loser was source-NATed: no free port was found for it.
    NatExhausted,
    /// The hash chain that the flow belongs to is over the limit (5.15 and
    /// later): too few buckets.
    ChainTooLong,
    /// The entry was marked dying before it could be inserted.
    Dying,
    /// The entry's extensions were made before a helper or timeout policy was
    /// unloaded (5.19 to 6.18); seen before the insertion.
    StaleExtension,
    /// The same, seen after the insertion: the kernel counts it elsewhere.
    StaleExtensionLate,
    /// A clone of the packet had confirmed the entry already.
    AlreadyConfirmed,
    /// Not a refusal: an entry that `early_drop` killed to make room.
    Evicted,
    /// Not a refusal: a clash in which the loser was merged or given an entry
    /// of its own.
    ClashResolved,
    /// Not a packet: an entry that ctnetlink or a BPF program wanted, refused
    /// by a full table.
    NonPacket,
    /// Not a packet: an entry that ctnetlink or a BPF program wanted, refused
    /// for the length of its chain.
    NonPacketChain,
    /// Not known to be a refusal: a packet that either conntrack refused or a rule
    /// dropped. Only the tracepoint backend has such packets.
    RuleOrRefused,
}

impl Reason {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 14] = [
        Self::TableFull,
        Self::NoMemory,
        Self::Clash,
        Self::NatExhausted,
        Self::ChainTooLong,
        Self::Dying,
        Self::StaleExtension,
        Self::StaleExtensionLate,
        Self::AlreadyConfirmed,
        Self::Evicted,
        Self::ClashResolved,
        Self::NonPacket,
        Self::NonPacketChain,
        Self::RuleOrRefused,
    ];

    /// Whether a packet was lost.
    pub const fn is_drop(self) -> bool {
        match self {
            Self::TableFull
            | Self::NoMemory
            | Self::Clash
            | Self::NatExhausted
            | Self::ChainTooLong
            | Self::Dying
            | Self::StaleExtension
            | Self::StaleExtensionLate
            | Self::AlreadyConfirmed => true,
            Self::Evicted
            | Self::ClashResolved
            | Self::NonPacket
            | Self::NonPacketChain
            | Self::RuleOrRefused => false,
        }
    }
}

impl TryFrom<u32> for Reason {
    /// The number that names no reason.
    type Error = u32;

    fn try_from(number: u32) -> Result<Self, u32> {
        Self::ALL.get(number as usize).copied().ok_or(number)
    }
}
