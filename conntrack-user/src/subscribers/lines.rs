//! Lines of text on standard output.

use anyhow::Result;

use crate::{
    engine::update::Update,
    say::{port::Services, stdout},
    subscribers::{Subscriber, text},
};

/// Prints lines for people.
pub struct Lines {
    services: Services,
    /// Whether only the header, the totals and fixes are printed.
    quiet: bool,
}

impl Lines {
    /// Prints lines, with ports by these names.
    pub const fn new(services: Services, quiet: bool) -> Self {
        Self { services, quiet }
    }
}

impl Subscriber for Lines {
    fn update(&mut self, update: &Update) -> Result<()> {
        let lines = match update {
            Update::Waiting { .. } => {
                text::say_waiting();
                return Ok(());
            }
            Update::Started(header) => text::header::lines(header),
            Update::Observer { .. } | Update::Netns(_) if self.quiet => return Ok(()),
            Update::Observer { time, event } => vec![text::event(time, *event)],
            Update::Netns(change) => vec![text::netns(change)],
            Update::Refused(_) => return Ok(()),
            Update::Interval(report) => text::report::interval(report, &self.services),
            Update::Fix(event) => event.lines(),
            Update::Finished(summary) => text::report::summary(summary, &self.services),
        };
        stdout::lines(lines)
    }
}
