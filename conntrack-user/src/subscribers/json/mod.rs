//! The JSON stream, one object a line; described in docs/json.md.

mod body;
mod flows;
mod groups;
mod line;

use anyhow::Result;

use crate::{
    engine::update::Update,
    say::stdout,
    subscribers::{Subscriber, json::line::Line},
};

/// Prints lines of JSON.
pub struct Json {
    /// Whether only the first line, the totals and fixes are printed.
    quiet: bool,
}

impl Json {
    /// Prints lines of JSON.
    pub const fn new(quiet: bool) -> Self {
        Self { quiet }
    }
}

impl Subscriber for Json {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Observer { .. } | Update::Netns(_) if self.quiet => Ok(()),
            Update::Fix(event) => stdout::json(&event.json()),
            update => Line::of(update).map_or(Ok(()), |line| stdout::json(&line)),
        }
    }
}
