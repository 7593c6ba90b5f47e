//! The kernel's own numbers, as a tree's `/proc` shows them: of the network
//! namespace of whoever reads or has copied them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    facts::{reader::Reader, unreadable::Unreadable},
    kernel::{
        counters::{Counters, Totals},
        generation::Generation,
        limits::Limits,
        slab::Slab,
    },
};

/// Timeouts in seconds, by their names without prefix.
pub type Timeouts = BTreeMap<&'static str, u64>;

/// The timeouts that decide how full a table is under a given load.
pub const TIMEOUTS: [&str; 12] = [
    "tcp_timeout_established",
    "tcp_timeout_syn_sent",
    "tcp_timeout_syn_recv",
    "tcp_timeout_fin_wait",
    "tcp_timeout_close_wait",
    "tcp_timeout_time_wait",
    "tcp_timeout_unacknowledged",
    "udp_timeout",
    "udp_timeout_stream",
    "icmp_timeout",
    "icmpv6_timeout",
    "generic_timeout",
];

/// The kernel's numbers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Numbers {
    /// Limit, buckets and entries.
    pub limits: Limits,
    /// Those of [`TIMEOUTS`] that there are.
    pub timeouts: Timeouts,
    /// Counters since boot.
    pub counters: Option<Totals>,
    /// The slab cache of entries.
    pub slab: Option<Slab>,
    /// Which of them could not be read.
    pub unreadable: Vec<Unreadable>,
}

impl Numbers {
    pub(super) fn read(reader: Reader<'_>) -> Self {
        let limits = reader.understood(
            "/proc/sys/net",
            Limits::resolve(|name| {
                let path = format!("/proc/sys/net/{name}");
                Ok(reader.text(&path).map(|found| found.text))
            }),
        );
        let timeouts = TIMEOUTS.into_iter().filter_map(|name| {
            let found = [
                format!("/proc/sys/net/netfilter/nf_conntrack_{name}"),
                format!("/proc/sys/net/ipv4/netfilter/ip_conntrack_{name}"),
            ]
            .iter()
            .find_map(|path| reader.text(path))?;
            Some((name, found.text.trim().parse().ok()?))
        });
        let timeouts = timeouts.collect();
        let counters = Generation::ALL
            .map(Generation::module)
            .into_iter()
            .map(|name| format!("/proc/net/stat/{name}"))
            .find_map(|path| {
                let text = reader.text(&path)?.text;
                reader.understood(&path, Counters::parse(&text).map(Some))
            });
        let slab = reader
            .text("/proc/slabinfo")
            .and_then(|found| Slab::parse(&found.text));
        Self {
            limits,
            timeouts,
            counters: counters.map(|counters| counters.totals()),
            slab,
            unreadable: reader.unreadable(),
        }
    }
}
