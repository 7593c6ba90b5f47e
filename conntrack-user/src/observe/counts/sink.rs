//! Who takes the counts that come out of the maps.

use conntrack_ebpf::{FlowCount, FlowKey, ServiceKey};

/// One epoch's counts, as they come out of the maps.
pub trait Sink {
    /// A flow and its packets in this epoch.
    fn flow(&mut self, key: FlowKey, count: FlowCount);
    /// Packets of flows without an entry of their own.
    fn service(&mut self, key: ServiceKey, packets: u64);
}
