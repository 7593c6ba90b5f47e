//! The only module that follows kernel pointers, or any raw pointer.
//!
//! Each kernel object is a newtype around its address, with a method for each
//! field that is read. Field offsets come from [`LAYOUT`]; since that map is
//! frozen before the programs are loaded, the verifier sees constants, and
//! what depends on an absent field folds away.

use core::marker::PhantomData;

use aya_ebpf::{
    EbpfContext, Global,
    bindings::pt_regs,
    helpers::{
        bpf_probe_read_kernel,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_current_task_btf,
            bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_ns,
        },
    },
    programs::{ProbeContext, RetProbeContext},
};
use conntrack_ebpf::{ABSENT, FlowCount, Layout, TOTAL_SLOTS, TotalCounts, early_drops::Asked};

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

/// Address of the current task. Of a softirq it is the task it interrupted.
pub fn current_task() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task() }
}

/// What a function that a program is attached to has switched off by itself.
#[derive(Clone, Copy)]
pub enum Locks {
    /// Nothing: its caller is in the state that the packet came in.
    None,
    /// Softirqs, once, while it holds the locks of hash buckets.
    Buckets,
}

/// Whether what runs now is the current task's own business: not that of an
/// interrupt, nor of something that the task does with softirqs switched off,
/// as the receive path of packets demands.
///
/// The preemption count says: bits 8 to 15 count softirqs, being served
/// (odd) or switched off (even), those above interrupts
/// (`include/linux/preempt.h`, 2.6.39 to 7.3). A realtime kernel counts
/// switching off in the task instead.
pub fn is_own_business_of_task(locks: Locks) -> Read<bool> {
    const INTERRUPTS: u32 = 0x00ff_ff00;
    const SOFTIRQS_OFF_ONCE: u32 = 0x200;

    let layout = layout();
    let count = preempt_count()? & INTERRUPTS;
    if layout.task_softirq_disable != ABSENT {
        let off: u32 = read(current_task(), layout.task_softirq_disable)?;
        return Ok(count == 0 && off == u32::from(matches!(locks, Locks::Buckets)));
    }
    Ok(count
        == match locks {
            Locks::None => 0,
            Locks::Buckets => SOFTIRQS_OFF_ONCE,
        })
}

/// Whether a program of type tracing at this position on the stack runs on that of
/// the current task, which is a process: then no softirq runs, which has a stack of
/// its own (x86-64; arm64 since 5.19) or belongs to a kernel thread.
pub fn is_on_stack_of_process(position: u32) -> Read<bool> {
    /// `THREAD_SIZE` of x86-64 and arm64, without debugging aids.
    const SIZE: u32 = 16 * 1024;
    /// `PF_KTHREAD` (`include/linux/sched.h`).
    const KERNEL_THREAD: u32 = 0x0020_0000;

    let flags: u32 = Typed::number(typed_current_task(), layout().task_flags)?;
    Ok(is_within(SIZE, position)? && flags & KERNEL_THREAD == 0)
}

/// Whether such a program may run on the stack of the current task, whatever its
/// size; if not, a softirq runs on its own.
pub fn may_be_on_stack_of_task(position: u32) -> Read<bool> {
    /// More than `THREAD_SIZE` anywhere.
    const SIZE: u32 = 128 * 1024;

    is_within(SIZE, position)
}

/// Whether a position is so near to the end of the current task's stack.
fn is_within(size: u32, position: u32) -> Read<bool> {
    let stack: u64 = Typed::number(typed_current_task(), layout().task_stack)?;
    Ok(position.wrapping_sub(low(stack)) < size)
}

/// The current task as a pointer of known type.
fn typed_current_task() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_task_btf() as u64 }
}

/// x86 keeps it in each CPU's own memory, the others in the task.
fn preempt_count() -> Read<u32> {
    let layout = layout();
    if layout.per_cpu_offset_address == 0 {
        return read(current_task(), layout.task_preempt_count);
    }
    // SAFETY: the helper has no preconditions. Programs are not moved to
    // another CPU while they run.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let own: u64 = read(layout.per_cpu_offset_address, cpu.wrapping_mul(8))?;
    read(own.wrapping_add(layout.preempt_count_address), 0)
}

/// Id of the current task's cgroup in the unified hierarchy.
pub fn current_cgroup() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_get_current_cgroup_id() }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// The low half of the address of the trampoline's frame, which lies on the
/// stack of the traced function.
pub fn stack_position(context: &impl EbpfContext) -> u32 {
    low_of_address(context.as_ptr() as u64)
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

/// What a call pushes on the stack: on x86-64 the return address, elsewhere
/// nothing (it is in a register).
#[cfg(bpf_target_arch = "x86_64")]
const CALL_PUSHES: u64 = 8;
#[cfg(not(bpf_target_arch = "x86_64"))]
const CALL_PUSHES: u64 = 0;

/// The stack pointer on entry to a function.
pub fn position_at_entry(context: &ProbeContext) -> u64 {
    stack_pointer(context.regs)
}

/// The stack pointer that the function which returns was entered with.
pub fn position_at_return(context: &RetProbeContext) -> u64 {
    stack_pointer(context.regs).wrapping_sub(CALL_PUSHES)
}

fn stack_pointer(registers: *mut pt_regs) -> u64 {
    // SAFETY: the kernel passes the registers for the time of the run.
    #[cfg(bpf_target_arch = "x86_64")]
    return unsafe { (*registers).rsp };
    // SAFETY: as above.
    #[cfg(not(bpf_target_arch = "x86_64"))]
    return unsafe { (*registers).sp };
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

/// Adds to a counter in a map. Atomic even in per-CPU maps: a softirq can come
/// between the read and the write of a task on the same CPU.
#[cfg(target_arch = "bpf")]
pub fn add(slot: *mut u64, amount: u64) {
    // SAFETY: `slot` is a map value just looked up: valid for this run of the
    // program, aligned to 8, and only ever changed by this instruction. It is
    // `BPF_ATOMIC | BPF_ADD` without `BPF_FETCH`, which every kernel knows.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({slot} + 0) += {amount}",
            slot = in(reg) slot,
            amount = in(reg) amount,
            options(nostack, preserves_flags),
        );
    }
}

/// The same on the host, where the programs are only checked.
#[cfg(not(target_arch = "bpf"))]
pub fn add(slot: *mut u64, amount: u64) {
    // SAFETY: as for the target.
    let counter = unsafe { core::sync::atomic::AtomicU64::from_ptr(slot) };
    counter.fetch_add(amount, core::sync::atomic::Ordering::Relaxed);
}

/// Adds one to a slot of the totals.
pub fn add_to_slot(counts: *mut TotalCounts, slot: u32) {
    let slot = slot as usize % TOTAL_SLOTS;
    // SAFETY: `counts` is a map value just looked up: valid for this run; the
    // slot is inside the array.
    add(unsafe { &raw mut (*counts).slots[slot] }, 1);
}

/// Adds one packet at `now` to a flow's entry.
pub fn add_to_flow(count: *mut FlowCount, now: u64) {
    // SAFETY: `count` is a map value just looked up: valid for this run.
    add(unsafe { &raw mut (*count).packets }, 1);
    // SAFETY: as above.
    let last = unsafe { &raw mut (*count).last };
    // SAFETY: as above; the latest of several concurrent writers stays.
    unsafe { last.write_volatile(now) };
}

/// Sets a number in a map; the last of several writers stays.
pub fn store(slot: *mut u32, number: u32) {
    // SAFETY: `slot` is a map value just looked up: valid for this run of the
    // program, aligned to 8.
    unsafe { slot.write_volatile(number) };
}

/// Adds to the owner of a slot: see [`conntrack_ebpf::slots`].
pub fn add_to_owner(owner: &mut u64, amount: u64) {
    add(owner, amount);
}

/// Changes a map value that only the current task's stack of interrupts
/// touches, or that says itself whose it is.
pub fn update<T, R>(value: *mut T, change: impl FnOnce(&mut T) -> R) -> R {
    // SAFETY: `value` is a map value just looked up: valid for this run. Only
    // programs nested on this CPU use the same part of it, and they put back
    // what they found.
    change(unsafe { &mut *value })
}

/// Copies such a value.
pub fn peek<T: Copy>(value: *mut T) -> T {
    // SAFETY: as in `update`.
    unsafe { *value }
}
