//! Those who are told what the engine observes: a screen, lines of text, lines of
//! JSON, the guard, which fixes what can be fixed, the recorder, which writes evidence,
//! the capture of refused packets, the metrics, the export by OTLP, the service manager, who asks
//! the fixer for a higher limit, and the hook, which runs a command for incidents.
//!
//! Each implements [`Subscriber`], and is served by a thread of its own
//! ([`worker`]), so that none can hold up or crash the observer, nor the others.

mod capabilities;
pub mod capture_news;
pub mod census;
pub mod filling;
pub mod fix_request;
pub mod guard;
pub mod hook;
pub mod hook_outcome;
pub mod input;
pub mod json;
pub mod lines;
mod mailbox;
pub mod metrics;
pub mod otlp;
pub mod pcap;
pub mod playback;
pub mod recorder;
pub mod recording;
pub mod screen;
pub mod service;
mod text;
pub mod worker;

#[cfg(test)]
mod tests;

use anyhow::Result;

use crate::{
    auto::event::Event as Fix,
    engine::update::Update,
    subscribers::{input::Input, recording::Recording},
};

/// What is printed of what happens, besides the first line and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Printed {
    /// Each interval, and what changes.
    All,
    /// What changes: a service would fill the journal with intervals.
    Changes,
    /// Only fixes that are made.
    Fixes,
}

impl Printed {
    /// Whether an update is among it.
    const fn has(self, update: &Update) -> bool {
        match update {
            Update::Waiting { .. } | Update::Started(_) | Update::Finished(_) => true,
            Update::Observer { .. } | Update::Netns(_) | Update::Limit(_) | Update::Refused(_) => {
                !matches!(self, Self::Fixes)
            }
            Update::Interval(_) | Update::Listing(_) | Update::Captured(_) => {
                matches!(self, Self::All)
            }
        }
    }
}

/// Somebody who is told what the engine observes.
pub trait Subscriber: Send + 'static {
    /// Takes an update, and takes its time for it: those that come meanwhile wait, as
    /// many as have room; then intervals are added up.
    ///
    /// # Errors
    ///
    /// Why this subscriber cannot go on; it is told no more.
    fn update(&mut self, update: &Update) -> Result<()>;

    /// Leaves the terminal to others until [`Self::resume`]: the process is about to
    /// be stopped.
    ///
    /// # Errors
    ///
    /// See [`Self::update`].
    fn suspend(&mut self) -> Result<()> {
        Ok(())
    }

    /// The process goes on after it was stopped.
    ///
    /// # Errors
    ///
    /// See [`Self::update`].
    fn resume(&mut self) -> Result<()> {
        Ok(())
    }

    /// Takes what the guard has done about refused packets, or is not going to do.
    ///
    /// # Errors
    ///
    /// See [`Self::update`].
    fn fix(&mut self, _: &Fix) -> Result<()> {
        Ok(())
    }

    /// Takes what comes beside updates.
    ///
    /// # Errors
    ///
    /// See [`Self::update`].
    fn input(&mut self, _: &Input) -> Result<()> {
        Ok(())
    }

    /// All that was told is taken.
    ///
    /// # Errors
    ///
    /// See [`Self::update`].
    fn caught_up(&mut self) -> Result<()> {
        Ok(())
    }

    /// Takes what the recorder and the capture report.
    ///
    /// # Errors
    ///
    /// See [`Self::update`].
    fn recording(&mut self, _: &Recording) -> Result<()> {
        Ok(())
    }
}
