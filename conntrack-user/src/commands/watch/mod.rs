//! `ctdrop watch`: observe now, and say what is seen.
//!
//! [`crate::engine`] has the numbers, [`crate::subscribers`] the forms in which they are said.

pub mod options;

use std::{
    future::{self, Future},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::{self, MissedTickBehavior};

use crate::{
    auto::{
        event,
        guard::{Guard, Mode, Turn},
        refusals::Refusals,
    },
    commands::watch::options::Options,
    engine::{
        chosen::Chosen,
        figures::Figures,
        header::Header,
        ineffective,
        report::{Asked, Report},
        rows::Period,
        select::Select,
    },
    kernel::presence::Presence,
    observe::{
        counts::tally::Tally,
        observer::{Observer, options::Wanted, snapshot::Snapshot},
    },
    subscribers::output::{self, Last, Output},
};

/// How often the maps are emptied, so that a flood of new flows finds room.
/// At rest this costs no more than reading a few totals.
const DRAIN: Duration = Duration::from_millis(200);

/// How often a module is looked for that is to be attached to, or let go.
const MODULE: Duration = Duration::from_millis(50);

/// How often the counters are read on account of `--fix`, where no program tells.
const LOOK: Duration = Duration::from_secs(1);

/// Observes until `shutdown`, or for the time asked for.
pub async fn run(options: &Options, shutdown: impl Future<Output = ()>) -> Result<()> {
    let end = async {
        tokio::select! {
            () = shutdown => {}
            () = over(options.engine.duration) => {}
        }
    };
    tokio::pin!(end);
    if !wait_for_conntrack(options, &mut end).await? {
        return Ok(());
    }
    let chosen = options
        .engine
        .netns
        .as_deref()
        .map(Chosen::find)
        .transpose()?;
    let select = Select {
        netns: chosen.as_ref().map(Chosen::inode),
        protocol: options.engine.protocol,
        reasons: options.engine.reasons.clone(),
        all_flows: options.engine.all_flows,
    };
    // Before the first packet can be refused.
    let guard = match options.fix {
        Mode::Off => None,
        mode => Some(Guard::prepare(mode, options.ceiling)?),
    };
    let observer = Observer::start(Wanted {
        backend: options.engine.backend,
        arm: options.engine.arm,
        release_module: options.engine.release_module,
    })?;
    let mut header = Header::collect(observer.setup(), chosen.as_ref())?;
    let ineffective = ineffective::notes(&options.engine, header.backend, header.pins_module);
    header.warnings.extend(ineffective);
    let output = Output::open(options, header)?;
    let mut session = Session {
        options,
        select,
        chosen,
        observer,
        tally: Tally::default(),
        output,
        guard,
        counters_read: Instant::now(),
        started: Instant::now(),
        last: (Instant::now(), Figures::default()),
    };
    let outcome = session.observe(end).await;
    // Whatever has gone wrong: what was counted until then is said.
    outcome.and(session.finish().await)
}

/// See [`Guard::turn`].
async fn turn(guard: Option<&mut Guard>) -> Result<Turn> {
    match guard {
        Some(guard) => guard.turn().await,
        None => future::pending().await,
    }
}

async fn over(duration: Option<Duration>) {
    match duration {
        Some(duration) => time::sleep(duration).await,
        None => future::pending().await,
    }
}

/// Without conntrack nothing is refused, so there is nothing to say until it is
/// loaded. Whether it was, before the end.
async fn wait_for_conntrack(
    options: &Options,
    mut end: impl Future<Output = ()> + Unpin,
) -> Result<bool> {
    if Presence::read()? != Presence::Absent {
        return Ok(true);
    }
    output::waiting(options)?;
    loop {
        tokio::select! {
            biased;
            () = &mut end => return Ok(false),
            () = time::sleep(MODULE) => {}
        }
        if Presence::read()? != Presence::Absent {
            return Ok(true);
        }
    }
}

struct Session<'a> {
    options: &'a Options,
    select: Select,
    /// The only namespace that is watched.
    chosen: Option<Chosen>,
    observer: Observer,
    tally: Tally,
    output: Output,
    /// Fixes what can be fixed.
    guard: Option<Guard>,
    /// When the counters were read last on its account.
    counters_read: Instant,
    started: Instant,
    /// When the last interval was reported, and the figures until then.
    last: (Instant, Figures),
}

impl Session<'_> {
    async fn observe(&mut self, mut end: impl Future<Output = ()> + Unpin) -> Result<()> {
        let tick = if self.options.engine.release_module {
            MODULE
        } else {
            DRAIN
        };
        let mut drain = time::interval(tick.min(self.options.engine.interval));
        let mut report = time::interval(self.options.engine.interval);
        for ticks in [&mut drain, &mut report] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick comes at once.
            ticks.tick().await;
        }
        loop {
            tokio::select! {
                biased;
                () = &mut end => return Ok(()),
                // First what cannot wait.
                pressure = self.observer.pressure() => {
                    pressure?;
                    self.press()?;
                }
                turn = turn(self.guard.as_mut()) => match turn? {
                    Turn::Look => self.look_again()?,
                    Turn::Say(events) => self.say_fixes(&events)?,
                },
                _ = report.tick() => self.report_interval()?,
                _ = drain.tick() => self.tick()?,
            }
        }
    }

    /// There was a sign of pressure.
    fn press(&mut self) -> Result<()> {
        if let Some(guard) = &mut self.guard {
            guard.hears();
            self.guard_now()?;
        }
        if self.guard.is_none() || !self.observer.is_armed() {
            self.tick()?;
        }
        Ok(())
    }

    /// Some time after it.
    fn look_again(&mut self) -> Result<()> {
        self.guard_now()?;
        if let Some(guard) = &mut self.guard
            && guard.wants_a_sign()
        {
            self.observer.request_wake()?;
        }
        Ok(())
    }

    /// Lets the guard see what was refused until now.
    fn guard_now(&mut self) -> Result<()> {
        self.guard_against(Refusals::of(&self.observer.totals_now()?))
    }

    fn guard_against(&mut self, refused: Refusals) -> Result<()> {
        let Some(guard) = &mut self.guard else {
            return Ok(());
        };
        let refused = refused.believed(
            self.observer.backend(),
            &self.observer.namespaces(),
            guard.looked(),
        );
        let events = guard.look(&refused, || Ok(Refusals::of(&self.observer.totals_now()?)));
        self.say_fixes(&events)
    }

    fn say_fixes(&mut self, events: &[event::Event]) -> Result<()> {
        events.iter().try_for_each(|event| self.output.fix(event))
    }

    fn tick(&mut self) -> Result<()> {
        if let Some(event) = self.observer.tick(&mut self.tally)? {
            self.output.event(event, self.options.quiet)?;
        }
        let Some(guard) = &mut self.guard else {
            return Ok(());
        };
        guard.refresh();
        // Where programs do not see all, the counters do.
        if !self.observer.backend().can_rest() && self.counters_read.elapsed() >= LOOK {
            self.counters_read = Instant::now();
            self.observer.check()?;
        }
        self.guard_against(Refusals::drained(&self.observer.snapshot(|_| true)?))
    }

    /// Says what has become of the namespace that was asked for.
    fn look_at_chosen(&mut self) -> Result<()> {
        if let Some(chosen) = &mut self.chosen {
            let name = chosen.name().to_owned();
            if let Some(change) = chosen.look()? {
                let inode = chosen.inode();
                self.output
                    .chosen(inode, &name, &change, self.options.quiet)?;
            }
        }
        Ok(())
    }

    fn report_interval(&mut self) -> Result<()> {
        self.observer.drain(&mut self.tally)?;
        self.observer.check()?;
        self.look_at_chosen()?;
        if self.options.quiet {
            return Ok(());
        }
        let snapshot = self.snapshot()?;
        let figures = Figures::collect(&snapshot, &self.tally, &self.select);
        let (since, earlier) = &self.last;
        let asked = Asked {
            period: Period::Interval,
            length: since.elapsed(),
            figures: figures.since(earlier),
            ..self.asked()
        };
        let report = Report::collect(&snapshot, &self.tally, asked);
        self.output.interval(&report, &snapshot)?;
        self.last = (Instant::now(), figures);
        self.tally.start_interval();
        Ok(())
    }

    async fn finish(mut self) -> Result<()> {
        self.observer.stop(&mut self.tally)?;
        self.look_at_chosen()?;
        if let Some(mut guard) = self.guard.take() {
            self.say_fixes(&guard.finish().await?)?;
            self.guard = Some(guard);
        }
        let snapshot = self.snapshot()?;
        let asked = self.asked();
        let asked = Asked {
            top: if self.options.engine.all_flows {
                usize::MAX
            } else {
                asked.top
            },
            figures: Figures::collect(&snapshot, &self.tally, &self.select),
            ..asked
        };
        let report = Report::collect(&snapshot, &self.tally, asked);
        let last = Last {
            tally: &self.tally,
            select: &self.select,
            warnings: self
                .chosen
                .as_ref()
                .and_then(Chosen::warning)
                .into_iter()
                .collect(),
            fixes: self.guard.as_ref().map(Guard::kept),
        };
        self.output.summary(&report, &snapshot, &last)
    }

    /// What was found in the namespaces that are selected.
    fn snapshot(&self) -> Result<Snapshot> {
        self.observer.snapshot(|netns| self.select.netns(netns))
    }

    /// What the user asked for, over the whole time.
    fn asked(&self) -> Asked<'_> {
        Asked {
            select: &self.select,
            by: self.options.engine.by,
            top: self.options.engine.top,
            period: Period::Total,
            length: self.started.elapsed(),
            figures: Figures::default(),
        }
    }
}
