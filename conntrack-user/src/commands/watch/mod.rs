//! `ctdrop watch`: observe now, and say what is seen.
//!
//! [`crate::engine`] observes, [`crate::subscribers`] say it.

pub mod options;

use std::{future, sync::Arc};

use anyhow::Result;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    auto::{
        event::{Event, Kept, What},
        guard::Mode,
    },
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
        Output::Json => Worker::start("the JSON output", Json::new(quiet)),
        Output::Text if !quiet && Screen::is_possible() => {
            Worker::start("the screen", Screen::new(services))
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

impl Watch {
    /// Passes on what happens until the end.
    async fn follow(mut self, mut engine: Engine) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            let update = tokio::select! {
                biased;
                update = next_fix(&mut self.fixing) => Ok(Some(update)),
                update = engine.next() => update,
            };
            outcome = match update {
                Ok(Some(update)) => outcome.and(self.tell(update).await),
                Ok(None) => break,
                // Whatever has gone wrong: what was counted until then still comes.
                Err(error) => outcome.and(Err(error)),
            };
        }
        outcome.and(self.output.finish().await)
    }

    /// Tells everybody. The totals wait for what the guard does to the end.
    async fn tell(&mut self, update: Update) -> Result<()> {
        let mut update = Arc::new(update);
        if let Some(fixing) = &self.fixing {
            fixing.guard.tell(&update);
        }
        let mut outcome = Ok(());
        if let Update::Finished(_) = *update
            && let Some(fixing) = self.fixing.take()
        {
            let (kept, fixed) = fixing.finish(&self.output).await;
            outcome = fixed;
            if let Some(Update::Finished(summary)) = Arc::get_mut(&mut update) {
                summary.fixes = Some(kept);
            }
        }
        self.output.tell(&update);
        outcome
    }
}

/// The guard, and what it has done.
struct Fixing {
    guard: Worker,
    events: UnboundedReceiver<Event>,
    kept: Vec<Kept>,
}

impl Fixing {
    fn start(mode: Mode, ceiling: Option<u64>) -> Result<Self> {
        let (fixer, events) = Fixer::prepare(mode, ceiling)?;
        Ok(Self {
            guard: Worker::start("--fix", fixer)?,
            events,
            kept: Vec::new(),
        })
    }

    /// Notes what was done, and makes an update of it.
    fn update(&mut self, event: Event) -> Update {
        if let What::Kept { fix, .. } = &event.what {
            self.kept.extend(fix.clone());
        }
        Update::Fix(Box::new(event))
    }

    /// Waits until the guard has done what it is about, and passes that on. The fixes
    /// that were made, and what went wrong.
    async fn finish(mut self, output: &Worker) -> (Vec<Kept>, Result<()>) {
        self.guard.close();
        // None come once the guard has ended.
        while let Some(event) = self.events.recv().await {
            output.tell(&Arc::new(self.update(event)));
        }
        (self.kept, self.guard.finish().await)
    }
}

/// The next thing that was done about refused packets; there is none without `--fix`.
async fn next_fix(fixing: &mut Option<Fixing>) -> Update {
    if let Some(fixing) = fixing
        && let Some(event) = fixing.events.recv().await
    {
        return fixing.update(event);
    }
    future::pending().await
}
