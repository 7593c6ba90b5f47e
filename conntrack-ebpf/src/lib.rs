//! What the kernel side and user space agree on: keys and values of the maps,
//! the reasons, and the kernel-specific constants handed over at load time.
//!
//! Everything here is `#[repr(C)]`, made of fixed-width integers, without
//! implicit padding; the sizes are asserted, so a change that would let the
//! two sides disagree does not compile.

#![cfg_attr(not(test), no_std)]

use core::hash::{Hash, Hasher};

pub mod early_drops;
pub mod judge;
pub mod slots;

/// Marks a field that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

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
}

impl Reason {
    /// Every reason, in the order of its number.
    pub const ALL: [Self; 13] = [
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
    ];

    /// Whether a packet was lost.
    pub const fn is_drop(self) -> bool {
        matches!(
            self,
            Self::TableFull
                | Self::NoMemory
                | Self::Clash
                | Self::NatExhausted
                | Self::ChainTooLong
                | Self::Dying
                | Self::StaleExtension
                | Self::StaleExtensionLate
                | Self::AlreadyConfirmed
        )
    }
}

impl TryFrom<u32> for Reason {
    /// The number that names no reason.
    type Error = u32;

    fn try_from(number: u32) -> Result<Self, u32> {
        Self::ALL.get(number as usize).copied().ok_or(number)
    }
}

/// One direction of a flow in one namespace, with what happened to it.
///
/// The tuple is the original one, as the sender wrote it, before NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FlowKey {
    /// Source address, network order; IPv4 uses the first four bytes.
    pub src: [u8; 16],
    /// Destination address, as `src`.
    pub dst: [u8; 16],
    /// Inode of the network namespace (`net->ns.inum`; `lsns -t net`).
    pub netns: u32,
    /// Source port, host order; for ICMP and ICMPv6 the query id.
    pub sport: u16,
    /// Destination port, host order; for ICMP and ICMPv6 `type << 8 | code`.
    pub dport: u16,
    /// Conntrack zone of the original direction; 0 unless configured.
    pub zone: u16,
    /// Address family: 2 (IPv4) or 10 (IPv6); 0 if it could not be read.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`Reason`]. As wide as it is so that no padding has to be cleared.
    pub reason: u32,
    /// The process that sent the packet from this host (`tgid` in the initial
    /// pid namespace); 0 of one that was received, or whose sender is not known.
    pub sender: u32,
}
const _: () = assert!(size_of::<FlowKey>() == 52);

/// In words, which hashers take much faster than field by field.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.src));
        state.write_u128(u128::from_ne_bytes(self.dst));
        let ports = u32::from(self.sport) << 16 | u32::from(self.dport);
        state.write_u64(u64::from(self.netns) << 32 | u64::from(ports));
        let [zone_high, zone_low] = self.zone.to_be_bytes();
        let kind = u32::from_be_bytes([zone_high, zone_low, self.family, self.protocol]);
        state.write_u64(u64::from(self.reason) << 32 | u64::from(kind));
        state.write_u32(self.sender);
    }
}

/// What is counted for one [`FlowKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowCount {
    /// Packets; for [`Reason::Evicted`] entries.
    pub packets: u64,
    /// Time of the first, in nanoseconds of `CLOCK_MONOTONIC`.
    pub first: u64,
    /// Time of the last, in nanoseconds of `CLOCK_MONOTONIC`.
    pub last: u64,
}
const _: () = assert!(size_of::<FlowCount>() == 24);

/// Where a packet wanted to go: what is left of a flow for which the flow map
/// had no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ServiceKey {
    /// Destination address, as in [`FlowKey`].
    pub dst: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// Destination port, as in [`FlowKey`].
    pub dport: u16,
    /// Address family, as in [`FlowKey`].
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`Reason`]. As wide as it is so that no padding has to be cleared.
    pub reason: u32,
}
const _: () = assert!(size_of::<ServiceKey>() == 28);

impl From<&FlowKey> for ServiceKey {
    fn from(flow: &FlowKey) -> Self {
        Self {
            dst: flow.dst,
            netns: flow.netns,
            dport: flow.dport,
            family: flow.family,
            protocol: flow.protocol,
            reason: flow.reason,
        }
    }
}

/// What is known of a process that sent packets, when it last did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Sender {
    /// Id of its cgroup in the unified hierarchy: the inode of the cgroup's
    /// directory.
    pub cgroup: u64,
    /// Name of the sending thread (`task_struct.comm`), up to its first 0.
    pub comm: [u8; 16],
}
const _: () = assert!(size_of::<Sender>() == 24);

/// The value of the map `EPOCH`: which of two sets of maps is counted in, and
/// how the programs stand to one another. Read once for each packet, so that
/// all that is counted for it agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// Nothing is counted: before all programs are attached, and after the
    /// last reading. All programs begin and end at once, however long it takes
    /// to attach them one by one.
    pub const OFF: Self = Self(u32::MAX);

    /// A set of maps, 0 or 1, and a phase.
    pub const fn new(index: u32, phase: Phase) -> Self {
        Self((phase as u32) << 1 | index & 1)
    }

    /// Which set of maps, 0 or 1; none if nothing is counted.
    pub const fn index(self) -> Option<u32> {
        if self.0 == Self::OFF.0 {
            None
        } else {
            Some(self.0 & 1)
        }
    }

    /// Whether it is this phase.
    pub const fn is(self, phase: Phase) -> bool {
        self.0 >> 1 == phase as u32
    }

    /// The phase; at rest if nothing is counted.
    pub const fn phase(self) -> Phase {
        match self.0 >> 1 {
            1 => Phase::Arming,
            2 => Phase::Armed,
            _ => Phase::AtRest,
        }
    }
}

/// Which programs are attached, as far as the others must know.
///
/// At rest those that run for each new flow are not; so what they would count
/// with the flow is counted by those that see it first, without one. In
/// between, packets of both kinds are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Only programs that run under pressure are attached.
    AtRest,
    /// All are attached; packets that were seen at rest may be on their way.
    Arming,
    /// All are attached and have seen every packet from the start.
    Armed,
}

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
pub const TOTAL_SLOTS: usize = 16;
const _: () = assert!(Reason::ALL.len() <= TABLE_FULL_AT_REST as usize);

/// Slot of the packets that were refused by a full table at rest, when no
/// program sees their flow.
pub const TABLE_FULL_AT_REST: u32 = 14;

/// Slot of the packets for which `early_drop` found no victim while armed: a
/// second, independent count of [`Reason::TableFull`].
///
/// The kernel skips a program that was interrupted on its CPU by the packet to
/// be counted. It never skips both of the programs that count a full table for
/// the same packet, so neither count alone is always right, and the larger one
/// is the better.
pub const EARLY_DROP_FAILED: u32 = 15;

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

/// What differs from kernel to kernel, read by user space from the running
/// kernel's BTF and symbol table, and frozen before the programs are loaded.
///
/// Offsets are in bytes from the start of the named structure, [`ABSENT`]
/// where this kernel lacks the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// Address of `nf_conntrack_ext_genid`, 0 if this kernel has none.
    pub ext_genid_address: u64,
    /// Address of the array `__per_cpu_offset`, 0 where the task holds the
    /// preemption count.
    pub per_cpu_offset_address: u64,
    /// Where the preemption count lies in each CPU's own memory, to be added to
    /// that CPU's offset.
    pub preempt_count_address: u64,
    /// Address of `nf_conntrack_max`, 0 if it is hidden.
    pub max_address: u64,
    /// Address of `nf_conntrack_net_id`, 0 if it is hidden or this kernel has
    /// none.
    pub net_id_address: u64,
    /// `task_struct.thread_info.preempt_count`, where the task holds it; absent
    /// where [`Self::per_cpu_offset_address`] tells, or if nothing does.
    pub task_preempt_count: u32,
    /// `task_struct.softirq_disable_cnt`, which only realtime kernels have.
    pub task_softirq_disable: u32,
    /// `task_struct.stack`.
    pub task_stack: u32,
    /// `task_struct.flags`.
    pub task_flags: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
    /// `net.ct.count`; absent since 5.13.
    pub net_count: u32,
    /// `net.gen`.
    pub net_gen: u32,
    /// `net_generic.ptr`.
    pub generic_ptr: u32,
    /// `nf_conntrack_net.count`, in which conntrack counts the entries of a
    /// namespace since 5.13.
    pub generic_count: u32,
    /// `nf_conn.status`.
    pub ct_status: u32,
    /// `nf_conn.timeout`.
    pub ct_timeout: u32,
    /// `nf_conn.zone.id`; absent without `CONFIG_NF_CONNTRACK_ZONES`.
    pub ct_zone: u32,
    /// `nf_conn.ct_net`.
    pub ct_net: u32,
    /// `nf_conn.tuplehash[IP_CT_DIR_ORIGINAL].tuple`.
    pub ct_tuple: u32,
    /// `nf_conn.tuplehash[IP_CT_DIR_REPLY].hnnode.pprev`.
    pub ct_reply_pprev: u32,
    /// `nf_conn.ext`.
    pub ct_ext: u32,
    /// `nf_ct_ext.gen_id`; absent where extensions have no generation.
    pub ext_gen_id: u32,
    /// `nf_conntrack_zone.id`.
    pub zone_id: u32,
    /// `sk_buff._nfct`.
    pub skb_nfct: u32,
    /// `sk_buff.head`.
    pub skb_head: u32,
    /// `sk_buff.data`.
    pub skb_data: u32,
    /// `sk_buff.len`.
    pub skb_len: u32,
    /// `sk_buff.data_len`.
    pub skb_data_len: u32,
    /// `sk_buff.network_header`.
    pub skb_network_header: u32,
    /// `sk_buff.protocol`.
    pub skb_protocol: u32,
    /// `sk_buff.dev`.
    pub skb_dev: u32,
    /// `sk_buff.sk`.
    pub skb_sk: u32,
    /// `sk_buff._skb_refdst`.
    pub skb_dst: u32,
    /// `net_device.nd_net.net`.
    pub dev_net: u32,
    /// `sock.__sk_common.skc_net.net`.
    pub sk_net: u32,
    /// `dst_entry.dev`.
    pub dst_dev: u32,
    /// `SKB_DROP_REASON_NETFILTER_DROP`; absent before 5.18.
    pub reason_netfilter_drop: u32,
}
const _: () = assert!(size_of::<Layout>() == 168);

impl Layout {
    /// A layout that knows nothing: the value in the object before it is
    /// loaded.
    pub const UNKNOWN: Self = Self {
        ext_genid_address: 0,
        per_cpu_offset_address: 0,
        preempt_count_address: 0,
        max_address: 0,
        net_id_address: 0,
        task_preempt_count: ABSENT,
        task_softirq_disable: ABSENT,
        task_stack: ABSENT,
        task_flags: ABSENT,
        net_inum: ABSENT,
        net_count: ABSENT,
        net_gen: ABSENT,
        generic_ptr: ABSENT,
        generic_count: ABSENT,
        ct_status: ABSENT,
        ct_timeout: ABSENT,
        ct_zone: ABSENT,
        ct_net: ABSENT,
        ct_tuple: ABSENT,
        ct_reply_pprev: ABSENT,
        ct_ext: ABSENT,
        ext_gen_id: ABSENT,
        zone_id: ABSENT,
        skb_nfct: ABSENT,
        skb_head: ABSENT,
        skb_data: ABSENT,
        skb_len: ABSENT,
        skb_data_len: ABSENT,
        skb_network_header: ABSENT,
        skb_protocol: ABSENT,
        skb_dev: ABSENT,
        skb_sk: ABSENT,
        skb_dst: ABSENT,
        dev_net: ABSENT,
        sk_net: ABSENT,
        dst_dev: ABSENT,
        reason_netfilter_drop: ABSENT,
    };
}

/// Allows user space to copy the shared types to and from maps.
#[cfg(feature = "user")]
mod pod {
    use super::{FlowCount, FlowKey, Layout, Sender, ServiceKey, TotalCounts, TotalKey};

    // SAFETY: `repr(C)`, integers only, no padding (sizes asserted above).
    unsafe impl aya::Pod for FlowKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowCount {}
    // SAFETY: as above.
    unsafe impl aya::Pod for ServiceKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for TotalKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for TotalCounts {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Sender {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Layout {}
}
