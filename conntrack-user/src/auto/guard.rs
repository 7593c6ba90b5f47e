//! Makes a fix by itself, or plans one, when packets are refused.
//!
//! Everything a step needs is read before, so that between a refused packet and
//! a higher limit there are the reading and the writing of two variables. What
//! is slow comes after it, on another thread.

use std::{
    future,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    apply::{
        live,
        record::{Records, State},
    },
    auto::{
        background::{self, Done, Evidence, Prepared},
        decide::{Automatic, COOL_DOWN, Decision, Held, Look, Need},
        event::{Advice, Event, Kept, Suspect, What},
        priority,
        refusals::Refusals,
    },
    kernel::defaults::Table,
    plan::{
        diagnosis::diagnose,
        notes,
        sizing::{Request, Size, size},
    },
    say::clock,
};

/// How long what was read is good for, while it is calm.
const FRESH: Duration = Duration::from_mins(1);

/// How often counts are read after a sign of pressure, and how long, before the
/// programs are asked for the next sign.
const POLL: Duration = Duration::from_millis(10);
const ALERT: Duration = Duration::from_millis(100);

/// What is done about refused packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Nothing
    #[default]
    Off,
    /// Show, once, what ctdrop fix would do, and change nothing
    Plan,
    /// Raise the limit at once, then make it last as ctdrop fix does
    Auto,
}

/// How it listens for the first refused packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ear {
    /// The programs have been asked for a sign.
    Listens,
    /// There was one: counts are read again at this time.
    Alert { next: Instant, until: Instant },
    /// Nothing would be done before this time.
    Rests(Instant),
    /// Nothing is going to be done.
    Closed,
}

/// Stands by, and makes fixes.
pub struct Guard {
    mode: Mode,
    ceiling: Option<u64>,
    prepared: Prepared,
    fresh_until: Instant,
    automatic: Automatic,
    /// Refused until the last look, and until the last step.
    looked: Refusals,
    stepped: Refusals,
    /// What fills the table, as far as that is known.
    advice: Advice,
    work: Option<JoinHandle<Work>>,
    ear: Ear,
    kept: Vec<Kept>,
}

/// What is to be done now.
#[derive(Debug)]
pub enum Turn {
    /// Read the counts, and let it look at them.
    Look,
    /// Say this.
    Say(Vec<Event>),
}

/// What another thread has done.
enum Work {
    Fresh(Result<Box<Prepared>>),
    Done(Box<Done>),
}

impl Guard {
    /// Gets ready. No limit will be set above `ceiling`; without one, above what
    /// the memory allows.
    pub fn prepare(mode: Mode, ceiling: Option<u64>) -> Result<Self> {
        let prepared =
            Prepared::read(ceiling).context("cannot read what decides the limit, for --fix")?;
        if mode == Mode::Auto {
            priority::hurry();
        }
        Ok(Self {
            mode,
            ceiling,
            fresh_until: Instant::now() + FRESH,
            automatic: Automatic::new(prepared.ceiling),
            prepared,
            looked: Refusals::default(),
            stepped: Refusals::default(),
            advice: Advice::default(),
            work: None,
            ear: Ear::Listens,
            kept: Vec::new(),
        })
    }

    /// The fixes that were made, the first one first.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The refused packets that it has looked at.
    pub const fn looked(&self) -> &Refusals {
        &self.looked
    }

    /// There was a sign of pressure: counts are to be read, and to be read again
    /// when [`Self::turn`] says so.
    pub fn hears(&mut self) {
        if self.ear == Ear::Listens {
            let now = Instant::now();
            self.ear = Ear::Alert {
                next: now + Duration::from_millis(1),
                until: now + ALERT,
            };
        }
    }

    /// Whether the programs are to be asked for the next sign of pressure.
    pub fn wants_a_sign(&mut self) -> bool {
        let now = Instant::now();
        let listens = match self.ear {
            Ear::Alert { next, .. } if now < next => false,
            Ear::Alert { until, .. } if now < until => {
                self.ear = Ear::Alert {
                    next: now + POLL,
                    until,
                };
                false
            }
            Ear::Alert { .. } => true,
            Ear::Rests(until) => now >= until,
            Ear::Listens | Ear::Closed => false,
        };
        if listens {
            self.ear = Ear::Listens;
        }
        listens
    }

    /// Looks at what was refused, and makes a step if that is right. `again` reads
    /// the counts anew.
    pub fn look(
        &mut self,
        refused: &Refusals,
        again: impl FnOnce() -> Result<Refusals>,
    ) -> Vec<Event> {
        let earlier = self.looked.clone();
        self.looked.raise_to(refused);
        let need = [Need::Room, Need::Buckets]
            .into_iter()
            .find(|&need| !refused.since(&earlier, need).is_empty());
        if need.is_some() && self.ear != Ear::Closed {
            // Refusals that lead to nothing new need no haste.
            self.ear = Ear::Rests(Instant::now() + COOL_DOWN);
        }
        match self.mode {
            Mode::Auto => self.act(need, again),
            Mode::Plan => {
                if let Some(need) = need.filter(|_| self.ear != Ear::Closed) {
                    self.make_plan(need);
                }
                Vec::new()
            }
            Mode::Off => Vec::new(),
        }
    }

    fn act(&mut self, need: Option<Need>, again: impl FnOnce() -> Result<Refusals>) -> Vec<Event> {
        // Else there is nothing to find.
        if self.automatic.is_over() || (need.is_none() && !self.automatic.has_written()) {
            return Vec::new();
        }
        let Ok(table) = live::table(&self.prepared.files) else {
            // Conntrack is being unloaded, or has not come back.
            return Vec::new();
        };
        let wanted = need.and_then(|need| self.wanted(need, table));
        let facts = &self.prepared.facts;
        let look = Look {
            now: Instant::now(),
            table,
            refused: need,
            owned: wanted
                .as_ref()
                .is_some_and(|size| notes::undone_at_once(facts, size).is_some()),
        };
        let to = wanted.as_ref().map_or(table, |size| Table {
            max: size.max,
            buckets: size.buckets,
        });
        match self.automatic.decide(look, |_| to) {
            Some(Decision::Raise { need, to }) => match self.undone() {
                Some(id) => vec![self.taken_back(id)],
                None => self.step(need, table, to, again),
            },
            Some(Decision::Hold(held)) => vec![self.hold(held, table, wanted.as_ref())],
            Some(Decision::Diagnose(need)) => {
                let evidence = self.evidence(need, table);
                let ceiling = self.prepared.ceiling;
                self.start(move || background::diagnose_again(&evidence, ceiling));
                Vec::new()
            }
            Some(Decision::PutBack { wrote, times, last }) => {
                vec![self.was_put_back(wrote, table, times, last)]
            }
            None => Vec::new(),
        }
    }

    /// Where a plan would go, with no more known than that packets are refused.
    fn wanted(&mut self, need: Need, table: Table) -> Option<Size> {
        let limits = &mut self.prepared.facts.numbers.limits;
        limits.max = Some(table.max);
        limits.buckets = Some(table.buckets);
        let evidence = Evidence {
            need,
            refused: vec![(0, 1)],
            table,
        };
        let load = evidence.load(|_| ("a network namespace".to_owned(), true));
        let facts = &self.prepared.facts;
        let diagnosis = diagnose(&load, &facts.numbers.timeouts);
        let request = Request {
            to: None,
            ceiling: Some(self.prepared.ceiling),
        };
        // None: there is no limit that could be raised.
        size(facts, &load, &diagnosis, request).ok()
    }

    fn step(
        &mut self,
        need: Need,
        before: Table,
        to: Table,
        again: impl FnOnce() -> Result<Refusals>,
    ) -> Vec<Event> {
        let writes = match live::raise(&self.prepared.files, to) {
            Ok(writes) => writes,
            Err(error) => {
                self.automatic.end();
                self.ear = Ear::Closed;
                return vec![Event::now(What::Failed(format!("{error:#}")))];
            }
        };
        let (now, time) = (Instant::now(), clock::now());
        let after = live::table(&self.prepared.files).unwrap_or(to);
        self.automatic.raised(now, after);
        let evidence = self.evidence(need, before);
        // The step is made, whatever becomes of this.
        if let Ok(later) = again() {
            self.looked.follow(&later);
        }
        let lost = self.looked.since(&self.stepped, need);
        self.stepped = self.looked.clone();
        let what = What::Raised {
            need,
            before,
            after,
            refused: lost.iter().map(|(_, packets)| packets).sum(),
        };
        let ceiling = self.prepared.ceiling;
        self.start(move || background::keep_step(&evidence, after, writes, ceiling));
        vec![Event { time, what }]
    }

    fn hold(&self, why: Held, table: Table, wanted: Option<&Size>) -> Event {
        let advice = match why {
            Held::Leak | Held::Flood => self.advice.clone(),
            Held::Owner => {
                let facts = &self.prepared.facts;
                let note = wanted.and_then(|size| notes::undone_at_once(facts, size));
                let knob = notes::owner(facts).zip(wanted);
                let knob = knob.and_then(|(owner, size)| notes::knob(owner, facts, size));
                Advice {
                    evidence: note.map(|note| note.why).unwrap_or_default(),
                    instead: knob.into_iter().map(|note| note.what).collect(),
                }
            }
            Held::Ceiling | Held::BucketsAtCeiling => Advice::default(),
        };
        Event::now(What::Held { why, table, advice })
    }

    fn was_put_back(&mut self, wrote: Table, found: Table, times: u32, last: bool) -> Event {
        if let Some(id) = self.undone() {
            return self.taken_back(id);
        }
        if last {
            self.ear = Ear::Closed;
        }
        let writers = self.prepared.facts.writers.iter();
        let writers = writers
            .filter(|writer| writer.active)
            .map(|writer| Suspect {
                name: writer.name,
                knob: writer.knob.clone(),
            })
            .collect();
        Event::now(What::PutBack {
            wrote,
            found,
            times,
            last,
            writers,
        })
    }

    fn taken_back(&mut self, id: String) -> Event {
        self.automatic.end();
        self.ear = Ear::Closed;
        Event::now(What::TakenBack(id))
    }

    /// The fix of ours that the user has taken back; none is known if the records
    /// cannot be read.
    fn undone(&self) -> Option<String> {
        let last = self.kept.last()?;
        let records = Records::of(Path::new("/")).all().ok()?;
        let undone = records
            .into_iter()
            .find(|record| record.manifest.id == last.id)
            .filter(|record| matches!(record.state, State::PartlyUndone | State::Undone));
        undone.map(|record| record.manifest.id)
    }

    /// What was refused since the last step.
    fn evidence(&self, need: Need, table: Table) -> Evidence {
        Evidence {
            need,
            refused: self.looked.since(&self.stepped, need),
            table,
        }
    }

    fn make_plan(&mut self, need: Need) {
        let Ok(table) = live::table(&self.prepared.files) else {
            // The module is being loaded again: with the next refusal.
            return;
        };
        self.ear = Ear::Closed;
        let evidence = self.evidence(need, table);
        let ceiling = self.prepared.ceiling;
        self.start(move || background::make_plan(&evidence, ceiling));
    }

    fn start(&mut self, work: impl FnOnce() -> Done + Send + 'static) {
        self.work = Some(spawn_blocking(move || {
            priority::take_time();
            Work::Done(Box::new(work()))
        }));
    }

    /// Has what a step needs read anew, if that is due, and nothing else is
    /// being done.
    pub fn refresh(&mut self) {
        let now = Instant::now();
        let calm = self.ear == Ear::Listens && self.work.is_none();
        if self.mode == Mode::Auto && calm && now >= self.fresh_until {
            self.fresh_until = now + FRESH;
            let ceiling = self.ceiling;
            self.work = Some(spawn_blocking(move || {
                priority::take_time();
                Work::Fresh(Prepared::read(ceiling).map(Box::new))
            }));
        }
    }

    /// Ends when counts are to be read, or when what was started is done.
    pub async fn turn(&mut self) -> Result<Turn> {
        tokio::select! {
            () = time_to_look(self.ear) => Ok(Turn::Look),
            work = done(&mut self.work) => {
                self.work = None;
                Ok(Turn::Say(self.note(work?)))
            }
        }
    }

    fn note(&mut self, work: Work) -> Vec<Event> {
        match work {
            Work::Fresh(Ok(prepared)) => {
                self.automatic.set_ceiling(prepared.ceiling);
                self.prepared = *prepared;
                Vec::new()
            }
            // What was read before will do.
            Work::Fresh(Err(_)) => Vec::new(),
            Work::Done(done) => {
                let Done {
                    what,
                    kept,
                    cause,
                    advice,
                    honest,
                } = *done;
                self.kept.extend(kept);
                self.advice = advice;
                self.automatic.judged(Instant::now(), cause, honest);
                what.into_iter().map(Event::now).collect()
            }
        }
    }

    /// Waits until nothing is being done any more.
    pub async fn finish(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while self.work.is_some() {
            let work = done(&mut self.work).await;
            self.work = None;
            events.extend(self.note(work?));
        }
        self.automatic.end();
        self.ear = Ear::Closed;
        Ok(events)
    }
}

async fn time_to_look(ear: Ear) {
    match ear {
        Ear::Alert { next: then, .. } | Ear::Rests(then) => {
            tokio::time::sleep_until(then.into()).await;
        }
        Ear::Listens | Ear::Closed => future::pending().await,
    }
}

async fn done(work: &mut Option<JoinHandle<Work>>) -> Result<Work> {
    match work {
        Some(work) => work.await.context("the work on a fix has panicked"),
        None => future::pending().await,
    }
}
