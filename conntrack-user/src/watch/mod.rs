//! `ctdrop watch`: observe now, and say what is seen.
//!
//! [`figures`] and [`rows`] are the numbers, [`report`] puts them together,
//! [`text`], [`json`] and [`screen`] are the forms in which it is said.

pub mod figures;
pub mod header;
pub mod json;
pub mod names;
mod output;
pub mod report;
pub mod rows;
pub mod screen;
pub mod select;
pub mod text;

use std::{
    future::{self, Future},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::{self, MissedTickBehavior};

use self::{
    figures::Figures,
    header::Header,
    output::Output,
    report::{Asked, Report},
    rows::Period,
    select::Select,
};
use crate::{
    cli::Watch,
    kernel::{netns::Namespaces, presence::Presence},
    observe::{Wanted, stand::Stand, tally::Tally},
};

/// How often the maps are emptied, so that a flood of new flows finds room.
/// At rest this costs no more than reading a few totals.
const DRAIN: Duration = Duration::from_millis(200);

/// How often a module is looked for that is to be attached to, or let go.
const MODULE: Duration = Duration::from_millis(50);

/// Observes until `shutdown`, or for the time asked for.
pub async fn run(options: &Watch, shutdown: impl Future<Output = ()>) -> Result<()> {
    let end = async {
        tokio::select! {
            () = shutdown => {}
            () = over(options.duration) => {}
        }
    };
    tokio::pin!(end);
    if !wait_for_conntrack(options, &mut end).await? {
        return Ok(());
    }
    let select = resolve(options)?;
    let observer = Stand::take(Wanted {
        backend: options.backend,
        arm: options.arm,
        release_module: options.release_module,
    })?;
    let output = Output::open(options, Header::collect(&observer)?)?;
    let mut session = Session {
        options,
        select,
        observer,
        tally: Tally::default(),
        output,
        started: Instant::now(),
        last: (Instant::now(), Figures::default()),
    };
    let outcome = session.observe(end).await;
    // Whatever has gone wrong: what was counted until then is said.
    outcome.and(session.finish())
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
    options: &Watch,
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

fn resolve(options: &Watch) -> Result<Select> {
    let netns = match &options.netns {
        Some(wanted) => Some(Namespaces::discover()?.find(wanted)?.inode),
        None => None,
    };
    Ok(Select {
        netns,
        protocol: options.proto,
        reasons: options.reason.clone(),
        all_flows: options.all_flows,
    })
}

struct Session<'a> {
    options: &'a Watch,
    select: Select,
    observer: Stand,
    tally: Tally,
    output: Output,
    started: Instant,
    /// When the last interval was reported, and the figures until then.
    last: (Instant, Figures),
}

impl Session<'_> {
    async fn observe(&mut self, mut end: impl Future<Output = ()> + Unpin) -> Result<()> {
        let tick = if self.options.release_module {
            MODULE
        } else {
            DRAIN
        };
        let mut drain = time::interval(tick.min(self.options.interval));
        let mut report = time::interval(self.options.interval);
        for ticks in [&mut drain, &mut report] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick comes at once.
            ticks.tick().await;
        }
        loop {
            tokio::select! {
                biased;
                () = &mut end => return Ok(()),
                _ = report.tick() => self.report_interval()?,
                _ = drain.tick() => self.tick()?,
                pressure = self.observer.pressure() => {
                    pressure?;
                    self.tick()?;
                }
            }
        }
    }

    fn tick(&mut self) -> Result<()> {
        if let Some(event) = self.observer.tick(&mut self.tally)? {
            self.output.event(event, self.options.quiet)?;
        }
        Ok(())
    }

    fn report_interval(&mut self) -> Result<()> {
        self.observer.drain(&mut self.tally)?;
        self.observer.look()?;
        if self.options.quiet {
            return Ok(());
        }
        let figures = Figures::collect(&self.observer, &self.tally, &self.select);
        let (since, earlier) = &self.last;
        let asked = Asked {
            period: Period::Interval,
            length: since.elapsed(),
            figures: figures.since(earlier),
            ..self.asked()
        };
        let report = Report::collect(&self.observer, &self.tally, asked)?;
        self.output.interval(&report, &self.observer)?;
        self.last = (Instant::now(), figures);
        self.tally.start_interval();
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.observer.stop(&mut self.tally)?;
        let asked = self.asked();
        let asked = Asked {
            top: if self.options.all_flows {
                usize::MAX
            } else {
                asked.top
            },
            figures: Figures::collect(&self.observer, &self.tally, &self.select),
            ..asked
        };
        let report = Report::collect(&self.observer, &self.tally, asked)?;
        self.output
            .summary(&report, &self.observer, &self.tally, &self.select)
    }

    /// What the user asked for, over the whole time.
    fn asked(&self) -> Asked<'_> {
        Asked {
            select: &self.select,
            by: self.options.by,
            top: self.options.top,
            period: Period::Total,
            length: self.started.elapsed(),
            figures: Figures::default(),
        }
    }
}
