//! What the kernel log says of full tables while the counters are followed.

use anyhow::Result;
use serde::Serialize;

use crate::{
    kernel::{kmsg::KernelLog, message::Message},
    observe::check::counter_history::FullTables,
};

/// The kernel log, or why it cannot be read.
pub(crate) enum Log {
    Open(KernelLog, Logged),
    Closed(String),
}

/// What the kernel log has said since the start, about any namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// Lines about a full table.
    pub lines: u64,
    /// Network messages that the kernel says it has suppressed, of conntrack or of
    /// others.
    pub suppressed: u64,
    /// Records that were overwritten before they could be read, at least.
    pub lost: u64,
}

impl Log {
    pub(crate) fn open() -> Self {
        match KernelLog::open() {
            Ok(log) => Self::Open(log, Logged::default()),
            Err(error) => Self::Closed(format!("{error:#}")),
        }
    }

    /// What it has said since it was opened; none if it cannot be read.
    pub(crate) const fn logged(&self) -> Option<Logged> {
        match self {
            Self::Open(_, logged) => Some(*logged),
            Self::Closed(_) => None,
        }
    }

    /// The tables that it has said were full, since the last time.
    pub(crate) fn read(&mut self) -> Result<FullTables> {
        let mut full = FullTables::default();
        if let Self::Open(log, logged) = self {
            log.read(|record| match Message::parse(record.text) {
                Some(Message::TableFull { netns, .. }) => {
                    logged.lines += 1;
                    match netns {
                        Some(netns) => full.named.extend([netns]),
                        None => full.unnamed = true,
                    }
                }
                Some(Message::Suppressed { messages, .. }) => logged.suppressed += messages,
                _ => {}
            })?;
            logged.lost = log.lost();
        }
        Ok(full)
    }
}
