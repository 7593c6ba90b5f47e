//! The JSON stream, one object a line; described in docs/json.md.

mod body;
mod flows;
mod groups;
mod line;

use anyhow::Result;

use crate::{
    auto::event::{Event as Fix, Kept},
    engine::update::Update,
    say::stdout,
    subscribers::{Printed, Subscriber, json::line::Line, recording::Recording},
};

/// Prints lines of JSON.
pub struct Json {
    printed: Printed,
    /// Fixes that were made; none if none are to be made.
    fixes: Option<Vec<Kept>>,
}

impl Json {
    /// Prints lines of JSON; the totals with fixes, if any are to be made.
    pub fn new(printed: Printed, fixing: bool) -> Self {
        Self {
            printed,
            fixes: fixing.then(Vec::new),
        }
    }
}

impl Subscriber for Json {
    fn update(&mut self, update: &Update) -> Result<()> {
        if !self.printed.has(update) {
            return Ok(());
        }
        match Line::of(update, self.fixes.as_deref()) {
            Some(line) => stdout::json(&line),
            None => Ok(()),
        }
    }

    fn fix(&mut self, fix: &Fix) -> Result<()> {
        if let Some(fixes) = &mut self.fixes {
            fixes.extend(fix.kept().cloned());
        }
        stdout::json(&fix.json())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        stdout::json(&recording.json())
    }
}
