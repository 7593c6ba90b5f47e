//! Where the running kernel keeps what the programs read.

/// Marks a field that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

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
    /// Where the preemption count lies in each CPU's own memory, to be added to that CPU's
    /// offset; 0 where the task holds it, or if nothing tells.
    pub preempt_count_address: u64,
    /// Address of `nf_conntrack_max`, 0 if it is hidden.
    pub max_address: u64,
    /// Address of `nf_conntrack_net_id`, 0 if it is hidden or this kernel has
    /// none.
    pub net_id_address: u64,
    /// The 32 bits of `task_struct.thread_info` that count, where the task holds the
    /// preemption count; absent where [`Self::preempt_count_address`] tells, or if
    /// nothing does.
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
    /// `net.ct.stat`.
    pub net_ct_stat: u32,
    /// `ip_conntrack_stat.drop`.
    pub stat_drop: u32,
    /// `bpf_array.pptrs`.
    pub array_pptrs: u32,
    /// Bytes of a task's stack, `THREAD_SIZE`.
    pub stack_size: u32,
}
const _: () = assert!(size_of::<Layout>() == 176);

impl Layout {
    /// A layout that knows nothing: the value in the object before it is
    /// loaded.
    pub const UNKNOWN: Self = Self {
        ext_genid_address: 0,
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
        net_ct_stat: ABSENT,
        stat_drop: ABSENT,
        array_pptrs: ABSENT,
        stack_size: 0,
    };
}
