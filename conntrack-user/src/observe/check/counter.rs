//! The kernel's counters that refusals move, and which reason moves which.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;
use serde::Serialize;

use crate::observe::counts::totals::Totals;

/// A counter of `/proc/net/stat/nf_conntrack` that refusals move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counter {
    /// `drop`
    Drop,
    /// `insert_failed`
    InsertFailed,
    /// `early_drop`: entries evicted
    EarlyDrop,
    /// `clashres`, in conntrack-tools `clash_resolve`
    ClashResolve,
    /// `chainlength`, in conntrack-tools `chaintoolong`
    ChainTooLong,
}

impl Counter {
    /// Every counter that refusals move.
    pub const ALL: [Self; 5] = [
        Self::Drop,
        Self::InsertFailed,
        Self::EarlyDrop,
        Self::ClashResolve,
        Self::ChainTooLong,
    ];

    /// The reasons that move it, each by one (5.10 to 7.3;
    /// `net/netfilter/nf_conntrack_core.c`: `nf_conntrack_in`, `early_drop`,
    /// `nf_ct_resolve_clash`, `__nf_conntrack_confirm`,
    /// `nf_conntrack_hash_check_insert`). A clash moves two;
    /// `already_confirmed` moves none.
    const fn moved_by(self) -> &'static [Reason] {
        match self {
            Self::Drop => &[
                Reason::TableFull,
                Reason::NoMemory,
                Reason::Clash,
                Reason::NatExhausted,
                Reason::StaleExtensionLate,
            ],
            Self::InsertFailed => &[
                Reason::Clash,
                Reason::NatExhausted,
                Reason::ChainTooLong,
                Reason::Dying,
                Reason::StaleExtension,
            ],
            Self::EarlyDrop => &[Reason::Evicted],
            Self::ClashResolve => &[Reason::ClashResolved],
            Self::ChainTooLong => &[Reason::ChainTooLong, Reason::NonPacketChain],
        }
    }

    /// What it must have grown by, for what the programs counted.
    pub(crate) fn expected(self, totals: &Totals) -> i64 {
        let sum: u64 = self
            .moved_by()
            .iter()
            .map(|&reason| totals.of(reason))
            .sum();
        sum.cast_signed()
    }
}

/// How much each counter has grown since the start. A counter that the kernel
/// does not have is not in it.
pub type Growth = BTreeMap<Counter, u64>;
