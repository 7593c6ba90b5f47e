//! The JSON stream, one object a line; described in docs/json.md.

mod body;
mod flows;
mod groups;
mod line;

use anyhow::Result;
use serde_json::Value;

use crate::{
    auto::event::{Event as Fix, Kept},
    engine::{names::Names, rows::Row, update::Update},
    say::{clock::Clock, stdout},
    subscribers::{
        Printed, Subscriber,
        filling::Follower,
        json::{flows::Flow, groups::Group, line::Line},
        recording::Recording,
    },
};

/// Prints lines of JSON.
pub struct Json {
    printed: Printed,
    follower: Follower,
    /// Fixes that were made; none if none are to be made.
    fixes: Option<Vec<Kept>>,
}

impl Json {
    /// Prints lines of JSON; the totals with fixes, if any are to be made.
    pub fn new(printed: Printed, fixing: bool) -> Self {
        Self {
            printed,
            follower: Follower::default(),
            fixes: fixing.then(Vec::new),
        }
    }
}

/// A row as it is in a report, with all its packets.
pub(in crate::subscribers) fn row(row: &Row, names: &Names, clock: Clock) -> Value {
    let mut whole = *row;
    whole.count.packets = row.total;
    let value = match Flow::new(&whole, names, clock) {
        Some(flow) => serde_json::to_value(flow),
        None => serde_json::to_value(Group::new(&whole, names)),
    };
    value.unwrap_or_default()
}

/// The line of an update, for tests of what makes updates.
#[cfg(test)]
pub(crate) fn line_of(update: &Update) -> Value {
    serde_json::to_value(Line::of(update, &[], None)).unwrap()
}

impl Subscriber for Json {
    fn update(&mut self, update: &Update) -> Result<()> {
        if !self.printed.has(update) {
            return Ok(());
        }
        let filling = match update {
            Update::Interval(report) => self.follower.see(report),
            _ => Vec::new(),
        };
        match Line::of(update, &filling, self.fixes.as_deref()) {
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
