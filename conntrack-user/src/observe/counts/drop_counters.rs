//! From which values on the tracepoint's program follows the counters `drop` of the
//! namespaces, by which it tells refused packets from those that a rule dropped.

use std::{collections::BTreeSet, io};

use anyhow::{Context as _, Result};
use aya::maps::{MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya_obj::generated::BPF_NOEXIST;
use conntrack_ebpf::drop_counter::Accounted;

use crate::{kernel::counters::Counters, observe::bpf::object::Object};

/// The counters, by namespace.
pub(crate) struct DropCounters {
    accounted: PerCpuHashMap<MapData, u32, Accounted>,
    /// Namespaces that are followed already.
    followed: BTreeSet<u32>,
}

impl DropCounters {
    /// Takes over the map of a loaded object.
    pub(crate) fn new(object: &mut Object) -> Result<Self> {
        let map = object.take("ACCOUNTED")?;
        Ok(Self {
            accounted: map.try_into().context("map ACCOUNTED")?,
            followed: BTreeSet::new(),
        })
    }

    /// Has the counter of a namespace followed from these values on, unless it is
    /// followed already. Where the map has no room, the program cannot decide.
    pub(crate) fn follow(&mut self, netns: u32, counters: &Counters) -> Result<()> {
        if !self.followed.insert(netns) {
            return Ok(());
        }
        let Some(drops) = counters.drops_by_cpu() else {
            return Ok(());
        };
        let values: Vec<Accounted> = drops.into_iter().map(Accounted::up_to).collect();
        let values = PerCpuValues::try_from(values)
            .context("conntrack has counters for another number of CPUs than eBPF maps")?;
        match self.accounted.insert(netns, values, u64::from(BPF_NOEXIST)) {
            Err(MapError::SyscallError(error)) if is_no_failure(&error.io_error) => Ok(()),
            result => result.context("cannot write eBPF map ACCOUNTED"),
        }
    }

    /// A namespace has ended: the next one of its number has counters of its own.
    pub(crate) fn forget(&mut self, netns: u32) -> Result<()> {
        self.followed.remove(&netns);
        match self.accounted.remove(&netns) {
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
            {
                Ok(())
            }
            result => result.context("cannot write eBPF map ACCOUNTED"),
        }
    }
}

/// The program was faster, or the map is full.
fn is_no_failure(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EEXIST | libc::E2BIG))
}
