//! Finds out where the running kernel keeps what the programs read.

use conntrack_ebpf::{ABSENT, Layout};

use crate::{btf::Btf, kernel::symbols::Symbols};

/// Resolves the layout from the kernel's type information. Every structure
/// the programs must read is in vmlinux's own, even where conntrack is a module. Fails
/// with the fields that are not there.
pub fn resolve(btf: &Btf, module: Option<&Btf>, symbols: &Symbols) -> Result<Layout, Vec<String>> {
    let mut fields = Fields {
        btf,
        missing: Vec::new(),
    };
    let ext_gen_id = fields.optional("nf_ct_ext.gen_id", 4);
    let per_cpu = per_cpu_preempt_count(btf, symbols);
    let layout = Layout {
        ext_genid_address: if ext_gen_id == ABSENT {
            0
        } else {
            symbols.address("nf_conntrack_ext_genid").unwrap_or(0)
        },
        ext_gen_id,
        per_cpu_offset_address: per_cpu.map_or(0, |(offsets, _)| offsets),
        preempt_count_address: per_cpu.map_or(0, |(_, count)| count),
        task_preempt_count: fields.optional("task_struct.thread_info.preempt_count", 4),
        task_softirq_disable: fields.optional("task_struct.softirq_disable_cnt", 4),
        task_stack: fields.required("task_struct.stack", 8),
        task_flags: fields.required("task_struct.flags", 4),
        max_address: symbols.address("nf_conntrack_max").unwrap_or(0),
        net_id_address: symbols.address("nf_conntrack_net_id").unwrap_or(0),
        net_inum: fields.required("net.ns.inum", 4),
        net_count: fields.optional("net.ct.count", 4),
        net_gen: fields.optional("net.gen", 8),
        generic_ptr: fields.optional("net_generic.ptr", 0),
        generic_count: optional(module.unwrap_or(btf), "nf_conntrack_net.count", 4),
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
        padding: 0,
    };
    if fields.missing.is_empty() {
        Ok(layout)
    } else {
        Err(fields.missing)
    }
}

/// Where x86 keeps the preemption count: the address of the array with each
/// CPU's offset, and the count's address before that offset is added. By itself
/// (up to 6.1, 6.15 and later) or among other much used numbers (6.2 to 6.14;
/// `arch/x86/include/asm/preempt.h`, `current.h`). None on other machines, or
/// if the kernel hides its symbols.
fn per_cpu_preempt_count(btf: &Btf, symbols: &Symbols) -> Option<(u64, u64)> {
    let offsets = symbols.address("__per_cpu_offset")?;
    if let Some(count) = symbols.address("__preempt_count") {
        return Some((offsets, count));
    }
    let hot = symbols.address("pcpu_hot")?;
    let field = btf.optional_field("pcpu_hot.preempt_count")?;
    Some((offsets, hot + u64::from(field.offset)))
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
            .expect("a kernel with BTF has the structures of conntrack");
        assert_ne!(layout.net_inum, 0, "net.ns is not the first field of net");
        for drop_counter in [layout.net_ct_stat, layout.stat_drop, layout.array_pptrs] {
            assert_ne!(
                drop_counter, ABSENT,
                "the tracepoint needs the counter drop"
            );
        }
        assert!(layout.ct_tuple >= 16);
    }
}
