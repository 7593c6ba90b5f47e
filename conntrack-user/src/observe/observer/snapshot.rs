//! What an observer knows at one moment, as plain data.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    kernel::netns::Namespaces,
    observe::{
        arming::Arm,
        backend::Backend,
        check::{counter::Growth, proof::PacketRange, verdict::Verdict},
        counts::{
            health::{Faults, Missed, RunsByProgram},
            senders::Senders,
            totals::TotalsByNetns,
        },
        observer::log::Logged,
        survey::unusable::Unusable,
    },
};

/// How an observer works, as of its start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The backend it uses.
    pub backend: Backend,
    /// The better backends, and why each is not used.
    pub not_used: Vec<Unusable>,
    /// When the programs are attached that run for each new flow.
    pub arm: Arm,
    /// Whether they are attached at the start.
    pub armed: bool,
    /// What cannot be seen from here, each as a sentence for the user.
    pub warnings: Vec<String>,
}

/// Everything that an observer has found since its start, over the namespaces it was
/// asked for. Owned, and cheap to clone: what is large is shared.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The backend.
    pub backend: Backend,
    /// Whether refusals are seen as well as this backend can see them, at this moment.
    pub armed: bool,
    /// What the programs counted, of all that was drained, by namespace; empty where
    /// only counters tell.
    pub totals: TotalsByNetns,
    /// Packets lost by namespace, where only counters tell; else empty.
    pub drops_by_counters: BTreeMap<u32, u64>,
    /// What the kernel's counters add to that, and what they contradict.
    pub verdict: Verdict,
    /// How much the kernel's counters have grown.
    pub growth: Growth,
    /// How many packets were lost, where only counters tell.
    pub range: Option<PacketRange>,
    /// Packets counted that no counter could be compared with.
    pub unchecked: u64,
    /// How often the kernel skipped programs, in all namespaces.
    pub missed: Missed,
    /// How often each program ran, where the kernel counts it.
    pub runs: RunsByProgram,
    /// Errors inside the programs, in all namespaces.
    pub faults: Faults,
    /// The entries of each namespace, as of the last check; where they can be read.
    pub entries: BTreeMap<u32, u64>,
    /// What the kernel log has said about any namespace, where it is read.
    pub logged: Option<Logged>,
    /// The namespaces of this host, as last discovered.
    pub namespaces: Arc<Namespaces>,
    /// The processes that sent packets which were refused.
    pub senders: Senders,
}
