//! The observer: programs in the kernel that count refused packets, and what
//! is needed to trust their counts.
//!
//! [`backend`] is the ladder of ways to see a packet refused, [`object`] and
//! [`layout`] make the programs ready for the running kernel, [`arming`] decides
//! when those are attached that run for each new flow, [`counts`] takes their
//! counts out without losing one, [`tally`] keeps them in bounded memory,
//! [`senders`] names the processes that sent packets, [`ledger`] holds the counts
//! against the kernel's own counters, and [`verdict`] says what a disagreement
//! means. Where no program can be loaded, [`diagnosis`] says why, and [`evidence`]
//! judges what the counters prove by themselves. [`stand`] is either.

pub mod arming;
mod attachment;
pub mod backend;
mod bell;
pub mod counters_only;
pub mod counts;
#[cfg(feature = "debug-log")]
mod debug_log;
pub mod diagnosis;
pub mod evidence;
pub mod flow;
pub mod layout;
pub mod ledger;
mod namespaces;
pub mod object;
pub mod senders;
pub mod stand;
mod sys;
pub mod tally;
pub mod verdict;

use std::{
    error::Error,
    fmt, future,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use self::{
    arming::{Arm, Arming, Change, Pressure},
    attachment::{Attachment, Ready},
    backend::Backend,
    counts::{Sink, TotalsByNetns},
    diagnosis::Missing,
    ledger::{Coverage, Ledger, Reading},
    namespaces::{Watched, same_refusals},
    senders::Senders,
    verdict::Missed,
};
use crate::kernel::{netns::Namespaces, presence::Presence, surroundings::Surroundings};

/// How often the counters are looked at when arming depends on it.
const LOOK: Duration = Duration::from_secs(1);

/// How often in a row attaching again may fail.
const FAILURES: u32 = 20;

/// A rung that is not stood on, and why.
#[derive(Clone, Debug, Serialize)]
pub struct NotUsed {
    /// The rung.
    pub backend: Backend,
    /// What stands in the way, and the remedy.
    pub why: String,
    /// The same as codes.
    pub missing: Vec<Missing>,
}

impl NotUsed {
    /// Finds out what is behind an error.
    pub fn because(backend: Backend, error: &anyhow::Error) -> Self {
        let why = format!("{error:#}");
        let Ok(around) = Surroundings::read() else {
            return Self {
                backend,
                why,
                missing: vec![Missing::Unknown],
            };
        };
        let (missing, remedy) = diagnosis::explain(backend, error, &around);
        let why = match remedy.as_str() {
            "" => why,
            remedy => format!("{why}; {remedy}"),
        };
        Self {
            backend,
            why,
            missing,
        }
    }
}

/// How to observe.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The rung; the best that works, if none is named.
    pub backend: Option<Backend>,
    /// When to attach what runs for each new flow.
    pub arm: Arm,
    /// Whether to let go of the conntrack module when nobody else needs it.
    pub release_module: bool,
}

/// What has changed about how well refusals are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Pressure: the programs that run for each new flow were attached.
    Armed,
    /// Calm: they were detached.
    AtRest,
    /// The conntrack module was unloaded, and the programs with it.
    Unloaded,
    /// Nobody else needs the conntrack module, so the programs were detached.
    Released,
    /// The programs were attached again: the module is loaded, or needed.
    Attached,
}

/// Programs attached, counting.
pub struct Observer {
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

impl Observer {
    /// Attaches the programs of the highest rung that this kernel allows, or
    /// of the one wanted.
    pub fn start(wanted: Wanted) -> Result<Self> {
        let mut watched = Watched::discover()?;
        watched.begin();
        let arming = Arming::new(wanted.arm);
        let armed = arming.begins_armed(watched.fill());
        let (backend, attachment, not_used) = attach(wanted, armed, || watched.begin())?;
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

    /// Lets go of a module that was unloaded or that nobody else needs, and
    /// comes back when it is needed.
    fn follow_module(&mut self, sink: &mut impl Sink) -> Result<Option<Event>> {
        // The tracepoint is in no module.
        if !self.backend.can_rest() {
            return Ok(None);
        }
        let instance = attachment::instance();
        if instance != self.instance {
            let was_attached = self.attachment.is_some();
            self.detach(sink)?;
            self.restart();
            self.instance = instance;
            return Ok(was_attached.then_some(Event::Unloaded));
        }
        // Only trampolines hold the module.
        let release = self.wanted.release_module && self.backend == Backend::Fexit;
        if let Some(attachment) = &self.attachment {
            if release && attachment.is_all_that_holds() {
                self.look()?;
                self.detach(sink)?;
                return Ok(Some(Event::Released));
            }
            return Ok(None);
        }
        let loaded = matches!(Presence::read()?, Presence::Module { .. });
        if !loaded || (release && attachment::is_idle()) {
            return Ok(None);
        }
        self.try_to_attach_again()
    }

    /// It can fail because the module goes away again, so a failure must last
    /// before it is one.
    fn try_to_attach_again(&mut self) -> Result<Option<Event>> {
        match self.attach_again() {
            Ok(()) => {
                self.failures = 0;
                Ok(Some(Event::Attached))
            }
            Err(_) if self.failures < FAILURES => {
                self.failures += 1;
                Ok(None)
            }
            Err(error) => Err(error.context("cannot attach again to module nf_conntrack")),
        }
    }

    /// Detaches all programs for good; the counters go on alone.
    fn detach(&mut self, sink: &mut impl Sink) -> Result<()> {
        let Some(mut attachment) = self.attachment.take() else {
            return Ok(());
        };
        let Carried {
            totals,
            missed,
            faults,
        } = &mut self.carried;
        *totals = with(totals, attachment.end(sink)?);
        attachment.learn(&mut self.senders)?;
        missed.add(&attachment.missed()?);
        faults.add(&attachment.faults()?);
        self.counted = totals.clone();
        self.cover();
        Ok(())
    }

    /// The module is gone, and with it its counters, which begin at zero when
    /// it comes back.
    fn restart(&mut self) {
        for netns in self.watched.restart() {
            let counted = self.counted.get(&netns).copied().unwrap_or_default();
            self.ledger.restart(netns, &counted);
        }
    }

    fn attach_again(&mut self) -> Result<()> {
        // On the same rung, so that the report stays about one.
        let wanted = Wanted {
            backend: Some(self.backend),
            ..self.wanted
        };
        let armed = self.arming.begins_armed(self.watched.fill());
        let (_, attachment, _) = attach(wanted, armed, || ())?;
        // Else its counters are not the ones that are followed.
        if attachment::instance() != self.instance {
            bail!("the module was loaded anew meanwhile");
        }
        self.warnings = warnings(&attachment, self.backend);
        self.attachment = Some(attachment);
        self.look()?;
        self.cover();
        Ok(())
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

/// Climbs the ladder; lets the programs count after `before`.
fn attach(
    wanted: Wanted,
    armed: bool,
    before: impl FnOnce(),
) -> Result<(Backend, Attachment, Vec<NotUsed>)> {
    conntrack_is_loaded()?;
    let mut ready = Ready::prepare().map_err(|error| unprepared(wanted.backend, &error))?;
    let (backend, placed, not_used) = climb(wanted.backend, NotUsed::because, |backend| {
        ready.attach(backend, armed)
    })?;
    before();
    Ok((backend, Attachment::begin(ready, placed)?, not_used))
}

/// Demands that there is something to observe.
fn conntrack_is_loaded() -> Result<()> {
    if Presence::read()? == Presence::Absent {
        bail!(
            "conntrack is not loaded, so nothing is refused: load it (modprobe nf_conntrack), \
             or add the firewall or NAT rule that needs it"
        );
    }
    Ok(())
}

/// A rung that was asked for does not hold.
fn does_not_work(NotUsed { backend, why, .. }: NotUsed) -> anyhow::Error {
    anyhow!("backend {backend} does not work here: {why}")
}

/// What all rungs with programs need is missing, so none of them holds.
fn unprepared(wanted: Option<Backend>, error: &anyhow::Error) -> anyhow::Error {
    if let Some(backend) = wanted {
        return does_not_work(NotUsed::because(backend, error));
    }
    let not_used = Backend::PROGRAMS.map(|backend| NotUsed::because(backend, error));
    NoneHolds(not_used.into()).into()
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
    totals.values().map(counts::Totals::drops).sum()
}

/// Attaches the programs of a rung, which count nothing, and takes them away.
pub fn try_out(backend: Backend) -> Result<()> {
    conntrack_is_loaded()?;
    if backend == Backend::Counters {
        return counters_only::try_out();
    }
    Ready::prepare()?.attach(backend, true).map(drop)
}

/// Errors inside the programs; 0 on a healthy host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Packets without a flow, because kernel memory could not be read.
    pub unreadable: u64,
    /// Marks between programs that found no room.
    pub join_lost: u64,
}

impl Faults {
    const fn add(&mut self, more: &Self) {
        self.unreadable += more.unreadable;
        self.join_lost += more.join_lost;
    }
}

/// No rung with programs holds: why each does not.
#[derive(Debug)]
struct NoneHolds(Vec<NotUsed>);

impl fmt::Display for NoneHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no program can be loaded on this host:")?;
        for NotUsed { backend, why, .. } in &self.0 {
            write!(f, "\n  {backend}: {why}")?;
        }
        Ok(())
    }
}

impl Error for NoneHolds {}

/// Tries the rungs from the top; gives the first that holds, and the refusals
/// above it.
fn climb<T>(
    wanted: Option<Backend>,
    explain: impl Fn(Backend, &anyhow::Error) -> NotUsed,
    mut attach: impl FnMut(Backend) -> Result<T>,
) -> Result<(Backend, T, Vec<NotUsed>)> {
    if let Some(backend) = wanted {
        let attached = attach(backend).map_err(|error| does_not_work(explain(backend, &error)))?;
        return Ok((backend, attached, Vec::new()));
    }
    let mut not_used = Vec::new();
    for backend in Backend::PROGRAMS {
        match attach(backend) {
            Ok(attached) => return Ok((backend, attached, not_used)),
            Err(error) => not_used.push(explain(backend, &error)),
        }
    }
    bail!(NoneHolds(not_used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_it_is(backend: Backend, error: &anyhow::Error) -> NotUsed {
        NotUsed {
            backend,
            why: format!("{error:#}"),
            missing: Vec::new(),
        }
    }

    #[test]
    fn the_first_rung_that_holds_is_taken_and_the_refusals_are_kept() {
        let (backend, (), not_used) = climb(None, as_it_is, |backend| match backend {
            Backend::Fexit | Backend::Kprobe => Err(anyhow!("locked down")),
            Backend::Tracepoint | Backend::Counters => Ok(()),
        })
        .unwrap();
        assert_eq!(backend, Backend::Tracepoint);
        let backends: Vec<Backend> = not_used.iter().map(|rung| rung.backend).collect();
        assert_eq!(backends, [Backend::Fexit, Backend::Kprobe]);
        assert_eq!(not_used[0].why, "locked down");
    }

    #[test]
    fn a_rung_asked_for_is_the_only_one_tried() {
        let mut tried = Vec::new();
        let outcome = climb(Some(Backend::Fexit), as_it_is, |backend| -> Result<()> {
            tried.push(backend);
            Err(anyhow!("locked down"))
        });
        assert_eq!(tried, [Backend::Fexit]);
        let message = format!("{:#}", outcome.unwrap_err());
        assert_eq!(message, "backend fexit does not work here: locked down");
    }

    #[test]
    fn when_no_rung_holds_each_is_named() {
        let message = climb(None, as_it_is, |_| -> Result<()> { Err(anyhow!("no")) })
            .unwrap_err()
            .to_string();
        for backend in Backend::PROGRAMS {
            assert!(message.contains(&backend.to_string()), "{message}");
        }
    }
}
