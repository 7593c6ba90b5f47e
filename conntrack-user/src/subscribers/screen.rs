//! The live screen: the latest report, drawn in place; the totals stay when it is left.

use anyhow::{Context as _, Result};

use crate::{
    auto::event::{self, Event as Fix, Kept},
    engine::{report::Report, update::Update},
    say::{port::Services, stdout},
    subscribers::{Subscriber, terminal::Terminal, text},
};

/// Lines that are shown of what was done about refused packets.
const LINES_OF_A_FIX: usize = 4;

/// Draws a screen.
pub struct Screen {
    services: Services,
    /// None before the start, and after the end.
    terminal: Option<Terminal>,
    header: Vec<String>,
    /// The limit, and who comes closest to it.
    limit: String,
    /// What has changed last.
    changed: Vec<String>,
    /// What was said of fixes, for after the screen.
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
    pub const fn new(services: Services) -> Self {
        Self {
            services,
            terminal: None,
            header: Vec::new(),
            limit: String::new(),
            changed: Vec::new(),
            said: Vec::new(),
            fixes: Vec::new(),
        }
    }

    fn draw(&self, lines: &[String]) -> Result<()> {
        match &self.terminal {
            Some(terminal) => terminal.draw(lines).context(stdout::CANNOT_WRITE),
            None => Ok(()),
        }
    }

    fn interval(&self, report: &Report) -> Vec<String> {
        let mut lines = self.header.clone();
        lines.push(self.limit.clone());
        lines.extend(self.changed.clone());
        lines.push(String::new());
        lines.extend(text::report::interval(report, &self.services));
        lines.push(String::new());
        lines.push("Ctrl-C ends and prints the totals".to_owned());
        lines
    }
}

impl Subscriber for Screen {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Waiting { .. } => text::say_waiting(),
            Update::Started(header) => {
                self.header = text::header::about(header);
                self.limit = text::limit::at_start(header);
                self.terminal = Some(Terminal::enter().context(stdout::CANNOT_WRITE)?);
                self.draw(&text::header::lines(header))?;
            }
            Update::Observer { time, event } => self.changed = vec![text::event(time, *event)],
            Update::Netns(change) => self.changed = vec![text::netns(change)],
            Update::Limit(change) => self.changed = vec![text::limit::change(change)],
            Update::Refused(_) => {}
            Update::Interval(report) => {
                self.limit = text::limit::in_force(report).unwrap_or_else(|| self.limit.clone());
                self.draw(&self.interval(report))?;
            }
            Update::Finished(summary) => {
                self.terminal = None;
                let mut totals = text::report::summary(summary, &self.services);
                totals.extend(event::summary(&self.fixes));
                stdout::lines(self.header.iter().chain(&self.said).chain(&totals))?;
            }
        }
        Ok(())
    }

    fn fix(&mut self, fix: &Fix) -> Result<()> {
        let lines = fix.lines();
        self.changed = lines.iter().take(LINES_OF_A_FIX).cloned().collect();
        self.said.extend(lines);
        self.fixes.extend(fix.kept().cloned());
        Ok(())
    }
}
