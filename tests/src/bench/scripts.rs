//! The scripts that bpftrace runs.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::stage::Backend;

/// What a script counts refused packets by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// The namespace, the protocol, the addresses and ports of IPv4, and nothing
    /// else: the shortest script that names flows.
    Tuple,
    /// What ctdrop counts them by: besides, the zone, the family, the reason, the
    /// task and cgroup that sends; with the first and last time.
    Same,
}

/// Printed by scripts once they are attached.
pub(super) const ATTACHED: &str = "attached";

/// The size of the keys of [`Job::Tuple`]: eight bytes for each number, 24 for an
/// address.
pub(super) const TUPLE_KEY: usize = 4 * 8 + 2 * 24;

/// That of the keys of [`Job::Same`], with the name of a task.
pub(super) const SAME_KEY: usize = 5 * 8 + 2 * 24 + 16;

/// The script that counts on that backend packets refused for a full table.
pub(super) fn script(backend: Backend, job: Job) -> Result<String> {
    let refused = "(int64)retval < 0 && (int64)retval > -4096";
    let (probes, end) = match backend {
        Backend::Fexit => {
            let (before, mark) = match job {
                Job::Tuple => ("", ""),
                Job::Same => (
                    "kretfunc:nf_conntrack:early_drop /retval == 0/ {
                         @full[(uint64)args->net, args->hash, (uint64)curtask] = 1;
                     }",
                    "$full = @full[(uint64)args->net, args->hash, (uint64)curtask];
                     delete(@full[(uint64)args->net, args->hash, (uint64)curtask]);",
                ),
            };
            let count = by_tuple(job, "args->net", "args->zone", "args->orig");
            let probe = "kretfunc:nf_conntrack:__nf_conntrack_alloc";
            let probes = format!("{before} {probe} /{refused}/ {{ {mark} {count} }}");
            (
                probes,
                if job == Job::Same {
                    "clear(@full);"
                } else {
                    ""
                },
            )
        }
        Backend::Kprobe => by_kprobes(refused, job),
        Backend::Tracepoint => (by_header(job, netfilter_drop()?), ""),
        Backend::Counters => bail!("no program runs on the backend {backend}"),
    };
    let times = match job {
        Job::Tuple => "",
        Job::Same => "clear(@first); clear(@last);",
    };
    Ok(format!(
        "BEGIN {{ printf(\"{ATTACHED}\\n\"); }}
         END {{ clear(@refused); {times} {end} }}
         {probes}"
    ))
}

/// Programs that do nothing, at the hooks of ctdrop's programs while armed. A packet that a
/// full table refuses passes all of them.
pub(super) fn empty(backend: Backend) -> Result<String> {
    let probes: &[&str] = match backend {
        Backend::Fexit => &[
            "kfunc:nf_conntrack:early_drop",
            "kretfunc:nf_conntrack:__nf_conntrack_alloc",
        ],
        Backend::Kprobe => &[
            "kprobe:early_drop",
            "kretprobe:early_drop",
            "kprobe:__nf_conntrack_alloc",
        ],
        Backend::Tracepoint | Backend::Counters => bail!("no script does nothing on {backend}"),
    };
    let mut script = format!("BEGIN {{ printf(\"{ATTACHED}\\n\"); }}\n");
    for probe in probes {
        script += probe;
        script += " { $nothing = 0; }\n";
    }
    Ok(script)
}

/// Entries and returns, paired by thread.
fn by_kprobes(refused: &str, job: Job) -> (String, &'static str) {
    let count = by_tuple(job, "@net[tid]", "@zone[tid]", "@tuple[tid]");
    match job {
        Job::Tuple => {
            let probes = format!(
                "kprobe:__nf_conntrack_alloc {{ @net[tid] = arg0; @tuple[tid] = arg2; }}
                 kretprobe:__nf_conntrack_alloc {{
                     if ({refused}) {{ {count} }}
                     delete(@net[tid]);
                     delete(@tuple[tid]);
                 }}"
            );
            (probes, "clear(@net); clear(@tuple);")
        }
        Job::Same => {
            let probes = format!(
                "kretprobe:early_drop {{ @full[tid] = (uint64)((uint8)retval == 0); }}
                 kprobe:__nf_conntrack_alloc {{
                     @net[tid] = arg0; @zone[tid] = arg1; @tuple[tid] = arg2;
                 }}
                 kretprobe:__nf_conntrack_alloc {{
                     if ({refused}) {{ $full = @full[tid]; delete(@full[tid]); {count} }}
                     delete(@net[tid]);
                     delete(@zone[tid]);
                     delete(@tuple[tid]);
                 }}"
            );
            (
                probes,
                "clear(@net); clear(@zone); clear(@tuple); clear(@full);",
            )
        }
    }
}

/// Counts by the tuple that conntrack made of the packet.
fn by_tuple(job: Job, net: &str, zone: &str, tuple: &str) -> String {
    let structures = format!(
        "$net = (struct net *){net};
         $tuple = (struct nf_conntrack_tuple *){tuple};"
    );
    match job {
        Job::Tuple => format!(
            "{structures}
             @refused[$net->ns.inum, $tuple->dst.protonum,
                      ntop($tuple->src.u3.ip), $tuple->src.u.all,
                      ntop($tuple->dst.u3.ip), $tuple->dst.u.all] = count();"
        ),
        Job::Same => {
            let key = same_key(
                "($zone->id << 16) | ($tuple->src.l3num << 8) | $tuple->dst.protonum",
                "ntop($tuple->src.l3num, $tuple->src.u3.all)",
                "ntop($tuple->src.l3num, $tuple->dst.u3.all)",
                "($tuple->src.u.all << 16) | $tuple->dst.u.all",
                "(pid << 1) | $full",
            );
            format!(
                "{structures}
                 $zone = (struct nf_conntrack_zone *){zone};
                 {}",
                counts(&key)
            )
        }
    }
}

/// A key of [`SAME_KEY`] bytes: what is short shares a number.
fn same_key(protocol: &str, src: &str, dst: &str, ports: &str, task: &str) -> String {
    format!("$net->ns.inum, {protocol}, {src}, {dst}, {ports}, {task}, comm, cgroup")
}

/// Counts by a key, with the first and last time.
fn counts(key: &str) -> String {
    format!(
        "@refused[{key}] = count();
         @first[{key}] = min(nsecs);
         @last[{key}] = max(nsecs);"
    )
}

/// Counts packets that netfilter dropped without an entry, by their headers.
fn by_header(job: Job, reason: u32) -> String {
    let count = match job {
        Job::Tuple => "@refused[$net->ns.inum, $ip->protocol,
                          ntop($ip->saddr), $udp->source,
                          ntop($ip->daddr), $udp->dest] = count();"
            .to_owned(),
        Job::Same => counts(&same_key(
            "$ip->protocol",
            "ntop($ip->saddr)",
            "ntop($ip->daddr)",
            "($udp->source << 16) | $udp->dest",
            "pid",
        )),
    };
    format!(
        "tracepoint:skb:kfree_skb /args->reason == {reason}/ {{
             $skb = (struct sk_buff *)args->skbaddr;
             if (($skb->_nfct >> 3) == 0) {{
                 $net = $skb->sk->__sk_common.skc_net.net;
                 if ((uint64)$skb->dev != 0) {{
                     $net = $skb->dev->nd_net.net;
                 }}
                 $ip = (struct iphdr *)($skb->head + $skb->network_header);
                 $udp = (struct udphdr *)($skb->head + $skb->transport_header);
                 {count}
             }}
         }}"
    )
}

/// The number that this kernel has for drops by netfilter, from the description of
/// its tracepoint.
fn netfilter_drop() -> Result<u32> {
    let path = "/sys/kernel/debug/tracing/events/skb/kfree_skb/format";
    let format = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    number_of(&format, "NETFILTER_DROP").with_context(|| format!("no NETFILTER_DROP in {path}"))
}

/// The number that stands before a name, as in `{ 8, "NETFILTER_DROP" }`.
fn number_of(format: &str, name: &str) -> Option<u32> {
    let (before, _) = format.split_once(&format!(", \"{name}\" }}"))?;
    before.rsplit_once("{ ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_read_from_the_format() {
        let format = r#"__print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 8, "NETFILTER_DROP" }, { 9, "OTHERHOST" })"#;
        assert_eq!(number_of(format, "NETFILTER_DROP"), Some(8));
        assert_eq!(number_of(format, "NETFILTER"), None);
    }
}
