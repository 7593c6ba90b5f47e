//! The numbers for Prometheus and everything that reads OpenMetrics; docs/metrics.md.
//!
//! As any subscriber it can hold up nobody. It adds up what it is told ([`numbers`]) and
//! leaves it for a server in another thread ([`server`]), which makes the text of it
//! ([`catalogue`], [`family`]) once for all that read it.

pub mod catalogue;
pub mod export;
pub mod family;
#[cfg(test)]
mod hostile;
pub mod listen;
pub mod numbers;
mod owners;
pub mod server;
pub mod shared;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use tokio::sync::watch;

use crate::{
    auto::event::Event as Fix,
    engine::update::Update,
    store::keep::Bounds,
    subscribers::{
        Subscriber,
        filling::Follower,
        metrics::{
            export::Counts,
            numbers::{Cardinality, Numbers, Phase},
            shared::Shared,
        },
        recording::Recording,
    },
};

/// What may change while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// How much is exported.
    pub cardinality: Cardinality,
    /// How much evidence is kept.
    pub bounds: Bounds,
}

/// Adds up what is exported.
pub struct Metrics {
    numbers: Numbers,
    follower: Follower,
    shared: Arc<Shared>,
    /// The file of evidence.
    file: PathBuf,
    live: watch::Receiver<Live>,
    /// The state of the export by OTLP, if there is one.
    export: Option<Arc<Counts>>,
}

impl Metrics {
    /// Adds up, and leaves it there. The size of that file of evidence is among it.
    pub fn new(shared: Arc<Shared>, file: PathBuf, live: watch::Receiver<Live>) -> Self {
        Self {
            numbers: Numbers::default(),
            follower: Follower::default(),
            shared,
            file,
            live,
            export: None,
        }
    }

    /// Adds the state of the export by OTLP.
    #[must_use]
    pub fn with_export(self, counts: Option<Arc<Counts>>) -> Self {
        Self {
            export: counts,
            ..self
        }
    }

    fn leave(&mut self) {
        let live = *self.live.borrow();
        self.numbers.evidence.limit = Some(live.bounds.bytes);
        self.numbers.evidence.bytes = size(&self.file);
        self.numbers.export = self.export.as_ref().map(|counts| counts.now());
        self.shared.put(&self.numbers);
    }
}

/// Bytes of a database and its log of changes.
fn size(file: &Path) -> Option<u64> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = fs::metadata(log).map_or(0, |log| log.len());
    Some(fs::metadata(file).ok()?.len() + log)
}

impl Subscriber for Metrics {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Waiting { .. } => self.numbers.phase = Phase::Waiting,
            Update::Started(header) => {
                self.numbers.phase = Phase::Observing;
                self.numbers.backend = Some(header.backend);
                self.numbers.armed = header.armed;
            }
            Update::Interval(report) => {
                let filling = self.follower.see(report);
                let cardinality = self.live.borrow().cardinality;
                self.numbers.add(report, &filling, cardinality);
            }
            Update::Limit(_) => self.numbers.limit_changes += 1,
            Update::Finished(_) => self.numbers.phase = Phase::Finished,
            Update::Observer { .. }
            | Update::Netns(_)
            | Update::Refused(_)
            | Update::Listing(_)
            | Update::Captured(_) => {}
        }
        self.leave();
        Ok(())
    }

    fn fix(&mut self, fix: &Fix) -> Result<()> {
        self.numbers.fixes += u64::from(fix.kept().is_some());
        self.leave();
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        self.numbers.record(&recording.what);
        self.leave();
        Ok(())
    }
}
