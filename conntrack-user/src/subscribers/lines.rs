//! Lines of text on standard output.

use std::io;

use anyhow::Result;

use crate::{
    auto::event::{self, Event as Fix, Kept},
    engine::update::Update,
    say::{
        journal::{self, Level},
        port::Services,
        stdout,
    },
    subscribers::{Printed, Subscriber, filling::Follower, recording::Recording, text},
};

/// Prints lines for people.
pub struct Lines {
    services: Services,
    printed: Printed,
    follower: Follower,
    /// Fixes that were made.
    fixes: Vec<Kept>,
    /// Whether it says how serious each line is: the journal reads that.
    levels: bool,
}

impl Lines {
    /// Prints lines, with ports by these names.
    pub fn new(services: Services, printed: Printed) -> Self {
        Self {
            services,
            printed,
            follower: Follower::default(),
            fixes: Vec::new(),
            levels: journal::is_journal(io::stdout()),
        }
    }

    fn say(&self, level: Level, lines: Vec<String>) -> Result<()> {
        if self.levels {
            let prefix = level.prefix();
            stdout::lines(lines.iter().map(|line| format!("{prefix}{line}")))
        } else {
            stdout::lines(lines)
        }
    }
}

impl Subscriber for Lines {
    fn update(&mut self, update: &Update) -> Result<()> {
        if !self.printed.has(update) {
            return Ok(());
        }
        let lines = match update {
            Update::Waiting { .. } => {
                text::say_waiting();
                return Ok(());
            }
            Update::Started(header) => text::header::lines(header),
            Update::Observer { time, event } => vec![text::event(time, *event)],
            Update::Netns(change) => vec![text::netns(change)],
            Update::Limit(change) => vec![text::limit::change(change)],
            Update::Refused(_) | Update::Listing(_) | Update::Captured(_) => return Ok(()),
            Update::Interval(report) => {
                let mut lines = text::report::interval(report, &self.services);
                lines.extend(text::limit::filling(&self.follower.see(report)));
                lines
            }
            Update::Finished(summary) => {
                let mut lines = text::report::summary(summary, &self.services);
                lines.extend(event::summary(&self.fixes));
                lines
            }
        };
        self.say(Level::Info, lines)
    }

    fn fix(&mut self, fix: &Fix) -> Result<()> {
        self.fixes.extend(fix.kept().cloned());
        self.say(Level::Warning, fix.lines())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        self.say(recording.level(), recording.lines())
    }
}
