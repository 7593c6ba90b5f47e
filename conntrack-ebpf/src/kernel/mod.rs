//! The only module that follows kernel pointers, or any raw pointer: here those of
//! conntrack's objects.
//!
//! Each kernel object is a newtype around its address, with a method for each
//! field that is read. Field offsets come from [`LAYOUT`]; since that map is
//! frozen before the programs are loaded, the verifier sees constants, and
//! what depends on an absent field folds away.

use core::marker::PhantomData;

use aya_ebpf::{
    Global,
    helpers::{
        bpf_probe_read_kernel,
        generated::{bpf_jiffies64, bpf_ktime_get_ns},
    },
};
use conntrack_ebpf::{ABSENT, Layout, early_drops::Asked};

mod stack;
mod task;
mod values;

pub use self::{
    stack::{position_at_entry, position_at_return, stack_position},
    task::{
        Locks, current_cgroup, current_task, is_on_stack_of_process, is_own_business_of_task,
        may_be_on_stack_of_task,
    },
    values::{add, add_to_flow, add_to_owner, add_to_slot, peek, store, update},
};

/// Kernel memory that could not be read, or a field this kernel lacks.
pub struct Unreadable;

/// What reading from the kernel gives.
pub type Read<T> = Result<T, Unreadable>;

/// Copies a value out of kernel memory, `offset` bytes after `base`.
fn read<T: Copy>(base: u64, offset: u32) -> Read<T> {
    if offset == ABSENT {
        return Err(Unreadable);
    }
    let source = base.wrapping_add(u64::from(offset)) as *const T;
    // SAFETY: the helper takes any address and fails cleanly on a bad one; `T`
    // is only ever an integer or an array or structure of integers.
    unsafe { bpf_probe_read_kernel(source) }.map_err(|_| Unreadable)
}

/// Set by user space before the load.
#[unsafe(no_mangle)]
static LAYOUT: Global<Layout> = Global::new(Layout::UNKNOWN);

/// The layout of the running kernel.
fn layout() -> Layout {
    LAYOUT.load()
}

/// How an address is followed.
pub trait Reach: Copy {
    /// Copies a number out of a structure.
    fn number<T: Copy>(base: u64, offset: u32) -> Read<T>;

    /// Copies a tuple.
    fn tuple(address: u64) -> Read<Tuple>;
}

/// By a helper, which takes any address.
#[derive(Clone, Copy)]
pub struct Probed;

impl Reach for Probed {
    fn number<T: Copy>(base: u64, offset: u32) -> Read<T> {
        read(base, offset)
    }

    fn tuple(address: u64) -> Read<Tuple> {
        read(address, 0)
    }
}

/// By plain loads, a few instructions instead of a hundred. Only an argument of
/// a program of type tracing is such an address, and what is loaded from one:
/// the verifier knows which structure is there and, where the address turns out
/// to be bad, the load gives 0 (`btf_struct_access` in `kernel/bpf/verifier.c`,
/// 5.5 and later).
#[derive(Clone, Copy)]
pub struct Typed;

impl Reach for Typed {
    fn number<T: Copy>(base: u64, offset: u32) -> Read<T> {
        if offset == ABSENT {
            return Err(Unreadable);
        }
        let source = base.wrapping_add(u64::from(offset)) as *const T;
        // SAFETY: the kernel gives the address of a structure of that type; a
        // bad one is caught by the kernel.
        Ok(unsafe { source.read_volatile() })
    }

    fn tuple(address: u64) -> Read<Tuple> {
        let word = |offset| Self::number::<u32>(address, offset).map(u32::to_ne_bytes);
        let half = |offset| Self::number::<u16>(address, offset);
        let address_at = |offset| {
            let words = [
                word(offset)?,
                word(offset + 4)?,
                word(offset + 8)?,
                word(offset + 12)?,
            ];
            Ok(*words.as_flattened().first_chunk().ok_or(Unreadable)?)
        };
        Ok(Tuple {
            src: address_at(0)?,
            src_port: half(16)?.to_ne_bytes(),
            family: half(18)?,
            dst: address_at(20)?,
            dst_port: half(36)?.to_ne_bytes(),
            protocol: Self::number(address, 38)?,
            direction: Self::number(address, 39)?,
        })
    }
}

/// A `struct net *`.
#[derive(Clone, Copy)]
pub struct Net<R = Probed>(u64, PhantomData<R>);

impl<R: Reach> Net<R> {
    /// The namespace at an address.
    pub const fn at(address: u64) -> Self {
        Self(address, PhantomData)
    }

    /// What an allocation in it is told by, with its tuple's hash.
    pub fn asked(self, hash: u32) -> Asked {
        Asked {
            net: self.0,
            net_low: low_of_address(self.0),
            hash,
        }
    }

    /// `net->ns.inum`, the inode of the namespace.
    pub fn inum(self) -> Read<u32> {
        R::number(self.0, layout().net_inum)
    }

    /// Whether its table holds as many entries as the limit allows, at this
    /// moment (`__nf_conntrack_alloc`, `net/netfilter/nf_conntrack_core.c`, 5.10
    /// to 7.3).
    pub fn is_full(self) -> Read<bool> {
        let address = layout().max_address;
        if address == 0 {
            return Err(Unreadable);
        }
        let max: u32 = read(address, 0)?;
        Ok(max != 0 && self.entries()? >= max)
    }

    /// Entries in its table: `net->ct.count`, or since 5.13
    /// `nf_ct_pernet(net)->count` (`include/net/netns/generic.h`).
    fn entries(self) -> Read<u32> {
        let Layout {
            net_id_address,
            net_count,
            net_gen,
            generic_ptr,
            generic_count,
            ..
        } = layout();
        if net_count != ABSENT {
            return read(self.0, net_count);
        }
        if net_id_address == 0 || generic_ptr == ABSENT {
            return Err(Unreadable);
        }
        let id: u32 = read(net_id_address, 0)?;
        let generic: u64 = read(self.0, net_gen)?;
        let own: u64 = read(generic, generic_ptr.wrapping_add(id.wrapping_mul(8)))?;
        read(own, generic_count)
    }
}

/// A `struct nf_conntrack_tuple` (`include/net/netfilter/nf_conntrack_tuple.h`),
/// whose layout has not changed from 3.10 to 7.3.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tuple {
    /// `src.u3`
    pub src: [u8; 16],
    /// `src.u.all`, big endian; of ICMP the id
    pub src_port: [u8; 2],
    /// `src.l3num`
    pub family: u16,
    /// `dst.u3`
    pub dst: [u8; 16],
    /// `dst.u.all`, big endian; of ICMP type and code
    pub dst_port: [u8; 2],
    /// `dst.protonum`
    pub protocol: u8,
    /// `dst.dir`
    pub direction: u8,
}
const _: () = assert!(size_of::<Tuple>() == 40);

impl Tuple {
    /// The tuple at an address.
    pub fn at<R: Reach>(address: u64) -> Read<Self> {
        R::tuple(address)
    }
}

/// `zone->id` of the `struct nf_conntrack_zone *` at `address`.
pub fn zone_id<R: Reach>(address: u64) -> Read<u16> {
    R::number(address, layout().zone_id)
}

/// A `struct nf_conn *`.
#[derive(Clone, Copy)]
pub struct Conntrack(u64);

impl Conntrack {
    /// The entry at an address.
    pub const fn at(address: u64) -> Self {
        Self(address)
    }

    /// The namespace it belongs to.
    pub fn net(self) -> Read<Net> {
        read(self.0, layout().ct_net).map(Net::at)
    }

    /// Its original tuple.
    pub fn tuple(self) -> Read<Tuple> {
        read(self.0, layout().ct_tuple)
    }

    /// Its zone; 0 on a kernel without zones.
    pub fn zone(self) -> Read<u16> {
        let offset = layout().ct_zone;
        if offset == ABSENT {
            Ok(0)
        } else {
            read(self.0, offset)
        }
    }

    /// `ct->status`, bits of `enum ip_conntrack_status`
    /// (`include/uapi/linux/netfilter/nf_conntrack_common.h`).
    pub fn status(self) -> Read<u64> {
        read(self.0, layout().ct_status)
    }

    /// Whether it is in the hash table, or has been.
    ///
    /// Until it is inserted, the place for the link of its reply direction
    /// holds its 32-bit hash; after that an address, and after it was taken out
    /// a poisoned one (`__nf_conntrack_confirm` and `hlist_nulls_del_rcu`). The
    /// bit `IPS_CONFIRMED` does not tell: kernels before July 2025 set it before
    /// they have decided (fixed by commit 2d72afb34065).
    pub fn was_inserted(self) -> Read<bool> {
        let link: u64 = read(self.0, layout().ct_reply_pprev)?;
        Ok(link > u64::from(u32::MAX))
    }

    /// Whether its time is over: `nf_ct_is_expired`
    /// (`include/net/netfilter/nf_conntrack.h`, 4.9 and later).
    pub fn is_expired(self) -> Read<bool> {
        let timeout: u32 = read(self.0, layout().ct_timeout)?;
        // SAFETY: the helper has no preconditions.
        let now = unsafe { bpf_jiffies64() };
        Ok(timeout.wrapping_sub(low(now)).cast_signed() <= 0)
    }

    /// Whether its extensions are of an older generation than the kernel's:
    /// `nf_ct_ext_valid_pre` (`net/netfilter/nf_conntrack_extend.c`, 5.19 to
    /// 6.18). False on kernels without generations.
    pub fn extensions_are_stale(self) -> Read<bool> {
        let Layout {
            ext_genid_address,
            ext_gen_id,
            ct_ext,
            ..
        } = layout();
        if ext_genid_address == 0 || ext_gen_id == ABSENT {
            return Ok(false);
        }
        let extensions: u64 = read(self.0, ct_ext)?;
        if extensions == 0 {
            return Ok(false);
        }
        let theirs: u32 = read(extensions, ext_gen_id)?;
        let current: u32 = read(ext_genid_address, 0)?;
        Ok(theirs != current)
    }
}

/// A `struct sk_buff *`.
#[derive(Clone, Copy)]
pub struct Skb<R = Probed>(u64, PhantomData<R>);

impl<R: Reach> Skb<R> {
    /// The packet at an address.
    pub const fn at(address: u64) -> Self {
        Self(address, PhantomData)
    }

    /// Its address, an identity while it lives.
    pub const fn address(self) -> u64 {
        self.0
    }

    /// `skb->_nfct`: the entry's address, and in the lowest three bits the
    /// state (`NFCT_PTRMASK`, `include/linux/skbuff.h`). 0 if no entry was made;
    /// 7 for an untracked packet.
    pub fn nfct(self) -> Read<u64> {
        R::number(self.0, layout().skb_nfct)
    }

    /// The conntrack entry it carries.
    pub fn conntrack(self) -> Read<Conntrack> {
        match self.nfct()? & !7 {
            0 => Err(Unreadable),
            address => Ok(Conntrack(address)),
        }
    }

    /// The inode of the namespace it is in: that of its device, else of its
    /// socket, else of the device it is routed to. A packet on its way out has no
    /// device yet in the output hook.
    pub fn netns(self) -> Read<u32> {
        let layout = layout();
        let device: u64 = R::number(self.0, layout.skb_dev)?;
        if device != 0 {
            return Net::<R>::at(R::number(device, layout.dev_net)?).inum();
        }
        let socket: u64 = R::number(self.0, layout.skb_sk)?;
        if socket != 0 {
            return Net::<R>::at(R::number(socket, layout.sk_net)?).inum();
        }
        // The lowest bit says whether the reference is counted (SKB_DST_NOREF).
        let route: u64 = R::number(self.0, layout.skb_dst)?;
        let device: u64 = read(route & !1, layout.dst_dev)?;
        Net::<Probed>::at(read(device, layout.dev_net)?).inum()
    }

    /// Whether it belongs to a socket, as one on its way out does.
    pub fn has_socket(self) -> Read<bool> {
        let socket: u64 = R::number(self.0, layout().skb_sk)?;
        Ok(socket != 0)
    }

    /// `skb->protocol`, host order: 0x0800 or 0x86dd.
    pub fn protocol(self) -> Read<u16> {
        R::number(self.0, layout().skb_protocol).map(u16::from_be)
    }

    /// The part of the packet that lies in one piece, from the network header
    /// on.
    pub fn network(self) -> Read<Bytes> {
        let layout = layout();
        let head: u64 = R::number(self.0, layout.skb_head)?;
        let data: u64 = R::number(self.0, layout.skb_data)?;
        let network: u16 = R::number(self.0, layout.skb_network_header)?;
        let len: u32 = R::number(self.0, layout.skb_len)?;
        let paged: u32 = R::number(self.0, layout.skb_data_len)?;
        let start = head.wrapping_add(u64::from(network));
        let end = data.wrapping_add(u64::from(len.wrapping_sub(paged)));
        Ok(Bytes { start, end })
    }
}

/// A stretch of packet bytes in kernel memory.
#[derive(Clone, Copy)]
pub struct Bytes {
    start: u64,
    end: u64,
}

impl Bytes {
    /// Copies what lies at `offset`; fails past the end.
    pub fn read<T: Copy>(self, offset: u32) -> Read<T> {
        let last = self
            .start
            .wrapping_add(u64::from(offset))
            .wrapping_add(size_of::<T>() as u64);
        if last > self.end {
            return Err(Unreadable);
        }
        read(self.start, offset)
    }
}

/// Whether a packet was freed because netfilter dropped it, by the number of
/// the reason.
pub fn is_netfilter_drop(reason: u32) -> bool {
    reason == layout().reason_netfilter_drop
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// The low half of an address, as a number to reckon with.
///
/// The verifier allows no arithmetic on pointers of some kinds, but it takes
/// their 32-bit copy for a plain number (`check_alu_op` in
/// `kernel/bpf/verifier.c`, 4.9 to 7.3). The compiler would copy by shifting, so
/// the instruction is spelled out: `w2 = w2`.
#[cfg(target_arch = "bpf")]
fn low_of_address(address: u64) -> u32 {
    let number: u64;
    // SAFETY: the instruction touches no memory.
    unsafe {
        core::arch::asm!(
            ".byte 0xbc, 0x22, 0, 0, 0, 0, 0, 0",
            inout("r2") address => number,
            options(pure, nomem, nostack),
        );
    }
    low(number)
}

/// The same on the host, where the programs are only checked.
#[cfg(not(target_arch = "bpf"))]
fn low_of_address(address: u64) -> u32 {
    low(address)
}

/// The low half of a number.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub const fn low(number: u64) -> u32 {
    number as u32
}

/// The high half of a number.
pub const fn high(number: u64) -> u32 {
    low(number >> 32)
}
