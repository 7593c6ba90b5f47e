//! The programs at their places from the first packet to the last: what they
//! count is drained and held against the kernel's counters, and they are attached
//! and detached as pressure and the life of the module demand.

mod module_life;

use std::{
    future,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    kernel::netns::Namespaces,
    observe::{
        arming::{Arm, Arming, Change, Pressure},
        backend::Backend,
        check::{
            growth::{Watched, same_refusals},
            ledger::{Ledger, Reading},
            surplus::Coverage,
        },
        counts::{
            health::{Faults, Missed},
            senders::Senders,
            sink::Sink,
            totals::{Totals, TotalsByNetns},
        },
        observer::{event::Event, options::Wanted},
        programs::attachment::{self, Attachment},
        survey::ladder::{self, NotUsed},
    },
};

/// How often the counters are looked at when arming depends on it.
const LOOK: Duration = Duration::from_secs(1);

/// Programs attached, counting.
pub struct ProgramObserver {
    wanted: Wanted,
    backend: Backend,
    not_used: Vec<NotUsed>,
    /// None while the conntrack module is not loaded, or released.
    attachment: Option<Attachment>,
    arming: Arming,
    watched: Watched,
    ledger: Ledger,
    /// Counted by programs that have been detached for good.
    carried: Carried,
    /// Everything drained.
    counted: TotalsByNetns,
    senders: Senders,
    missed: Missed,
    warnings: Vec<String>,
    looked: Instant,
    /// The refusals that counters showed when arming was last decided.
    refusals: u64,
    /// Which load of the module the counters are of.
    instance: Option<u64>,
    /// How often in a row it could not be attached to.
    failures: u32,
}

/// What is left of programs that have been detached for good.
#[derive(Debug, Default)]
struct Carried {
    totals: TotalsByNetns,
    missed: Missed,
    faults: Faults,
}

impl ProgramObserver {
    /// Attaches the programs of the highest rung that this kernel allows, or
    /// of the one wanted.
    pub fn start(wanted: Wanted) -> Result<Self> {
        let mut watched = Watched::discover()?;
        watched.begin();
        let arming = Arming::new(wanted.arm);
        let armed = arming.begins_armed(watched.fill());
        let (backend, attachment, not_used) =
            ladder::attach(wanted.backend, armed, || watched.begin())?;
        let mut observer = Self {
            wanted,
            backend,
            not_used,
            warnings: warnings(&attachment, backend),
            attachment: Some(attachment),
            arming,
            watched,
            ledger: Ledger::default(),
            carried: Carried::default(),
            counted: TotalsByNetns::new(),
            senders: Senders::default(),
            missed: Missed::default(),
            looked: Instant::now(),
            refusals: 0,
            instance: attachment::instance(),
            failures: 0,
        };
        observer.look()?;
        observer.cover();
        Ok(observer)
    }

    /// The rung it stands on.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// When the programs are attached that run for each new flow.
    pub const fn arm(&self) -> Arm {
        self.wanted.arm
    }

    /// The rungs above, and why each is not used.
    pub fn not_used(&self) -> &[NotUsed] {
        &self.not_used
    }

    /// Whether all refusals are seen with their flow, at this moment.
    pub fn is_armed(&self) -> bool {
        self.attachment.as_ref().is_some_and(Attachment::is_armed)
    }

    /// The namespaces of this host, as last discovered.
    pub const fn namespaces(&self) -> &Namespaces {
        self.watched.namespaces()
    }

    /// The processes that sent packets which were refused.
    pub const fn senders(&self) -> &Senders {
        &self.senders
    }

    /// What cannot be seen from here, each as a sentence for the user.
    pub fn warnings(&self) -> Vec<String> {
        let namespaces = self.namespaces().warnings.iter();
        namespaces.chain(&self.warnings).cloned().collect()
    }

    /// Ends when the programs see pressure for the first time since they were
    /// attached or came to rest, or since [`Self::listen`]: time for a
    /// [`Self::tick`].
    pub async fn pressure(&mut self) -> Result<()> {
        match &mut self.attachment {
            Some(attachment) => attachment.pressure().await,
            None => future::pending().await,
        }
    }

    /// Has [`Self::pressure`] end with the next sign of pressure, though there was
    /// one before.
    pub fn listen(&mut self) -> Result<()> {
        match &mut self.attachment {
            Some(attachment) => attachment.listen(),
            None => Ok(()),
        }
    }

    /// Hands what was counted since the last time to `sink`, and attaches or
    /// detaches programs as pressure and the conntrack module demand.
    pub fn tick(&mut self, sink: &mut impl Sink) -> Result<Option<Event>> {
        if let Some(event) = self.follow_module(sink)? {
            return Ok(Some(event));
        }
        self.drain(sink)?;
        self.follow_pressure()
    }

    /// Hands what was counted since the last time to `sink`.
    pub fn drain(&mut self, sink: &mut impl Sink) -> Result<()> {
        if let Some(attachment) = &mut self.attachment {
            let totals = with(&self.carried.totals, attachment.drain(sink)?);
            if totals != self.counted {
                attachment.learn(&mut self.senders)?;
                self.counted = totals;
            }
        }
        Ok(())
    }

    /// The totals of all that was drained.
    pub const fn totals(&self) -> &TotalsByNetns {
        &self.counted
    }

    /// The totals of this moment, drained or not.
    pub fn totals_now(&self) -> Result<TotalsByNetns> {
        let carried = &self.carried.totals;
        Ok(match &self.attachment {
            Some(attachment) => with(carried, attachment.totals_now()?),
            None => carried.clone(),
        })
    }

    /// Tells the ledger how much the programs see from now on.
    fn cover(&mut self) {
        self.ledger.cover(match &self.attachment {
            None => Coverage::None,
            Some(attachment) if attachment.is_armed() => Coverage::Full,
            Some(_) => Coverage::AtRest,
        });
    }

    /// Arms, or comes to rest.
    fn follow_pressure(&mut self) -> Result<Option<Event>> {
        if !self.arming.is_automatic() || !self.backend.can_rest() {
            return Ok(None);
        }
        if self.looked.elapsed() >= LOOK {
            self.look()?;
        }
        let refusals = self.watched.refusals() + sum_of_all(&self.counted);
        let pressure = Pressure {
            fill: self.watched.fill(),
            refusing: refusals != self.refusals,
        };
        self.refusals = refusals;
        let Some(attachment) = &mut self.attachment else {
            return Ok(None);
        };
        let armed = attachment.is_armed();
        match self.arming.decide(armed, pressure, Instant::now()) {
            Some(Change::Arm) if !armed => {
                attachment.arm()?;
                self.look()?;
                self.cover();
                Ok(Some(Event::Armed))
            }
            Some(Change::Rest) => {
                self.look()?;
                self.ledger.cover(Coverage::AtRest);
                if let Some(attachment) = &mut self.attachment {
                    attachment.rest()?;
                }
                Ok(Some(Event::AtRest))
            }
            _ => Ok(None),
        }
    }

    /// Holds the counts against the kernel's counters as they are now.
    pub fn look(&mut self) -> Result<()> {
        // Those of another load of the module are not to be compared.
        if attachment::instance() != self.instance {
            return Ok(());
        }
        let ended = self.watched.refresh(self.counted.keys().copied())?;
        let before = self.totals_now()?;
        if let Some(attachment) = &mut self.attachment
            && !attachment.is_armed()
        {
            attachment.wait_for_packets()?;
        }
        for netns in ended {
            self.ledger.reopen(netns, before.get(&netns));
        }
        let first = self.watched.counters();
        let after = self.totals_now()?;
        let second = self.watched.counters();
        if attachment::instance() != self.instance {
            return Ok(());
        }
        let in_flight = self
            .attachment
            .as_ref()
            .map_or(0, |attachment| 2 * attachment.cpus());
        for (netns, counters) in first {
            let totals = |of: &TotalsByNetns| of.get(&netns).copied().unwrap_or_default();
            let (before, after) = (totals(&before), totals(&after));
            let quiet = before == after
                && second
                    .get(&netns)
                    .is_some_and(|second| same_refusals(&counters, second));
            if self.watched.began_anew(netns, &counters) {
                self.ledger.reopen(netns, Some(&before));
            }
            let reading = Reading {
                before: &before,
                kernel: &self.watched.record(netns, counters),
                after: &after,
                in_flight: if quiet { 0 } else { in_flight },
            };
            self.ledger.read(netns, &reading);
        }
        self.missed = self.carried.missed;
        if let Some(attachment) = &mut self.attachment {
            let missed = attachment.missed()?;
            if missed != Missed::default() {
                attachment.reinforce()?;
            }
            self.missed.add(&missed);
        }
        self.looked = Instant::now();
        Ok(())
    }

    /// Everything that the looks so far say together.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often the kernel skipped programs.
    pub const fn missed(&self) -> Missed {
        self.missed
    }

    /// Packets refused since the counters of their namespace were last read:
    /// counted, but held against nothing.
    pub fn unchecked(&self, of: impl Fn(u32) -> bool) -> u64 {
        self.counted
            .iter()
            .filter(|&(&netns, _)| of(netns))
            .map(|(&netns, totals)| self.ledger.unchecked(netns, totals))
            .sum()
    }

    /// Errors inside the programs.
    pub fn faults(&self) -> Result<Faults> {
        let mut faults = self.carried.faults;
        if let Some(attachment) = &self.attachment {
            faults.add(&attachment.faults()?);
        }
        Ok(faults)
    }

    /// Ends the counting, hands what was counted until then to `sink`, and
    /// detaches the programs.
    pub fn stop(&mut self, sink: &mut impl Sink) -> Result<()> {
        self.look()?;
        self.detach(sink)
    }
}

fn warnings(attachment: &Attachment, backend: Backend) -> Vec<String> {
    let hidden = "the kernel hides its symbols (CAP_SYSLOG is missing), so";
    let stale = attachment
        .cannot_tell_stale()
        .then(|| format!("{hidden} stale_extension is taken for chain_too_long"));
    let senders = attachment
        .cannot_tell_senders(backend)
        .then(|| format!("{hidden} local packets are shown without the process that sent them"));
    stale.into_iter().chain(senders).collect()
}

/// Totals of programs that have ended and of those that have not, together.
fn with(carried: &TotalsByNetns, mut totals: TotalsByNetns) -> TotalsByNetns {
    for (&netns, more) in carried {
        totals.entry(netns).or_default().join(more);
    }
    totals
}

/// Everything that programs counted, whatever it was.
fn sum_of_all(totals: &TotalsByNetns) -> u64 {
    totals.values().map(Totals::drops).sum()
}
