//! The recorder writes what the engine observes to the store, and follows incidents.
//!
//! It never holds up the engine: as any subscriber it has a thread and a bounded mailbox
//! of its own, in which intervals are added up when the disk is slow. What cannot be
//! written waits in bounded memory (`pending`). Tables are looked at in yet another
//! thread (`looker`).

mod boot;
mod bounds;
mod cases;
mod directory;
pub(super) mod evidence;
mod kernel_log;
mod looker;
mod pending;
mod prediction;
mod surveyor;
#[cfg(test)]
pub(crate) mod tests;
mod translate;
mod warning;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    auto::event::{Event as Fix, What as Fixed},
    engine::{
        figures::Figures,
        header::Header,
        limit::{LimitChange, Maker},
        report::Report,
        rows::Rows,
        update::{Summary, Update},
        watched_netns::{Change, NetnsChange},
    },
    kernel::{defaults::Table, kmsg::KernelLog},
    say::clock,
    store::{
        Store,
        begin::Begun,
        failure::Failure,
        interval::Interval,
        keep::Bounds,
        moment::Moment,
        record::{self, Boot, Event, Record, Run},
    },
    subscribers::{
        Subscriber,
        recorder::{
            cases::Cases, directory::Directory, kernel_log::ConntrackLines, looker::Looker,
            pending::Pending, surveyor::Surveyor, warning::Warner,
        },
        recording::{Recording, What},
    },
};

/// How long an interval becomes while nothing happens, in milliseconds.
const COARSE: u64 = 60_000;

/// Writes evidence.
pub struct Recorder {
    path: PathBuf,
    bounds: Bounds,
    /// Where they can change, what they are to be.
    latest_bounds: Option<tokio::sync::watch::Receiver<Bounds>>,
    boot: Boot,
    /// None while the file cannot be opened anew after it was damaged or removed.
    store: Option<Store>,
    pending: Pending,
    directory: Directory,
    cases: Cases,
    looker: Looker,
    warner: Warner,
    surveyor: Surveyor,
    log: Option<ConntrackLines>,
    /// What was counted since the last interval that is to be written; nothing happened.
    calm: Option<Interval>,
    /// The figures of all intervals, for the part of one that is left at the end.
    counted: Figures,
    /// How long these were, in milliseconds.
    covered: u64,
    losses: String,
    /// The limit that `--fix` has set.
    raised: Option<Table>,
    news: UnboundedSender<Recording>,
}

impl Recorder {
    /// Opens the file, so that what is wrong with it is known before anything is observed.
    /// What is reported comes out of the receiver, which ends with the recorder.
    ///
    /// # Errors
    ///
    /// Why nothing can be recorded there.
    pub fn prepare(path: PathBuf, bounds: Bounds) -> Result<(Self, UnboundedReceiver<Recording>)> {
        let boot = boot::this_boot()?;
        let opened = Store::open(&path, bounds, &boot)?;
        // Without it the lines of the log are missing, which the store shows.
        let log = KernelLog::from_start().ok();
        let began = opened.store.begun();
        let since = began.gap.as_ref().map(|gap| gap.from);
        let log =
            log.map(|log| ConntrackLines::of(log, since.filter(|at| at.boot == began.at.boot)));
        let (mut recorder, receiver) =
            Self::over(opened.store, bounds, boot, Looker::of_this_host());
        recorder.surveyor = Surveyor::of_this_host();
        recorder.log = log;
        recorder.tell(What::Records {
            path,
            set_aside: opened.set_aside,
        });
        Ok((recorder, receiver))
    }

    fn over(
        store: Store,
        bounds: Bounds,
        boot: Boot,
        looker: Looker,
    ) -> (Self, UnboundedReceiver<Recording>) {
        let (news, receiver) = unbounded_channel();
        let begun = store.begun().clone();
        let recorder = Self {
            path: store.path().to_owned(),
            bounds,
            latest_bounds: None,
            boot,
            store: Some(store),
            pending: Pending::default(),
            directory: Directory::starting_with(begun.next_netns),
            cases: Cases::starting_with(begun.next_incident),
            looker,
            warner: Warner::default(),
            surveyor: Surveyor::of_nothing(),
            log: None,
            calm: None,
            counted: Figures::default(),
            covered: 0,
            losses: String::new(),
            raised: None,
            news,
        };
        (recorder, receiver)
    }

    fn tell(&self, what: What) {
        // Nobody is told any more if the command has failed.
        let _ = self.news.send(Recording::now(what));
    }

    /// The number of this boot in the store.
    fn boot_number(&self) -> i64 {
        self.store.as_ref().map_or(0, |store| store.begun().at.boot)
    }

    /// A moment that the engine has written.
    fn moment(&self, time: &str, monotonic: u64) -> Moment {
        let wall = humantime::parse_rfc3339(time).unwrap_or_else(|_| SystemTime::now());
        Moment::at(self.boot_number(), wall, monotonic)
    }

    fn event(&mut self, time: &str, event: &str, detail: Option<String>) {
        let at = self.moment(time, clock::monotonic());
        let event = event.to_owned();
        self.pending.record.events.push(Event { at, event, detail });
        self.write(at);
    }

    fn started(&mut self, header: &Header) {
        let at = self.moment(&header.time, clock::monotonic());
        self.run(Run {
            backend: Some(header.backend.to_string()),
            start: serde_json::to_string(header).ok(),
            ..Run::default()
        });
        self.surveyor.ask("started");
        self.write(at);
    }

    fn run(&mut self, known: Run) {
        self.pending.record.run.get_or_insert_default().join(known);
    }

    fn limit(&mut self, change: &LimitChange) {
        let at = self.moment(&change.time, clock::monotonic());
        let made_by = if self.raised == Some(change.after) {
            Some("ctdrop --fix".to_owned())
        } else {
            change.made_by.as_ref().map(Maker::label)
        };
        self.pending.record.limits.push(record::LimitChange {
            at,
            max_before: change.before.max,
            buckets_before: change.before.buckets,
            max: change.after.max,
            buckets: change.after.buckets,
            made_by,
        });
        self.surveyor.ask("limit");
        self.write(at);
    }

    fn netns(&mut self, change: &NetnsChange) {
        let (event, now) = match &change.change {
            Change::Gone => ("netns_gone", None),
            Change::Renamed { now } => ("netns_renamed", Some(now)),
        };
        let name = &change.name;
        let detail = now.map_or_else(|| name.clone(), |now| format!("{name} → {now}"));
        self.event(&change.time, event, Some(detail));
    }

    fn interval(&mut self, report: &Report) {
        self.counted = self.counted.and(&report.figures);
        self.covered += translate::millis(report.length);
        let at = self.moment(&report.time, report.monotonic);
        self.losses(report);
        self.warn(report, at);
        let gone = self.directory.follow(&report.discovered, at);
        let row = translate::interval(report, at, &mut self.directory);
        let seen = evidence::of(report);
        let changes = self
            .cases
            .look(report, at, row.new_flows, &seen, &gone, &mut self.directory);
        for what in changes.told {
            if matches!(what, What::Opened(_)) {
                self.surveyor.ask("opened");
            }
            self.tell(what);
        }
        for (id, cause, netns) in changes.looks {
            self.looker.ask(id, cause, netns);
        }
        if let Some((id, cause, taken)) = self.looker.taken() {
            let (census, told) = self.cases.take_census(id, cause, at, taken);
            self.pending.record.censuses.extend(census);
            if let Some(what) = told {
                self.tell(what);
            }
        }
        self.take_prediction(at);
        if let Some(log) = &mut self.log {
            self.pending.record.log_lines.extend(log.read(at));
        }
        self.pending
            .record
            .incidents
            .extend(self.cases.take_changed());
        if self.add(row) {
            self.write(at);
        }
    }

    /// Tells of tables that will be full soon.
    fn warn(&mut self, report: &Report, at: Moment) {
        for filling in self.warner.see(report) {
            self.pending.record.events.push(Event {
                at,
                event: "filling".to_owned(),
                detail: Some(filling.sentence()),
            });
            self.tell(What::Filling(filling));
        }
    }

    /// Adds an interval to those to be written; whether it is time to do so.
    fn add(&mut self, row: Interval) -> bool {
        let eventful = row.is_eventful() || self.cases.are_open();
        let intervals = &mut self.pending.record.intervals;
        if eventful {
            intervals.extend(self.calm.take());
            intervals.push(row);
            return true;
        }
        match &mut self.calm {
            Some(calm) => calm.join(row),
            None => self.calm = Some(row),
        }
        let calm = self.calm.take_if(|calm| calm.length >= COARSE);
        let is_long = calm.is_some();
        intervals.extend(calm);
        is_long || !self.pending.is_calm()
    }

    /// What the numbers may lack by now, if that is new.
    fn losses(&mut self, report: &Report) {
        let losses = serde_json::json!({
            "missed": report.missed,
            "faults": report.faults,
            "error_bound": report.error_bound,
            "unexplained": report.figures.discrepancy.total(),
            "unconfirmed": report.figures.discrepancy.unconfirmed,
            "unseen": report.figures.discrepancy.unseen,
            "reconciled": report.figures.reconciled(),
            "unchecked": report.figures.unchecked,
        });
        let losses = losses.to_string();
        if losses != self.losses {
            self.losses.clone_from(&losses);
            self.run(Run {
                losses: Some(losses),
                ..Run::default()
            });
        }
    }

    /// The part of an interval that is left, and the end.
    fn finish(&mut self, summary: &Summary) {
        let report = &summary.report;
        let at = self.moment(&report.time, report.monotonic);
        let length = translate::millis(report.length).saturating_sub(self.covered);
        let rest = Report {
            figures: report.figures.since(&self.counted),
            flows: Rows::default(),
            length: Duration::from_millis(length),
            ..report.clone()
        };
        self.interval(&rest);
        self.pending.record.intervals.extend(self.calm.take());
        let survivals = self.surveyor.last(at);
        self.pending.record.survivals.extend(survivals);
        let told = self.cases.stop(at);
        for what in told {
            self.tell(what);
        }
        self.run(Run {
            ended: Some(at),
            ..Run::default()
        });
        self.write(at);
        if let Some((since, rows, error)) = self.pending.unwritten() {
            self.tell(What::Lost { since, rows, error });
        }
    }

    /// Writes what is pending, or keeps it for the next time.
    fn write(&mut self, now: Moment) {
        self.take_bounds();
        self.pending
            .record
            .namespaces
            .extend(self.directory.take_changed());
        self.pending
            .record
            .incidents
            .extend(self.cases.take_changed());
        let gone = self.store.as_ref().is_none_or(Store::is_gone);
        let outcome = match &mut self.store {
            Some(store) if !gone => store.write(self.pending.complete(now)),
            _ => self.start_over(),
        };
        let outcome = match outcome {
            Err(failure) if failure.is_lasting() => self.start_over(),
            outcome => outcome,
        };
        match outcome {
            Ok(()) => {
                if let Some(gap) = self.pending.written() {
                    self.tell(What::Resumed {
                        since: gap.from.time(),
                        lost: gap.lost,
                    });
                }
                if let Some(store) = &mut self.store {
                    // What fails here fails with the next writing, too.
                    let _ = store.tend(now);
                }
            }
            Err(failure) => {
                if self.pending.failed(now, &failure) {
                    self.tell(What::Failing(failure.to_string()));
                }
            }
        }
    }

    /// Opens the file anew: it is damaged, and is set aside, or was removed. What was not
    /// written refers to what was in it, and is lost.
    fn start_over(&mut self) -> Result<(), Failure> {
        // Its lock is in the way of the next one.
        self.store = None;
        let mut opened = Store::open(&self.path, self.bounds, &self.boot)?;
        let Begun {
            at,
            next_netns,
            next_incident,
            ..
        } = *opened.store.begun();
        opened.store.write(&Record {
            gaps: vec![self.pending.lost_at(at)],
            ..Record::default()
        })?;
        self.store = Some(opened.store);
        self.directory = Directory::starting_with(next_netns);
        self.cases = Cases::starting_with(next_incident);
        self.looker.forget();
        self.calm = None;
        self.losses.clear();
        self.pending = Pending::default();
        self.tell(What::Records {
            path: self.path.clone(),
            set_aside: opened.set_aside,
        });
        Ok(())
    }
}

impl Subscriber for Recorder {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Waiting { time } => self.event(time, "waiting", None),
            Update::Started(header) => self.started(header),
            Update::Observer { time, event } => {
                let event = serde_json::to_value(event)?;
                self.event(time, event.as_str().unwrap_or_default(), None);
            }
            Update::Netns(change) => self.netns(change),
            Update::Limit(change) => self.limit(change),
            Update::Refused(_) | Update::Listing(_) | Update::Captured(_) => {}
            Update::Interval(report) => self.interval(report),
            Update::Finished(summary) => self.finish(summary),
        }
        Ok(())
    }

    fn fix(&mut self, fix: &Fix) -> Result<()> {
        if let Fixed::Raised { after, .. } = fix.what {
            self.raised = Some(after);
        }
        self.surveyor.ask("fix");
        let at = self.moment(&fix.time, clock::monotonic());
        let mut body = fix.json();
        let action = body["action"].as_str().unwrap_or_default().to_owned();
        // For whoever plays it back.
        body["text"] = fix.lines().into();
        self.pending.record.fixes.push(record::Fix {
            at,
            action,
            body: body.to_string(),
        });
        self.write(at);
        Ok(())
    }
}
