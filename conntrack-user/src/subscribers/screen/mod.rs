//! The live screen: the latest report, drawn in place; the totals stay when it is left.

mod clip;
mod layout;
mod terminal;
#[cfg(test)]
mod tests;

use anyhow::{Context as _, Result};

use crate::{
    auto::event::{self, Event as Fix, Kept},
    engine::{report::Report, update::Update},
    say::{port::Services, stdout},
    subscribers::{
        Subscriber,
        filling::Follower,
        recording::Recording,
        screen::{layout::Contents, terminal::Terminal},
        text::{self, report::Interval},
    },
};

/// Lines that are shown of what was done about refused packets.
const LINES_OF_A_FIX: usize = 4;

/// Draws a screen.
pub struct Screen {
    services: Services,
    /// None before the start, and after the end.
    terminal: Option<Terminal>,
    follower: Follower,
    /// What is shown.
    contents: Contents,
    /// What was said of fixes and evidence, for after the screen.
    said: Vec<String>,
    /// Fixes that were made.
    fixes: Vec<Kept>,
}

impl Screen {
    /// Whether standard output can show it.
    pub fn is_possible() -> bool {
        Terminal::is_possible()
    }

    /// Draws a screen, with ports by these names.
    pub fn new(services: Services) -> Self {
        Self {
            services,
            terminal: None,
            follower: Follower::default(),
            contents: Contents::default(),
            said: Vec::new(),
            fixes: Vec::new(),
        }
    }

    /// The limit in force, or as it was, and the tables that will reach it.
    fn show_limit(&mut self, limit: Option<String>, report: &Report) {
        let shown = &mut self.contents.limit;
        let limit = limit.or_else(|| shown.first().cloned());
        *shown = limit.into_iter().collect();
        shown.extend(text::limit::filling(&self.follower.see(report)));
    }

    fn draw(&mut self) -> Result<()> {
        let Some(terminal) = &mut self.terminal else {
            return Ok(());
        };
        terminal
            .draw(|size| self.contents.lines(size))
            .context(stdout::CANNOT_WRITE)
    }
}

impl Subscriber for Screen {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Waiting { .. } => text::say_waiting(),
            Update::Started(header) => {
                self.contents.header = text::header::about(header);
                self.contents.limit = vec![text::limit::at_start(header)];
                self.terminal = Some(Terminal::new());
                self.draw()?;
            }
            Update::Observer { time, event } => {
                self.contents.changed = vec![text::event(time, *event)];
            }
            Update::Netns(change) => self.contents.changed = vec![text::netns(change)],
            Update::Limit(change) => self.contents.changed = vec![text::limit::change(change)],
            Update::Refused(_) => {}
            Update::Interval(report) => {
                let interval = Interval::of(report, &self.services);
                self.show_limit(interval.limit.clone(), report);
                self.contents.interval = Some(interval);
                self.draw()?;
            }
            Update::Finished(summary) => {
                self.terminal = None;
                let mut totals = text::report::summary(summary, &self.services);
                totals.extend(event::summary(&self.fixes));
                stdout::lines(self.contents.header.iter().chain(&self.said).chain(&totals))?;
            }
        }
        Ok(())
    }

    fn suspend(&mut self) -> Result<()> {
        match &mut self.terminal {
            Some(terminal) => terminal.leave().context(stdout::CANNOT_WRITE),
            None => Ok(()),
        }
    }

    fn resume(&mut self) -> Result<()> {
        if let Some(terminal) = &mut self.terminal {
            terminal.forget();
        }
        self.draw()
    }

    fn fix(&mut self, fix: &Fix) -> Result<()> {
        let lines = fix.lines();
        self.contents.changed = lines.iter().take(LINES_OF_A_FIX).cloned().collect();
        self.said.extend(lines);
        self.fixes.extend(fix.kept().cloned());
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        let lines = recording.lines();
        self.contents.changed.clone_from(&lines);
        self.said.extend(lines);
        Ok(())
    }
}
