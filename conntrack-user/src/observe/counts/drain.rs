//! Takes the counts out of the maps, an epoch at a time.
//!
//! The programs count into the maps of the current epoch. Turning it makes
//! them count into the other ones, and returns only when no program is still
//! at work in the old ones; these are then drained at rest. So no packet is
//! lost between being read and being deleted.
//!
//! A packet whose flow has a slot (`flow_slots`) is counted only there.
//! User space adds it to the totals when it takes the slot out.

use std::{collections::HashMap, os::fd::RawFd};

use anyhow::{Context as _, Result};
use aya::{
    maps::{Array, ArrayOfMaps, MapData, PerCpuArray},
    util::nr_cpus,
};
use bytes::Buf as _;
use conntrack_ebpf::{
    Epoch, Fault, FlowCount, FlowKey, Phase, Reason, Sender, ServiceKey, TotalCounts, TotalKey,
};

use crate::{
    observe::{
        bpf::{
            object::Object,
            sys::{self, Batch},
        },
        counts::{
            decode,
            flow_slots::{FlowSlots, Span},
            sink::Sink,
            totals::{Totals, TotalsByNetns},
        },
    },
    say::clock,
};

/// The maps the programs count in.
pub struct Counts {
    object: Object,
    current: ArrayOfMaps<MapData, Array<MapData, u32>>,
    /// Which of the two sets of maps is counted in.
    index: u32,
    phase: Phase,
    /// A time before every packet that is counted in this epoch.
    since: u64,
    /// None if the kernel is too old.
    slots: Option<FlowSlots>,
    /// Totals of everything that was taken out of slots.
    taken: TotalsByNetns,
    /// Totals of packets that had no slot, in epochs at rest.
    settled: TotalsByEpoch,
    spill: PerCpuArray<MapData, TotalCounts>,
    faults: PerCpuArray<MapData, u64>,
    cpus: usize,
}

impl Counts {
    /// Takes over the maps of a loaded object. Nothing is counted until
    /// [`Self::begin`].
    pub fn new(mut object: Object) -> Result<Self> {
        let mut counts = Self {
            current: object.take("EPOCH")?.try_into().context("map EPOCH")?,
            index: 0,
            phase: Phase::AtRest,
            since: clock::monotonic(),
            slots: object
                .has_slots()
                .then(|| FlowSlots::new(&object))
                .transpose()?,
            taken: TotalsByNetns::new(),
            settled: HashMap::new(),
            spill: object.take("SPILL")?.try_into().context("map SPILL")?,
            faults: object.take("FAULTS")?.try_into().context("map FAULTS")?,
            cpus: nr_cpus()
                .map_err(|(path, error)| anyhow::anyhow!("cannot read {path}: {error}"))?,
            object,
        };
        counts.set(Epoch::OFF)?;
        Ok(counts)
    }

    /// Tells the programs of an epoch. Returns when none that was told another
    /// one is still at work.
    fn set(&mut self, epoch: Epoch) -> Result<()> {
        let map = Array::<MapData, u32>::create(1, 0)
            .and_then(|mut map| map.set(0, epoch.0, 0).map(|()| map))
            .context("cannot create the map of an epoch")?;
        self.current
            .set(0, &map, 0)
            .context("cannot switch to the other set of eBPF maps")
    }

    /// The object the maps belong to.
    pub const fn object(&mut self) -> &mut Object {
        &mut self.object
    }

    /// Lets all programs count from now on, and know in which phase.
    ///
    /// Like everything that sets the epoch, this returns only after a grace
    /// period of RCU (`synchronize_rcu` in `maybe_wait_bpf_programs`,
    /// `kernel/bpf/syscall.c`, 4.16 and later). Conntrack handles a packet
    /// inside one read section (`nf_hook`, `include/linux/netfilter.h`), so
    /// every packet that was on its way has then left it.
    pub fn begin(&mut self, phase: Phase) -> Result<()> {
        self.phase = phase;
        self.set(Epoch::new(self.index, phase))
    }

    /// Lets no program count any more, and empties what was counted into
    /// `sink`; else as [`Self::turn`].
    pub fn end(&mut self, sink: &mut impl Sink) -> Result<TotalsByNetns> {
        self.set(Epoch::OFF)?;
        self.drain(self.index, self.since, sink)
    }

    /// CPUs that the per-CPU maps have a place for.
    pub const fn cpus(&self) -> u64 {
        self.cpus as u64
    }

    /// Turns the epoch and empties the old one into `sink`. Gives the totals
    /// of everything at rest: after it, Σ flows + Σ services handed out so far
    /// plus what had no room at all is exactly these totals.
    pub fn turn(&mut self, sink: &mut impl Sink) -> Result<TotalsByNetns> {
        let looked = clock::monotonic();
        let unused = self
            .slots
            .as_ref()
            .is_none_or(|slots| slots.is_unused(self.index));
        if unused && sum(&self.read_totals()?) == sum(&self.settled) {
            // Nothing was counted, so there is nothing to walk.
            self.since = looked;
            self.slots.iter_mut().for_each(FlowSlots::unmap);
            return Ok(self.at_rest());
        }
        let old = self.index;
        self.index = 1 - old;
        let since = std::mem::replace(&mut self.since, looked);
        self.begin(self.phase)?;
        self.drain(old, since, sink)
    }

    /// Empties an epoch that is at rest. It began after `since`.
    fn drain(&mut self, old: u32, since: u64, sink: &mut impl Sink) -> Result<TotalsByNetns> {
        if let Some(slots) = &self.slots {
            let span = Span::since(since);
            slots.take(old, &span, &mut self.taken, |key, count| {
                sink.flow(key, count);
            })?;
        }
        let mut totals = self.read_totals()?;
        totals.retain(|key, _| key.epoch == old);
        if totals
            .iter()
            .any(|(key, counts)| has_flows(counts, self.settled.get(key)))
        {
            let [flows, services] = if old == 0 {
                ["FLOWS_0", "SERVICES_0"]
            } else {
                ["FLOWS_1", "SERVICES_1"]
            };
            self.drain_flows(flows, sink)?;
            self.drain_services(services, sink)?;
        }
        self.settled.extend(totals);
        Ok(self.at_rest())
    }

    /// The totals of everything that was taken out.
    fn at_rest(&self) -> TotalsByNetns {
        let mut totals = sum(&self.settled);
        for (&netns, taken) in &self.taken {
            totals.entry(netns).or_default().join(taken);
        }
        totals
    }

    fn drain_flows(&self, map: &str, sink: &mut impl Sink) -> Result<()> {
        let sizes = (size_of::<FlowKey>(), size_of::<FlowCount>());
        self.entries(map, Batch::Take, sizes, |key, value| {
            sink.flow(decode::decode_flow(key)?, decode::decode_count(value)?);
            Ok(())
        })
    }

    fn drain_services(&self, map: &str, sink: &mut impl Sink) -> Result<()> {
        let sizes = (size_of::<ServiceKey>(), size_of::<u64>());
        self.entries(map, Batch::Take, sizes, |key, mut value| {
            sink.service(decode::decode_service(key)?, value.try_get_u64_ne()?);
            Ok(())
        })
    }

    /// The totals at this moment, of both epochs. Never less than what is at
    /// rest.
    pub fn totals_now(&self) -> Result<TotalsByNetns> {
        let mut totals = sum(&self.read_totals()?);
        for (&netns, taken) in &self.taken {
            totals.entry(netns).or_default().join(taken);
        }
        if let Some(slots) = &self.slots {
            slots.add_now(self.index, &mut totals)?;
        }
        Ok(totals)
    }

    /// The processes that sent packets which were refused, by number.
    pub fn senders(&self, mut each: impl FnMut(u32, Sender)) -> Result<()> {
        let sizes = (size_of::<u32>(), size_of::<Sender>());
        self.entries("SENDERS", Batch::Read, sizes, |mut key, value| {
            each(key.try_get_u32_ne()?, decode::decode_sender(value)?);
            Ok(())
        })
    }

    /// Errors inside the programs since they were loaded.
    pub fn faults(&self, fault: Fault) -> Result<u64> {
        let values = self
            .faults
            .get(&(fault as u32), 0)
            .context("cannot read map FAULTS")?;
        Ok(values.iter().sum())
    }

    /// All totals of packets that have no slot, summed over the CPUs. Those that had no room
    /// (`SPILL`) are in namespace 0.
    fn read_totals(&self) -> Result<TotalsByEpoch> {
        let mut totals = HashMap::<_, Totals>::new();
        let size = size_of::<TotalCounts>();
        let sizes = (size_of::<TotalKey>(), self.cpus * size);
        self.entries("TOTALS", Batch::Read, sizes, |key, values| {
            let mut sum = Totals::default();
            for value in values.chunks_exact(size) {
                sum.add(&decode::decode_totals(value)?);
            }
            totals.insert(decode::decode_total_key(key)?, sum);
            Ok(())
        })?;
        for epoch in [0, 1] {
            let values = self.spill.get(&epoch, 0).context("cannot read map SPILL")?;
            let mut sum = Totals::default();
            values.iter().for_each(|value| sum.add(value));
            if sum != Totals::default() {
                totals
                    .entry(TotalKey { netns: 0, epoch })
                    .or_default()
                    .join(&sum);
            }
        }
        Ok(totals)
    }

    /// Calls `each` with every entry of a hash map.
    fn entries(
        &self,
        map: &str,
        how: Batch,
        sizes: (usize, usize),
        mut each: impl FnMut(&[u8], &[u8]) -> Result<()>,
    ) -> Result<()> {
        let fd: RawFd = self.object.map(map)?;
        let mut outcome = Ok(());
        sys::batches(fd, how, sizes, |keys, values| {
            let entries = keys.chunks_exact(sizes.0).zip(values.chunks_exact(sizes.1));
            for (key, value) in entries {
                if let Err(error) = each(key, value) {
                    outcome = Err(error);
                }
            }
        })
        .with_context(|| format!("cannot read eBPF map {map}"))?;
        outcome
    }
}

/// Totals of packets that have no slot.
type TotalsByEpoch = HashMap<TotalKey, Totals>;

/// Whether there are more packets with a flow, or with a destination, than before.
fn has_flows(counts: &Totals, before: Option<&Totals>) -> bool {
    let before = before.copied().unwrap_or_default();
    let by_reason = |totals: &Totals| totals.0.slots[..Reason::ALL.len()].to_vec();
    by_reason(counts) != by_reason(&before)
}

fn sum(totals: &TotalsByEpoch) -> TotalsByNetns {
    let mut sums = TotalsByNetns::new();
    for (key, counts) in totals {
        sums.entry(key.netns).or_default().join(counts);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::counts::totals::tests::counts;

    #[test]
    fn epochs_are_summed_by_namespace() {
        let clashes = |amount| Totals(counts(&[(Reason::Clash as u32, amount)]));
        let totals = TotalsByEpoch::from([
            (TotalKey { netns: 7, epoch: 0 }, clashes(1)),
            (TotalKey { netns: 7, epoch: 1 }, clashes(2)),
            (TotalKey { netns: 8, epoch: 0 }, clashes(4)),
        ]);
        let sums = sum(&totals);
        assert_eq!(sums[&7].of(Reason::Clash), 3);
        assert_eq!(sums[&8].of(Reason::Clash), 4);
    }
}
