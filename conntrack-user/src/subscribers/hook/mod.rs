//! Runs a command when an incident is opened and when it is closed; docs/hooks.md.
//!
//! The subscriber decides (`pace`) and puts runs into a queue. Another thread (`runner`) runs them
//! one after the other, within bounds (`process`).

pub mod command;
mod pace;
mod process;
mod runner;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::system::uname;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    engine::update::Update,
    subscribers::{
        Subscriber,
        hook::{
            command::Command,
            pace::Pace,
            runner::{Job, Runner, Times},
        },
        hook_outcome::{End, Moment, Outcome},
        recording::{Recording, What},
    },
};

/// Runs a command for incidents.
#[derive(Debug)]
pub struct Hook {
    pace: Pace,
    began: Instant,
    host: String,
    runner: Runner,
    news: UnboundedSender<Recording>,
}

impl Hook {
    /// Finds the program, so that an error is reported before the observation begins. The receiver
    /// gets the outcome of each run, and ends with the hook.
    ///
    /// # Errors
    ///
    /// There is no such program, or it cannot be run.
    pub fn prepare(command: &Command) -> Result<(Self, UnboundedReceiver<Recording>)> {
        Self::with(command, Times::default())
    }

    fn with(command: &Command, times: Times) -> Result<(Self, UnboundedReceiver<Recording>)> {
        let (news, receiver) = unbounded_channel();
        let told = news.clone();
        let runner = Runner::start(command.find()?, times, move |outcome| {
            tell(&told, outcome);
        })?;
        let hook = Self {
            pace: Pace::default(),
            began: Instant::now(),
            host: uname().nodename().to_string_lossy().into_owned(),
            runner,
            news,
        };
        Ok((hook, receiver))
    }

    fn run(&mut self, incident: i64, moment: Moment, recording: &Recording) {
        let admitted = match moment {
            Moment::Opened => {
                let waiting = self.runner.waiting();
                self.pace.opened(incident, self.began.elapsed(), waiting)
            }
            Moment::Closed => self.pace.closed(incident),
        };
        if let Err(why) = admitted {
            let outcome = Outcome {
                incident,
                moment,
                end: End::Skipped(why),
                took: Duration::ZERO,
                output: Vec::new(),
                cut: 0,
            };
            return tell(&self.news, outcome);
        }
        let mut body = recording.json();
        body["version"] = env!("CARGO_PKG_VERSION").into();
        body["host"] = self.host.as_str().into();
        body["skipped"] = self.pace.take_skipped().into();
        self.runner.put(Job {
            incident,
            moment,
            input: format!("{body}\n").into_bytes(),
        });
    }
}

fn tell(news: &UnboundedSender<Recording>, outcome: Outcome) {
    // Fails if `watch` or `daemon` has failed, and nobody receives it.
    let _ = news.send(Recording::now(What::Hooked(Box::new(outcome))));
}

impl Subscriber for Hook {
    fn update(&mut self, _: &Update) -> Result<()> {
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        match &recording.what {
            What::Opened(told) => self.run(told.id, Moment::Opened, recording),
            What::Closed(told) => self.run(told.id, Moment::Closed, recording),
            _ => {}
        }
        Ok(())
    }
}
