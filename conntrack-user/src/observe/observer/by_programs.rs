//! Observes by programs: what they count is drained and compared with the kernel's
//! counters, and they are attached and detached as pressure and the life of the
//! module demand.

mod failing;
mod module_life;
mod pressure;
mod rare_refusals;

use std::{collections::BTreeMap, future, sync::Arc, time::Instant};

use anyhow::Result;
use conntrack_ebpf::capture::CapturedPacket;

use crate::{
    kernel::{counters::Counters, netns::Namespaces},
    observe::{
        arming::Arming,
        backend::Backend,
        capture::{Left, Omitted},
        check::{
            excess::Coverage,
            growth::{FollowedCounters, same_refusals},
            ledger::{Ledger, Reading},
        },
        counts::{
            health::{Faults, Missed, RunsByProgram, add_runs},
            senders::Senders,
            sink::Sink,
            totals::TotalsByNetns,
        },
        observer::{
            by_programs::{failing::Failing, rare_refusals::RareRefusals},
            event::Event,
            options::Wanted,
            snapshot::{Setup, Snapshot},
        },
        programs::attachment::{self, Attachment},
        survey::unusable::Unusable,
    },
};

/// Programs attached, counting.
pub struct ProgramObserver {
    wanted: Wanted,
    backend: Backend,
    unusable: Vec<Unusable>,
    /// None while the conntrack module is not loaded, or released.
    attachment: Option<Attachment>,
    arming: Arming,
    followed: FollowedCounters,
    ledger: Ledger,
    /// Counted by programs that have been detached for good.
    detached: Detached,
    /// Everything drained.
    counted: TotalsByNetns,
    senders: Senders,
    missed: Missed,
    warnings: Vec<String>,
    looked: Instant,
    /// The refusals that counters showed when arming was last decided.
    refusals: u64,
    /// While armed: when to attach the programs that see rare refusals.
    confirming: Arming,
    /// The most that were ever seen of them.
    rare: RareRefusals,
    /// Which load of the module the counters are of.
    instance: Option<u64>,
    /// Since when it cannot be attached to.
    failing: Failing,
}

/// The backend that was taken.
pub(crate) struct Using {
    pub(crate) backend: Backend,
    /// The better ones.
    pub(crate) unusable: Vec<Unusable>,
    /// Its programs, which count.
    pub(crate) attachment: Attachment,
}

/// What is left of programs that have been detached for good.
#[derive(Debug, Default)]
struct Detached {
    totals: TotalsByNetns,
    missed: Missed,
    runs: RunsByProgram,
    faults: Faults,
    left: Left,
}

impl ProgramObserver {
    /// Observes with programs that were attached, and count from now on.
    pub(crate) fn start(
        wanted: Wanted,
        using: Using,
        arming: Arming,
        followed: FollowedCounters,
    ) -> Result<Self> {
        let Using {
            backend,
            unusable,
            attachment,
        } = using;
        let mut observer = Self {
            wanted,
            backend,
            unusable,
            warnings: attachment.warnings(backend),
            attachment: Some(attachment),
            confirming: arming.clone(),
            arming,
            followed,
            ledger: Ledger::default(),
            detached: Detached::default(),
            counted: TotalsByNetns::new(),
            senders: Senders::default(),
            missed: Missed::default(),
            looked: Instant::now(),
            refusals: 0,
            rare: RareRefusals::default(),
            instance: attachment::instance(),
            failing: Failing::default(),
        };
        observer.check()?;
        observer.cover();
        Ok(observer)
    }

    /// Whether all refusals are seen with their flow, at this moment.
    pub(crate) fn is_armed(&self) -> bool {
        self.attachment.as_ref().is_some_and(Attachment::is_armed)
    }

    pub(crate) fn namespaces(&self) -> Arc<Namespaces> {
        self.followed.namespaces()
    }

    pub(crate) fn setup(&self) -> Setup {
        let namespaces = self.namespaces();
        Setup {
            backend: self.backend,
            not_used: self.unusable.clone(),
            arm: self.wanted.arm,
            armed: self.is_armed(),
            warnings: [&namespaces.warnings[..], &self.warnings].concat(),
        }
    }

    pub(crate) fn snapshot(&self, of: impl Fn(u32) -> bool) -> Result<Snapshot> {
        let totals: TotalsByNetns = self
            .counted
            .iter()
            .filter(|&(&netns, _)| of(netns))
            .map(|(&netns, &totals)| (netns, totals))
            .collect();
        Ok(Snapshot {
            backend: self.backend,
            armed: self.is_armed(),
            drops_by_counters: BTreeMap::new(),
            verdict: self.ledger.verdict(self.backend, &self.missed, &of),
            growth: self.ledger.growth(&of),
            range: None,
            unchecked: totals
                .iter()
                .map(|(&netns, totals)| self.ledger.unchecked(netns, totals))
                .sum(),
            totals,
            missed: self.missed,
            runs: self.runs()?,
            faults: self.faults()?,
            entries: self.followed.entries(),
            logged: None,
            namespaces: self.namespaces(),
            senders: self.senders.clone(),
        })
    }

    pub(crate) async fn pressure(&mut self) -> Result<()> {
        match &mut self.attachment {
            Some(attachment) => attachment.pressure().await,
            None => future::pending().await,
        }
    }

    pub(crate) fn request_wake(&mut self) -> Result<()> {
        match &mut self.attachment {
            Some(attachment) => attachment.request_wake(),
            None => Ok(()),
        }
    }

    /// Hands what was counted since the last time to `sink`, and attaches or
    /// detaches programs as pressure and the conntrack module demand.
    pub(crate) fn tick(&mut self, sink: &mut impl Sink) -> Result<Option<Event>> {
        if let Some(event) = self.follow_module(sink)? {
            return Ok(Some(event));
        }
        self.drain(sink)?;
        self.follow_pressure()
    }

    /// Hands what was counted since the last time to `sink`.
    pub(crate) fn drain(&mut self, sink: &mut impl Sink) -> Result<()> {
        if let Some(attachment) = &mut self.attachment {
            let totals = with(&self.detached.totals, attachment.drain(sink)?);
            if totals != self.counted {
                attachment.reinforce_if_skipped()?;
                attachment.learn(&mut self.senders)?;
                self.counted = totals;
            }
        }
        Ok(())
    }

    /// The packets that were copied since the last time.
    pub(crate) fn take_packets(&mut self) -> Result<Vec<CapturedPacket>> {
        let mut packets = self.detached.left.take();
        if let Some(attachment) = &mut self.attachment {
            attachment.take_packets(&mut packets)?;
        }
        Ok(packets)
    }

    /// How many packets were not copied since the start.
    pub(crate) fn omitted(&self) -> Result<Omitted> {
        let mut omitted = self.detached.left.omitted();
        if let Some(attachment) = &self.attachment {
            omitted.add(&attachment.omitted()?);
        }
        Ok(omitted)
    }

    /// The totals of this moment, drained or not.
    pub(crate) fn totals_now(&self) -> Result<TotalsByNetns> {
        let detached = &self.detached.totals;
        Ok(match &self.attachment {
            Some(attachment) => with(detached, attachment.totals_now()?),
            None => detached.clone(),
        })
    }

    /// Tells the ledger how much the programs see from now on.
    fn cover(&mut self) {
        self.ledger.cover(match &self.attachment {
            None => Coverage::None,
            Some(attachment) if attachment.is_confirming() => Coverage::Full,
            Some(attachment) if attachment.is_armed() => Coverage::Allocations,
            Some(_) => Coverage::AtRest,
        });
    }

    pub(crate) fn check(&mut self) -> Result<()> {
        // Those of another load of the module are not to be compared.
        if attachment::instance() != self.instance {
            return Ok(());
        }
        let ended = self.followed.refresh(self.counted.keys().copied())?;
        let before = self.totals_now()?;
        if let Some(attachment) = &mut self.attachment
            && !attachment.is_armed()
        {
            attachment.wait_for_packets()?;
        }
        for netns in ended {
            self.forget_drops(netns)?;
            self.ledger.reopen(netns, before.get(&netns));
        }
        let first = self.followed.counters();
        let after = self.totals_now()?;
        let second = self.followed.counters();
        if attachment::instance() != self.instance {
            return Ok(());
        }
        let in_flight = self
            .attachment
            .as_ref()
            .map_or(0, |attachment| 2 * attachment.cpus());
        for (netns, counters) in first {
            self.follow_drops(netns, &counters)?;
            let totals = |of: &TotalsByNetns| of.get(&netns).copied().unwrap_or_default();
            let (before, after) = (totals(&before), totals(&after));
            let quiet = before == after
                && second
                    .get(&netns)
                    .is_some_and(|second| same_refusals(&counters, second));
            if self.followed.began_anew(netns, &counters) {
                self.forget_drops(netns)?;
                self.ledger.reopen(netns, Some(&before));
            }
            let reading = Reading {
                before: &before,
                kernel: &self.followed.record(netns, counters),
                after: &after,
                in_flight: if quiet { 0 } else { in_flight },
            };
            self.ledger.read(netns, &reading);
        }
        self.missed = self.detached.missed;
        if let Some(attachment) = &mut self.attachment {
            self.missed.add(&attachment.missed()?);
        }
        self.looked = Instant::now();
        Ok(())
    }

    /// Only the tracepoint needs the counter to decide.
    fn follow_drops(&mut self, netns: u32, counters: &Counters) -> Result<()> {
        match &mut self.attachment {
            Some(attachment) if self.backend == Backend::Tracepoint => {
                attachment.follow_drops(netns, counters)
            }
            _ => Ok(()),
        }
    }

    fn forget_drops(&mut self, netns: u32) -> Result<()> {
        match &mut self.attachment {
            Some(attachment) => attachment.forget_drops(netns),
            None => Ok(()),
        }
    }

    fn runs(&self) -> Result<RunsByProgram> {
        let mut runs = self.detached.runs.clone();
        if let Some(attachment) = &self.attachment {
            add_runs(&mut runs, &attachment.runs()?);
        }
        Ok(runs)
    }

    fn faults(&self) -> Result<Faults> {
        let mut faults = self.detached.faults;
        if let Some(attachment) = &self.attachment {
            faults.add(&attachment.faults()?);
        }
        Ok(faults)
    }

    /// Ends the counting, hands what was counted until then to `sink`, and
    /// detaches the programs.
    pub(crate) fn stop(&mut self, sink: &mut impl Sink) -> Result<()> {
        self.check()?;
        self.detach(sink)
    }
}

/// Totals of programs that have ended and of those that have not, together.
fn with(detached: &TotalsByNetns, mut totals: TotalsByNetns) -> TotalsByNetns {
    for (&netns, more) in detached {
        totals.entry(netns).or_default().join(more);
    }
    totals
}
