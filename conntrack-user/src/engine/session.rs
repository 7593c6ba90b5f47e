//! From the first count to the last: what the observer counts becomes updates.

use std::{collections::VecDeque, future, time::Duration};

use anyhow::Result;
use conntrack_ebpf::capture::CaptureOrder;
use tokio::time::{self, Instant, Interval, MissedTickBehavior};

use crate::{
    engine::{
        alert::Alert,
        figures::Figures,
        header::Header,
        limit::{FollowedLimit, Fullest},
        options::Options,
        refusals::Refusals,
        refused_flows::FlowCounter,
        report::{Asked, Report, Taken},
        rows::Period,
        select::Select,
        source::Source,
        update::{Summary, Update},
        view::listing::{ByNetns, Listing},
        watched_netns::WatchedNetns,
    },
    kernel::limit_writers::LimitWriters,
    observe::{backend::Backend, capture, counts::tally::Tally, observer::snapshot::Snapshot},
    say::clock,
};

/// How often the maps are emptied, so that a flood of new flows finds room.
/// At rest this costs no more than reading a few totals.
const DRAIN: Duration = Duration::from_millis(200);

/// How often it is tried whether the conntrack module may be let go. A drain that often
/// would cost four times as much in a flood.
const MODULE: Duration = Duration::from_millis(50);

/// How often the counters are read for refusals that no program sees.
const CHECK: Duration = Duration::from_secs(1);

/// An observer at work.
pub(super) struct Session<S> {
    options: Options,
    select: Select,
    /// The only namespace that is observed.
    watched: Option<WatchedNetns>,
    observer: S,
    backend: Backend,
    tally: Tally,
    host: String,
    release: String,
    drains: Interval,
    reports: Interval,
    /// If the module is not to be kept from being unloaded.
    modules: Option<Interval>,
    alert: Alert,
    /// The limit in force.
    limit: FollowedLimit,
    limit_writers: LimitWriters,
    /// Refusals told so far.
    refused: Refusals,
    /// The flows that the limit in force refuses.
    flows: FlowCounter,
    /// When the counters were last read for them.
    checked: Instant,
    started: Instant,
    /// When the last interval was reported, and the figures until then.
    last: (Instant, Figures),
    /// Not taken yet.
    updates: VecDeque<Update>,
}

/// What is to be done now.
enum Due {
    Pressure,
    Refusals,
    Report,
    Module,
    Drain,
}

impl<S: Source> Session<S> {
    /// Attaches, and begins to count.
    pub(super) fn begin(
        options: Options,
        open: impl FnOnce(&Options, Option<CaptureOrder>) -> Result<S>,
    ) -> Result<Self> {
        let netns = options.netns.as_deref();
        let watched = netns.map(WatchedNetns::find).transpose()?;
        let select = Select {
            netns: watched.as_ref().map(WatchedNetns::inode),
            protocol: options.protocol,
            src: options.src,
            dst: options.dst,
            reasons: options.reasons.clone(),
            all_flows: options.all_flows,
        };
        let order = || capture::order(select.netns, select.protocol, &select.reasons);
        let observer = open(&options, options.capture.then(order))?;
        let snapshot = observer.snapshot(|netns| select.netns(netns))?;
        let fullest = Fullest::of(&snapshot, |netns| select.netns(netns));
        let header = Header::collect(observer.setup(), &options, watched.as_ref(), fullest)?;
        if let Some(watched) = &watched
            && header.backend == Backend::Counters
        {
            watched.demand_counters()?;
        }
        let mut limit = FollowedLimit::default();
        limit.see(observer.limits(), || None);
        let limit_writers = observer.limit_writers();
        Ok(Self {
            select,
            watched,
            observer,
            backend: header.backend,
            tally: Tally::default(),
            host: header.host.clone(),
            release: header.release.clone(),
            drains: every(DRAIN.min(options.interval)),
            reports: every(options.interval),
            modules: options.release_module.then(|| every(MODULE)),
            alert: Alert::default(),
            limit,
            limit_writers,
            refused: Refusals::default(),
            flows: FlowCounter::default(),
            checked: Instant::now(),
            started: Instant::now(),
            last: (Instant::now(), Figures::default()),
            updates: [Update::Started(Box::new(header))].into(),
            options,
        })
    }

    /// The next update, if there is one already.
    pub(super) fn take(&mut self) -> Option<Update> {
        self.updates.pop_front()
    }

    /// Waits until something is to be done, and does it. Only the waiting can be
    /// dropped.
    pub(super) async fn step(&mut self) -> Result<()> {
        let due = tokio::select! {
            biased;
            // First what cannot wait.
            pressure = self.observer.pressure() => {
                pressure?;
                Due::Pressure
            }
            () = until(self.alert.due()) => Due::Refusals,
            _ = self.reports.tick() => Due::Report,
            () = tick(self.modules.as_mut()) => Due::Module,
            _ = self.drains.tick() => Due::Drain,
        };
        match due {
            Due::Pressure => self.pressure(),
            Due::Refusals => self.read_ahead(),
            Due::Report => self.report(),
            Due::Module => self.follow_module(),
            Due::Drain => self.drain(),
        }
    }

    /// The programs have given a sign of pressure.
    fn pressure(&mut self) -> Result<()> {
        if self.options.refusals {
            self.alert.signalled(now());
            self.tell_refusals_now()?;
        }
        if !self.options.refusals || !self.observer.is_armed() {
            self.drain()?;
        }
        Ok(())
    }

    /// It is time to read the counts ahead of the next drain.
    fn read_ahead(&mut self) -> Result<()> {
        self.tell_refusals_now()?;
        if self.alert.has_read(now()) {
            self.observer.request_wake()?;
        }
        Ok(())
    }

    /// Tells what was refused until now, drained or not, if that is more than was told.
    fn tell_refusals_now(&mut self) -> Result<()> {
        let refused = Refusals::of(&self.observer.totals_now()?);
        if self.are_news(&refused) {
            self.updates
                .push_back(Update::Refused(self.refused.clone()));
        }
        Ok(())
    }

    /// Tells what was refused, of all that was drained.
    fn tell_refusals(&mut self) -> Result<()> {
        if !self.backend.can_rest() && self.checked.elapsed() >= CHECK {
            self.checked = Instant::now();
            self.observer.check()?;
        }
        let snapshot = self.observer.snapshot(|_| true)?;
        let flows = &mut self.flows;
        let flows = flows.count(&snapshot.totals, &self.tally, clock::monotonic());
        let refused = Refusals::drained(&snapshot, flows);
        self.are_news(&refused);
        self.updates
            .push_back(Update::Refused(self.refused.clone()));
        Ok(())
    }

    /// Notes refusals. Whether they are more than were known.
    fn are_news(&mut self, refused: &Refusals) -> bool {
        let news = refused.exceed(&self.refused);
        self.refused.raise_to(refused);
        if news {
            self.alert.refused(now());
        }
        news
    }

    /// Lets go of the module if somebody unloads it, or takes hold of a new one.
    fn follow_module(&mut self) -> Result<()> {
        let event = self.observer.follow_module(&mut self.tally)?;
        self.updates.extend(event.map(Update::observer));
        Ok(())
    }

    /// Empties the maps, and follows pressure and the module.
    fn drain(&mut self) -> Result<()> {
        if let Some(event) = self.observer.tick(&mut self.tally)? {
            self.updates.push_back(Update::observer(event));
        }
        self.check_limit()?;
        if self.options.refusals {
            self.tell_refusals()?;
        }
        if self.is_view_new() {
            self.list()?;
        }
        self.tell_captured()
    }

    /// Tells the packets that were copied.
    fn tell_captured(&mut self) -> Result<()> {
        if self.options.capture {
            let captured = self.observer.captured()?;
            if !captured.packets.is_empty() {
                self.updates.push_back(Update::Captured(captured));
            }
        }
        Ok(())
    }

    /// Whether somebody looks at something else than was told last.
    fn is_view_new(&self) -> bool {
        let view = self.options.view.as_ref();
        view.is_some_and(|view| view.has_changed().unwrap_or(false))
    }

    /// Tells the rows that somebody looks at, as they are before the next report.
    fn list(&mut self) -> Result<()> {
        let snapshot = self.snapshot()?;
        let figures = Figures::collect(&snapshot, &self.tally, &self.select);
        let (since, earlier) = &self.last;
        let (length, recent) = (since.elapsed(), figures.since(earlier));
        self.tell_rows(&snapshot, &figures, &recent, length);
        Ok(())
    }

    /// Tells the rows that somebody looks at, if anybody does.
    fn tell_rows(
        &mut self,
        snapshot: &Snapshot,
        figures: &Figures,
        recent: &Figures,
        length: Duration,
    ) {
        let Some(view) = &mut self.options.view else {
            return;
        };
        let view = view.borrow_and_update().clone();
        let by_netns = ByNetns {
            total: &figures.by_netns,
            recent: &recent.by_netns,
        };
        let listing =
            Listing::collect(snapshot, &self.tally, &self.select, &by_netns, view, length);
        self.updates.push_back(Update::Listing(Box::new(listing)));
    }

    /// Notices that somebody has changed the limit.
    fn check_limit(&mut self) -> Result<()> {
        self.limit_writers.mark();
        let limits = self.observer.limits();
        let who = || self.limit_writers.who_made(limits);
        if let Some(change) = self.limit.see(limits, who) {
            if change.before.max != change.after.max {
                let totals = self.observer.snapshot(|_| true)?.totals;
                self.flows.begin(&totals, &self.tally, clock::monotonic());
            }
            self.updates.push_back(Update::Limit(change));
        }
        Ok(())
    }

    /// Finds out what has become of the only namespace that is observed.
    fn check_netns(&mut self) -> Result<()> {
        if let Some(watched) = &mut self.watched {
            self.updates.extend(watched.check()?.map(Update::Netns));
        }
        Ok(())
    }

    /// An interval is over.
    fn report(&mut self) -> Result<()> {
        self.observer.drain(&mut self.tally)?;
        self.observer.check()?;
        self.check_netns()?;
        self.check_limit()?;
        if !self.options.intervals {
            return Ok(());
        }
        let snapshot = self.snapshot()?;
        let figures = Figures::collect(&snapshot, &self.tally, &self.select);
        let taken = Taken::now();
        let ended = taken.instant;
        let (since, earlier) = &self.last;
        let recent = figures.since(earlier);
        let length = ended.saturating_duration_since(*since);
        let asked = Asked {
            select: &self.select,
            by: self.options.by,
            top: self.options.top,
            period: Period::Interval,
            since: *since,
            taken,
            figures: recent.clone(),
            limit: self.limit.in_force(),
        };
        let report = Report::collect(&snapshot, &self.tally, asked);
        self.updates.push_back(Update::Interval(Box::new(report)));
        self.tell_rows(&snapshot, &figures, &recent, length);
        self.last = (ended, figures);
        self.tally.start_interval();
        Ok(())
    }

    /// Detaches, and takes the totals.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.observer.stop(&mut self.tally)?;
        self.tell_captured()?;
        self.check_netns()?;
        self.check_limit()?;
        let snapshot = self.snapshot()?;
        let all = self.options.all_flows;
        let asked = Asked {
            select: &self.select,
            by: self.options.by,
            top: if all { usize::MAX } else { self.options.top },
            period: Period::Total,
            since: self.started,
            taken: Taken::now(),
            figures: Figures::collect(&snapshot, &self.tally, &self.select),
            limit: self.limit.in_force(),
        };
        let services = self.tally.services();
        let summary = Summary {
            report: Report::collect(&snapshot, &self.tally, asked),
            host: self.host.clone(),
            release: self.release.clone(),
            services: services
                .filter(|(key, _)| self.select.service(key))
                .map(|(&key, entry)| (key, entry.count.packets))
                .collect(),
            omitted: self
                .options
                .capture
                .then(|| self.observer.omitted())
                .transpose()?,
            warnings: self.warnings(&snapshot),
        };
        self.updates.push_back(Update::Finished(Box::new(summary)));
        Ok(())
    }

    /// What the totals lack: by counters alone, also what is refused in namespaces
    /// that are out of sight.
    fn warnings(&self, snapshot: &Snapshot) -> Vec<String> {
        match &self.watched {
            Some(watched) => watched.warning().into_iter().collect(),
            None if self.backend == Backend::Counters => snapshot.namespaces.warnings.clone(),
            None => Vec::new(),
        }
    }

    /// What was found in the namespaces that are selected.
    fn snapshot(&self) -> Result<Snapshot> {
        self.observer.snapshot(|netns| self.select.netns(netns))
    }
}

/// Ticks after each period, from now on.
fn every(period: Duration) -> Interval {
    let mut ticks = time::interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The next tick of what ticks at all.
async fn tick(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => future::pending().await,
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => time::sleep_until(due.into()).await,
        None => future::pending().await,
    }
}
