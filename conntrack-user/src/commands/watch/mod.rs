//! `ctdrop watch`: observe now, and say what is seen.
//!
//! [`crate::engine`] observes, [`crate::subscribers`] say it.

mod job_control;
pub mod options;

use std::{future, sync::Arc};

use anyhow::Result;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    auto::{event::Event, guard::Mode},
    commands::watch::options::Options,
    engine::{self, Engine, update::Update},
    say::{output::Output, port::Services},
    subscribers::{guard::Fixer, json::Json, lines::Lines, screen::Screen, worker::Worker},
};

/// Observes until `shutdown`, or for the time asked for.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let fixing = match options.fix {
        Mode::Off => None,
        mode => Some(Fixing::start(mode, options.ceiling)?),
    };
    let output = output(&options)?;
    let no_output = output.ended();
    let options = engine::options::Options {
        intervals: !options.quiet,
        refusals: fixing.is_some(),
        ..options.engine
    };
    let engine = Engine::new(options, async {
        tokio::select! {
            () = shutdown => {}
            () = no_output => {}
        }
    });
    Watch { output, fixing }.follow(engine).await
}

/// Starts what says it.
fn output(options: &Options) -> Result<Worker> {
    let services = if options.service_names {
        Services::read()?
    } else {
        Services::default()
    };
    let quiet = options.quiet;
    match options.output {
        Output::Json => Worker::start(
            "the JSON output",
            Json::new(quiet, options.fix != Mode::Off),
        ),
        Output::Text if !quiet && Screen::is_possible() => {
            let screen = Worker::start("the screen", Screen::new(services))?;
            job_control::follow(screen.pauser())?;
            Ok(screen)
        }
        Output::Text => Worker::start("the output", Lines::new(services, quiet)),
    }
}

/// Who is told what the engine observes.
struct Watch {
    output: Worker,
    /// With `--fix`.
    fixing: Option<Fixing>,
}

/// The guard, and what it does.
struct Fixing {
    guard: Worker,
    events: UnboundedReceiver<Event>,
}

/// What has happened.
enum News {
    Observed(Result<Option<Update>>),
    Fixed(Event),
}

impl Watch {
    /// Passes on what happens until the end.
    async fn follow(mut self, mut engine: Engine) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            let news = tokio::select! {
                biased;
                event = next_fix(self.fixing.as_mut()) => News::Fixed(event),
                update = engine.next() => News::Observed(update),
            };
            match news {
                News::Fixed(event) => self.output.tell_fix(&Arc::new(event)),
                News::Observed(Ok(Some(update))) => {
                    outcome = outcome.and(self.tell(update).await);
                }
                News::Observed(Ok(None)) => break,
                // Whatever has gone wrong: what was counted until then still comes.
                News::Observed(Err(error)) => outcome = outcome.and(Err(error)),
            }
        }
        if let Some(fixing) = self.fixing.take() {
            outcome = outcome.and(fixing.finish(&self.output).await);
        }
        // Nothing stays loaded, however long the output waits for a reader.
        drop(engine);
        outcome.and(self.output.finish().await)
    }

    /// Tells everybody. The totals wait for what the guard does to the end.
    async fn tell(&mut self, update: Update) -> Result<()> {
        let update = Arc::new(update);
        if let Some(fixing) = &self.fixing {
            fixing.guard.tell(&update);
        }
        let mut outcome = Ok(());
        if let Update::Finished(_) = *update
            && let Some(fixing) = self.fixing.take()
        {
            outcome = fixing.finish(&self.output).await;
        }
        self.output.tell(&update);
        outcome
    }
}

impl Fixing {
    fn start(mode: Mode, ceiling: Option<u64>) -> Result<Self> {
        let (fixer, events) = Fixer::prepare(mode, ceiling)?;
        let guard = Worker::start("--fix", fixer)?;
        Ok(Self { guard, events })
    }

    /// Waits until the guard has done what it is about, and passes that on.
    async fn finish(mut self, output: &Worker) -> Result<()> {
        self.guard.close();
        // None come once the guard has ended.
        while let Some(event) = self.events.recv().await {
            output.tell_fix(&Arc::new(event));
        }
        self.guard.finish().await
    }
}

/// The next thing that was done about refused packets; there is none without `--fix`.
async fn next_fix(fixing: Option<&mut Fixing>) -> Event {
    if let Some(fixing) = fixing
        && let Some(event) = fixing.events.recv().await
    {
        return event;
    }
    future::pending().await
}
