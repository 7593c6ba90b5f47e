//! `ctdrop watch --replay`: what was recorded, as if it was observed now.
//!
//! The rows of the store become updates, in order of time, and those who are told what is
//! observed are told of them.

mod header;
mod pilot;
mod programme;
mod sum;
#[cfg(test)]
mod tests;
mod translate;

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use tokio::{sync::watch, time};

use crate::{
    commands::{
        bar::Bar,
        watch::{
            options::{Options, Replay},
            replay::{
                header::Losses,
                pilot::{Pilot, at},
                programme::{Item, Programme},
                sum::Sum,
                translate::{Context, Translator},
            },
            said::Said,
        },
    },
    engine::{
        limit::{LimitChange, Maker},
        report::Report,
        rows::Rows,
        update::Update,
        view::{View, listing::Listing},
    },
    kernel::defaults::Table,
    logs::time::{When, zone},
    say::{clock, number::counted},
    store::{Reader, moment::Moment, record, timeline::Mark},
    subscribers::{
        recording::{Recording, What},
        worker::Worker,
    },
};

/// Plays back what was recorded until its end, or until `shutdown`.
pub(super) async fn run(
    replay: &Replay,
    options: &Options,
    output: impl FnOnce() -> Result<Said>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let reader = Reader::open(&replay.file)?;
    let range = range(replay)?;
    let programme = Programme::read(&reader, range)?;
    let Some(run) = programme.first_run() else {
        let there = match reader.extent()? {
            Some((_, last)) if range.0 > last => format!(
                "its evidence ends at {}: change --since",
                clock::shown_millis(last)
            ),
            Some((first, last)) => format!(
                "its intervals are from {} to {}: change --since or --until",
                clock::shown_millis(first),
                clock::shown_millis(last)
            ),
            None => "it has no intervals yet".to_owned(),
        };
        bail!("nothing to replay in {}: {there}", replay.file.display());
    };
    let said = output()?;
    let said_ended = said.ended();
    let mut player = Player::new(replay, options.engine.top, reader, said, programme, run);
    let ended = tokio::select! {
        biased;
        () = shutdown => Ok(()),
        () = said_ended => Ok(()),
        ended = player.play() => ended,
    };
    ended.and(player.finish().await)
}

/// The time that is asked for, in milliseconds since 1970.
fn range(replay: &Replay) -> Result<(i64, i64)> {
    let zone = zone(None)?;
    let resolved = |when: Option<When>| when.map(|when| when.resolve(&zone)).transpose();
    let since = resolved(replay.since)?.map_or(0, |micros| micros / 1000);
    let until = resolved(replay.until)?.map_or(i64::MAX, |micros| micros / 1000);
    ensure!(
        since < until,
        "nothing to replay: --since must be earlier than --until"
    );
    Ok((since, until))
}

/// Plays back.
struct Player<'a> {
    replay: &'a Replay,
    top: usize,
    reader: Reader,
    output: Worker,
    /// The rows that somebody looks at, if anybody does.
    view: Option<watch::Receiver<View>>,
    programme: Programme,
    translator: Translator,
    context: Context,
    /// Who steers it, if anybody does.
    steered: Option<Pilot>,
    /// Intervals that were played back.
    played: usize,
    /// The run that is played back first.
    first: usize,
    /// The run that was played back last.
    run: usize,
    sum: Sum,
    /// Up to where it was played back.
    position: Option<Moment>,
    /// Intervals that were no longer there.
    missing: u64,
}

impl<'a> Player<'a> {
    fn new(
        replay: &'a Replay,
        top: usize,
        reader: Reader,
        said: Said,
        mut programme: Programme,
        run: usize,
    ) -> Self {
        let translator = Translator::new(std::mem::take(&mut programme.namespaces));
        let context = context(&programme, run);
        Self {
            replay,
            top,
            reader,
            output: said.worker,
            view: said.view,
            steered: said.steered.map(|steered| Pilot::new(steered, &programme)),
            programme,
            translator,
            context,
            played: 0,
            first: run,
            run,
            sum: Sum::default(),
            position: None,
            missing: 0,
        }
    }

    async fn play(&mut self) -> Result<()> {
        self.begin().await;
        // On a terminal the replay itself is seen.
        let mut bar = (!io::stdout().is_terminal()).then(|| {
            let template = "replayed {wide_bar} {percent} %, {eta} left";
            Bar::new(template, "", u64::try_from(self.programme.items.len()).ok())
        });
        let mut next = 0;
        loop {
            if self.wants_back() {
                self.rewind().await;
                next = 0;
            }
            let Some(item) = self.programme.items.get(next).cloned() else {
                match &mut self.steered {
                    // Whoever steers it ends it.
                    Some(steered) => steered.changed().await,
                    None => return Ok(()),
                }
                continue;
            };
            next += 1;
            if let Some(bar) = &mut bar {
                bar.reached(next as u64);
            }
            self.item(item).await?;
        }
    }

    async fn item(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Interval(mark) => self.interval(mark).await?,
            Item::Gap(gap) => {
                // Of a time without evidence nothing is waited for.
                self.position = Some(gap.at);
                self.tell_recording(gap.at, What::Gap(*gap)).await;
            }
            Item::Limit(change) => {
                self.wait(change.at).await;
                let change = limit_change(&change);
                self.context.changed = Some(change.clone());
                self.tell(Update::Limit(change)).await;
            }
            Item::Event(event) => {
                self.wait(event.at).await;
                if let Some(update) = programme::update(&event, &self.translator) {
                    self.tell(update).await;
                }
            }
            Item::Fix(fix) => {
                self.wait(fix.at).await;
                if let Some(what) = programme::fixed(&fix) {
                    self.tell_recording(fix.at, what).await;
                }
            }
        }
        Ok(())
    }

    /// Whether somebody wants what was played back already.
    fn wants_back(&mut self) -> bool {
        let played = self.played;
        self.steered
            .as_mut()
            .is_some_and(|steered| steered.wants_back(played))
    }

    /// Begins anew.
    async fn rewind(&mut self) {
        self.run = self.first;
        self.context = context(&self.programme, self.first);
        self.sum = Sum::default();
        self.position = None;
        self.missing = 0;
        self.played = 0;
        self.begin().await;
    }

    /// Tells where what was recorded comes from.
    async fn begin(&mut self) {
        let run = &self.programme.runs[self.run];
        let losses = Losses::of(run);
        let header = header::header(run, &self.replay.file, self.programme.longest());
        self.tell(Update::Started(Box::new(header))).await;
        self.sum.lacks(losses);
        if let Some(steered) = &self.steered {
            steered.tell(self.played, self.replay.speed);
        }
    }

    async fn interval(&mut self, mark: Mark) -> Result<()> {
        let Some(interval) = self.reader.interval(mark.interval)? else {
            self.missing += 1;
            self.played += 1;
            return Ok(());
        };
        let run = self.programme.place_of(mark.run).unwrap_or(self.run);
        if run != self.run {
            self.run = run;
            self.context = context(&self.programme, run);
            self.sum.lacks(Losses::of(&self.programme.runs[run]));
        }
        let began = Moment {
            mono: interval.began(),
            ..interval.at
        };
        // What lies between two intervals was not observed.
        let is_later = self.position.is_none_or(|at| at.order() < began.order());
        if is_later {
            self.position = Some(began);
        }
        self.wait(interval.at).await;
        let mut report = self.translator.report(&interval, &self.context);
        self.sum.add(&report);
        shorten(&mut report.flows, self.top);
        report.top = self.top;
        let listing = self.listing(&report);
        self.tell(Update::Interval(Box::new(report))).await;
        if let Some(listing) = listing {
            self.tell(Update::Listing(Box::new(listing))).await;
        }
        self.played += 1;
        if let Some(steered) = &self.steered {
            steered.tell(self.played, self.replay.speed);
        }
        Ok(())
    }

    /// The rows that somebody looks at, after an interval was played back.
    fn listing(&mut self, report: &Report) -> Option<Listing> {
        let view = self.view.as_mut()?.borrow_and_update().clone();
        Some(self.sum.listing(report, view))
    }

    /// Waits as long as it took, at the speed that is asked for.
    async fn wait(&mut self, until: Moment) {
        let from = self.position.filter(|at| at.boot == until.boot);
        let millis = from.map_or(0, |from| until.mono.saturating_sub(from.mono));
        if from.is_none() || millis > 0 {
            self.position = Some(until);
        }
        let length = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        let speed = self.replay.speed;
        match &mut self.steered {
            Some(steered) => steered.wait(length, speed, self.played).await,
            None => {
                if let Some(length) = at(speed, length) {
                    time::sleep(length).await;
                }
            }
        }
    }

    /// Tells an update, and waits until it is taken: nothing is added up.
    async fn tell(&self, update: Update) {
        self.output.tell(&Arc::new(update));
        self.output.caught_up().await;
    }

    async fn tell_recording(&self, at: Moment, what: What) {
        let time = at.time();
        self.output
            .tell_recording(&Arc::new(Recording { time, what }));
        self.output.caught_up().await;
    }

    /// The totals.
    async fn finish(self) -> Result<()> {
        let mut warnings = Vec::new();
        if self.sum.omits_flows() {
            warnings.push(
                "the count of a flow lacks the packets of intervals in which the flow was not \
                 among the 20 flows with the most packets; all sums are exact"
                    .to_owned(),
            );
        }
        if self.missing > 0 {
            warnings.push(format!(
                "this replay lacks {}: ctdrop added them up or removed them meanwhile",
                counted(self.missing, "interval")
            ));
        }
        let run = &self.programme.runs[self.run];
        if let Some(summary) = self.sum.finish(run, self.top, warnings) {
            self.output
                .tell(&Arc::new(Update::Finished(Box::new(summary))));
        }
        self.output.finish().await
    }
}

fn context(programme: &Programme, run: usize) -> Context {
    let run = &programme.runs[run];
    Context {
        backend: header::backend(run),
        reconciled: Losses::of(run).reconciled,
        changed: None,
    }
}

fn limit_change(change: &record::LimitChange) -> LimitChange {
    LimitChange {
        time: change.at.time(),
        before: Table {
            max: change.max_before,
            buckets: change.buckets_before,
        },
        after: Table {
            max: change.max,
            buckets: change.buckets,
        },
        made_by: change.made_by.clone().map(Maker::Recorded),
    }
}

/// Leaves the first rows.
fn shorten(rows: &mut Rows, top: usize) {
    rows.more += rows.top.len().saturating_sub(top);
    rows.top.truncate(top);
}
