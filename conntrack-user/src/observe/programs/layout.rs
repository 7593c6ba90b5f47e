//! Finds out where the running kernel keeps what the programs read.

use conntrack_ebpf::{ABSENT, Layout};

use rustix::param::page_size;

use crate::{
    btf::Btf,
    kernel::symbols::Symbols,
    observe::programs::{
        blind_spots::{BlindSpot, NotFound, Unseen},
        preempt_count::PreemptCount,
    },
};

/// Where the running kernel keeps what the programs read.
#[derive(Debug)]
pub struct Resolved {
    /// What is to be found.
    pub layout: Layout,
    /// What the programs cannot tell without the rest.
    pub blind_spots: Vec<BlindSpot>,
}

/// Resolves the layout from the kernel's type information. Every structure
/// the programs must read is in vmlinux's own, even where conntrack is a module. Fails
/// with the fields that are not there.
pub fn resolve(
    btf: &Btf,
    module: Option<&Btf>,
    symbols: &Symbols,
) -> Result<Resolved, Vec<String>> {
    let mut blind_spots = Vec::new();
    let mut blind = |unseen, why| blind_spots.push(BlindSpot { unseen, why });
    let mut fields = Fields {
        btf,
        missing: Vec::new(),
    };
    let ext_gen_id = fields.optional("nf_ct_ext.gen_id", 4);
    let mut ext_genid_address = 0;
    if ext_gen_id != ABSENT {
        match symbols.address("nf_conntrack_ext_genid") {
            Ok(address) => ext_genid_address = address,
            Err(why) => blind(Unseen::StaleExtensions, why.into()),
        }
    }
    let preempt_count = PreemptCount::find(btf, symbols);
    let (mut in_task, mut of_cpu) = (ABSENT, 0);
    match preempt_count {
        Ok(PreemptCount::InTask(offset)) => in_task = offset,
        Ok(PreemptCount::OfCpu(address)) => of_cpu = address,
        Err(why) => blind(Unseen::Senders, why),
    }
    let [max, net_id] = ["nf_conntrack_max", "nf_conntrack_net_id"].map(|it| symbols.address(it));
    let net_count = fields.optional("net.ct.count", 4);
    let counted = if net_count == ABSENT {
        max.and(net_id)
    } else {
        max
    };
    let generic_count = optional(module.unwrap_or(btf), "nf_conntrack_net.count", 4);
    if let Err(why) = counted {
        blind(Unseen::Fullness, why.into());
    } else if net_count == ABSENT && generic_count == ABSENT {
        blind(Unseen::Fullness, NotFound::Field("nf_conntrack_net.count"));
    }
    let layout = Layout {
        ext_genid_address,
        ext_gen_id,
        preempt_count_address: of_cpu,
        task_preempt_count: in_task,
        task_softirq_disable: fields.optional("task_struct.softirq_disable_cnt", 4),
        task_stack: fields.required("task_struct.stack", 8),
        task_flags: fields.required("task_struct.flags", 4),
        max_address: max.unwrap_or(0),
        net_id_address: net_id.unwrap_or(0),
        net_inum: fields.required("net.ns.inum", 4),
        net_count,
        net_gen: fields.optional("net.gen", 8),
        // The one leads to the other: without the module's types neither is known.
        generic_ptr: if generic_count == ABSENT {
            ABSENT
        } else {
            fields.optional("net_generic.ptr", 0)
        },
        generic_count,
        ct_status: fields.required("nf_conn.status", 8),
        ct_timeout: fields.required("nf_conn.timeout", 4),
        ct_zone: fields.optional("nf_conn.zone.id", 2),
        ct_net: fields.required("nf_conn.ct_net.net", 8),
        ct_tuple: fields.required("nf_conn.tuplehash", 2 * 56)
            + fields.required("nf_conntrack_tuple_hash.tuple", 40),
        ct_reply_pprev: fields.required("nf_conn.tuplehash", 2 * 56)
            + 56
            + fields.required("nf_conntrack_tuple_hash.hnnode", 16)
            + fields.required("hlist_nulls_node.pprev", 8),
        ct_ext: fields.required("nf_conn.ext", 8),
        zone_id: fields.required("nf_conntrack_zone.id", 2),
        skb_nfct: fields.required("sk_buff._nfct", 8),
        skb_head: fields.required("sk_buff.head", 8),
        skb_data: fields.required("sk_buff.data", 8),
        skb_len: fields.required("sk_buff.len", 4),
        skb_data_len: fields.required("sk_buff.data_len", 4),
        skb_network_header: fields.required("sk_buff.network_header", 2),
        skb_protocol: fields.required("sk_buff.protocol", 2),
        skb_dev: fields.required("sk_buff.dev", 8),
        skb_sk: fields.required("sk_buff.sk", 8),
        skb_dst: fields.required("sk_buff._skb_refdst", 8),
        dev_net: fields.required("net_device.nd_net.net", 8),
        sk_net: fields.required("sock.__sk_common.skc_net.net", 8),
        dst_dev: fields.required("dst_entry.dev", 8),
        reason_netfilter_drop: btf
            .enum_value("skb_drop_reason", "SKB_DROP_REASON_NETFILTER_DROP")
            .and_then(|value| u32::try_from(value).ok())
            .unwrap_or(ABSENT),
        net_ct_stat: fields.optional("net.ct.stat", 8),
        stat_drop: fields.optional("ip_conntrack_stat.drop", 4),
        array_pptrs: fields.optional("bpf_array.pptrs", 0),
        stack_size: stack_size(symbols, page_size()),
    };
    if fields.missing.is_empty() {
        Ok(Resolved {
            layout,
            blind_spots,
        })
    } else {
        Err(fields.missing)
    }
}

/// Functions of kernels that check their own memory accesses, one of which a kernel has that
/// has stacks of twice the size for it (`mm/kasan/generic.c` and `sw_tags.c`, 5.0 to 7.3).
const CHECKED: [&str; 2] = ["__asan_load8", "__hwasan_load8_noabort"];

/// `THREAD_SIZE`: 16 KiB, twice that with such checks, and at least a page, which has 64 KiB on
/// some kernels of arm64 (`arch/arm64/include/asm/memory.h`,
/// `arch/x86/include/asm/page_64_types.h`, 5.0 to 7.3).
fn stack_size(symbols: &Symbols, page: usize) -> u32 {
    const USUAL: u32 = 16 * 1024;
    let checked = CHECKED.iter().any(|name| symbols.has(name));
    let least = if checked { 2 * USUAL } else { USUAL };
    u32::try_from(page).map_or(least, |page| page.max(least))
}

fn optional(btf: &Btf, path: &str, size: u32) -> u32 {
    btf.optional_field(path)
        .filter(|field| field.size == size)
        .map_or(ABSENT, |field| field.offset)
}

struct Fields<'a> {
    btf: &'a Btf,
    missing: Vec<String>,
}

impl Fields<'_> {
    fn optional(&self, path: &str, size: u32) -> u32 {
        optional(self.btf, path, size)
    }

    fn required(&mut self, path: &str, size: u32) -> u32 {
        match self.btf.field(path) {
            Ok(field) if field.size == size => field.offset,
            Ok(field) => {
                self.missing
                    .push(format!("{path} of {size} bytes (it has {})", field.size));
                0
            }
            Err(_) => {
                self.missing.push(path.to_owned());
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_every_field() {
        let Ok(btf) = Btf::vmlinux() else {
            eprintln!("skipped: this kernel has no type information");
            return;
        };
        let symbols = Symbols::read().unwrap();
        let layout = resolve(&btf, None, &symbols)
            .expect("a kernel with BTF has the structures of conntrack")
            .layout;
        assert_ne!(layout.net_inum, 0, "net.ns is not the first field of net");
        for drop_counter in [layout.net_ct_stat, layout.stat_drop, layout.array_pptrs] {
            assert_ne!(
                drop_counter, ABSENT,
                "the tracepoint needs the counter drop"
            );
        }
        assert!(layout.ct_tuple >= 16);
        assert!(layout.stack_size.is_power_of_two() && layout.stack_size >= 16 * 1024);
    }

    #[test]
    fn a_stack_is_larger_with_checks_and_with_large_pages() {
        const KIB: usize = 1024;
        let size = |table, page| stack_size(&Symbols::of(table), page) as usize;
        let checked = "0 T __asan_load8\n";
        assert_eq!(size("", 4 * KIB), 16 * KIB);
        assert_eq!(size(checked, 4 * KIB), 32 * KIB);
        assert_eq!(size("", 64 * KIB), 64 * KIB);
        assert_eq!(size(checked, 64 * KIB), 64 * KIB);
    }
}
