//! Makes a fix by itself, or plans one, when packets are refused.
//!
//! Everything a step needs is read before, so that between a refused packet and
//! a higher limit there are the reading and the writing of two variables. What
//! is slow comes after it, on another thread.

use std::{
    path::Path,
    sync::mpsc::{Receiver, RecvError, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    apply::{
        live,
        record::{Records, State},
    },
    auto::{
        background::{self, Done, Prepared, Trigger},
        decide::{Automatic, COOL_DOWN, Decision, Held, Look},
        event::{Advice, Event, Kept, Suspect, What},
        priority,
    },
    engine::refusals::{Need, Refusals},
    kernel::defaults::Table,
    plan::{
        notes,
        sizing::{Request, Size, size},
    },
    say::clock,
};

/// How long what was read is good for, while nothing is refused.
const FRESH: Duration = Duration::from_mins(1);

/// What is done about refused packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing
    #[default]
    Off,
    /// Show, once, what ctdrop fix would do, and change nothing
    Plan,
    /// Raise the limit at once, then make it last as ctdrop fix does
    Auto,
}

impl Mode {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Plan, Self::Auto];
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
    /// When packets were last seen to be refused.
    refused: Option<Instant>,
    /// The one plan of mode `plan`.
    plan: OnePlan,
    /// What fills the table, as far as that is known.
    advice: Advice,
    /// What another thread is doing.
    work: Option<Receiver<Work>>,
    /// The last fix that was made.
    kept: Option<Kept>,
}

/// The plan that is made once. It waits until it is seen which flows are refused: the
/// first packets do not tell how much room is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum OnePlan {
    /// Nothing was refused.
    #[default]
    NotWanted,
    /// Something was, first at that time.
    Awaited(Need, Instant),
    /// It was made.
    Made,
}

impl OnePlan {
    /// Takes in what was refused.
    fn refused(&mut self, need: Option<Need>, now: Instant) {
        if let (Self::NotWanted, Some(need)) = (*self, need) {
            *self = Self::Awaited(need, now);
        }
    }

    /// What packets lacked, if it is to be made now.
    fn due(self, now: Instant) -> Option<Need> {
        match self {
            Self::Awaited(need, first) if now.saturating_duration_since(first) >= COOL_DOWN => {
                Some(need)
            }
            _ => None,
        }
    }
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
        let prepared = Prepared::read(ceiling)
            .context("--fix cannot read the settings that decide the limit")?;
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
            refused: None,
            plan: OnePlan::default(),
            advice: Advice::default(),
            work: None,
            kept: None,
        })
    }

    /// Looks at what was refused since the start, and makes a step if that is right.
    pub fn look(&mut self, refused: &Refusals) -> Result<Vec<Event>> {
        let mut events = self.collect()?;
        let now = Instant::now();
        let need = [Need::Room, Need::Buckets]
            .into_iter()
            .find(|&need| !refused.since(&self.looked, need).is_empty());
        self.looked.raise_to(refused);
        if need.is_some() {
            self.refused = Some(now);
        }
        match self.mode {
            Mode::Auto => {
                events.extend(self.act(need));
                self.refresh(now);
            }
            Mode::Plan => {
                self.plan.refused(need, now);
                if let Some(need) = self.plan.due(now) {
                    self.make_plan(need);
                }
            }
            Mode::Off => {}
        }
        Ok(events)
    }

    fn act(&mut self, need: Option<Need>) -> Vec<Event> {
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
                None => self.step(need, table, to),
            },
            Some(Decision::Hold(held)) => vec![self.hold(held, table, wanted.as_ref())],
            Some(Decision::Diagnose(need)) => {
                let trigger = self.trigger_of(need, table);
                let ceiling = self.prepared.ceiling;
                self.start(move || background::diagnose_again(&trigger, ceiling));
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
        let demand = self
            .trigger_of(need, table)
            .demand(background::any_namespace, None);
        let facts = &self.prepared.facts;
        let request = Request {
            to: None,
            ceiling: Some(self.prepared.ceiling),
        };
        // None: there is no limit that could be raised.
        size(facts, &demand, request).ok()
    }

    fn step(&mut self, need: Need, before: Table, to: Table) -> Vec<Event> {
        let writes = match live::raise(&self.prepared.files, to) {
            Ok(writes) => writes,
            Err(error) => {
                self.automatic.end();
                return vec![Event::now(What::Failed(format!("{error:#}")))];
            }
        };
        let (now, time) = (Instant::now(), clock::now());
        // The kernel rounds buckets up. If there is less, another program has put it back already,
        // and the next look notices that.
        let found = live::table(&self.prepared.files).unwrap_or(to);
        let after = Table {
            max: found.max.max(to.max),
            buckets: found.buckets.max(to.buckets),
        };
        self.automatic.raised(now, after);
        let trigger = self.trigger_of(need, before);
        self.stepped = self.looked.clone();
        let what = What::Raised {
            need,
            before,
            after,
            refused: trigger.refused.iter().map(|it| it.packets).sum(),
        };
        let ceiling = self.prepared.ceiling;
        self.start(move || background::keep_step(&trigger, after, writes, ceiling));
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
                    incident: None,
                }
            }
            Held::Ceiling | Held::BucketsAtCeiling => Advice::default(),
        };
        Event::now(What::Held {
            why,
            table,
            advice: Box::new(advice),
        })
    }

    fn was_put_back(&mut self, wrote: Table, found: Table, times: u32, last: bool) -> Event {
        if let Some(id) = self.undone() {
            return self.taken_back(id);
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
        Event::now(What::TakenBack(id))
    }

    /// The fix of ours that the user has taken back; none is known if the records
    /// cannot be read.
    fn undone(&self) -> Option<String> {
        let last = self.kept.as_ref()?;
        let records = Records::of(Path::new("/")).all().ok()?;
        let undone = records
            .into_iter()
            .find(|record| record.manifest.id == last.id)
            .filter(|record| matches!(record.state, State::PartlyUndone | State::Undone));
        undone.map(|record| record.manifest.id)
    }

    /// What was refused since the last step.
    fn trigger_of(&self, need: Need, table: Table) -> Trigger {
        Trigger {
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
        self.plan = OnePlan::Made;
        let trigger = self.trigger_of(need, table);
        let ceiling = self.prepared.ceiling;
        self.start(move || background::make_plan(&trigger, ceiling));
    }

    fn start(&mut self, work: impl FnOnce() -> Done + Send + 'static) {
        self.work = Some(elsewhere(move || Work::Done(Box::new(work()))));
    }

    /// Has what a step needs read anew, if that is due, and nothing else is
    /// being done.
    fn refresh(&mut self, now: Instant) {
        let since = |then| now.saturating_duration_since(then);
        let calm = self.refused.is_none_or(|then| since(then) >= COOL_DOWN);
        if calm && self.work.is_none() && !self.automatic.is_over() && now >= self.fresh_until {
            self.fresh_until = now + FRESH;
            let ceiling = self.ceiling;
            self.work = Some(elsewhere(move || {
                Work::Fresh(Prepared::read(ceiling).map(Box::new))
            }));
        }
    }

    /// What there is to say of what another thread was doing, if it is done.
    fn collect(&mut self) -> Result<Vec<Event>> {
        match self.work.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => Ok(Vec::new()),
            Some(Ok(work)) => Ok(self.note(work)),
            Some(Err(TryRecvError::Disconnected)) => Err(RecvError).context(PANICKED),
        }
    }

    fn note(&mut self, work: Work) -> Vec<Event> {
        self.work = None;
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
                    kind,
                    advice,
                    honest,
                } = *done;
                if let Some(What::Kept {
                    fix: Some(kept), ..
                }) = &what
                {
                    self.kept = Some(kept.clone());
                }
                self.advice = advice;
                self.automatic.judged(Instant::now(), kind, honest);
                what.into_iter().map(Event::now).collect()
            }
        }
    }

    /// Makes no more steps, and waits until nothing is being done any more.
    pub fn finish(&mut self) -> Result<Vec<Event>> {
        self.automatic.end();
        if let OnePlan::Awaited(need, _) = self.plan {
            self.make_plan(need);
        }
        match &self.work {
            Some(work) => {
                let work = work.recv().context(PANICKED)?;
                Ok(self.note(work))
            }
            None => Ok(Vec::new()),
        }
    }
}

const PANICKED: &str = "internal error in the work on a fix; please report it";

/// Has it done by another thread, which may take its time.
fn elsewhere(work: impl FnOnce() -> Work + Send + 'static) -> Receiver<Work> {
    let (done, receiver) = sync_channel(1);
    thread::spawn(move || {
        priority::take_time();
        // Nobody waits for it any more if something more urgent has come.
        let _ = done.send(work());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_waits_until_the_flows_are_seen_and_is_made_once() {
        let begin = Instant::now();
        let mut plan = OnePlan::default();
        plan.refused(None, begin);
        assert_eq!(plan.due(begin + COOL_DOWN), None);
        plan.refused(Some(Need::Room), begin);
        plan.refused(Some(Need::Buckets), begin + COOL_DOWN / 2);
        assert_eq!(plan.due(begin + COOL_DOWN / 2), None);
        assert_eq!(plan.due(begin + COOL_DOWN), Some(Need::Room));
        plan = OnePlan::Made;
        plan.refused(Some(Need::Room), begin + COOL_DOWN);
        assert_eq!(plan.due(begin + 3 * COOL_DOWN), None);
    }
}
