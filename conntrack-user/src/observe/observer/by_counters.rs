//! The last rung: the kernel's counters and its log, and no program at all.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use crate::{
    kernel::{
        counters::Counters,
        kmsg::KernelLog,
        limits::Limits,
        message::Message,
        module,
        netns::{self, Namespaces},
    },
    observe::{
        check::{
            counter::Counter,
            evidence::{Evidence, Look, Said},
            growth::{Watched, same_refusals},
        },
        counts::senders::Senders,
        observer::event::Event,
        survey::ladder::NotUsed,
    },
};

/// The module that has the counters, where it is one.
const MODULE: &str = "nf_conntrack";

/// How often namespaces are looked for: no program tells of a new one.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Follows counters and log.
pub struct CountersOnly {
    not_used: Vec<NotUsed>,
    watched: Watched,
    evidence: Evidence,
    log: Log,
    /// Namespaces whose counters could not be read at the start.
    unreadable: usize,
    /// Which load of conntrack the counters are of; none if it is not loaded.
    instance: Option<u64>,
    /// Nobody: counters do not tell.
    senders: Senders,
}

/// The kernel log, or why it cannot be read.
enum Log {
    Open(KernelLog, Logged),
    Closed(String),
}

/// What the kernel log has said since the start, about any namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// Lines about a full table.
    pub lines: u64,
    /// Network messages that the kernel says it has kept back, of conntrack or
    /// of others.
    pub suppressed: u64,
    /// Records that were overwritten before they could be read, at least.
    pub lost: u64,
}

impl CountersOnly {
    /// Follows them from now on. `not_used` are the rungs above.
    pub(crate) fn start(not_used: Vec<NotUsed>) -> Result<Self> {
        let log = match KernelLog::open() {
            Ok(log) => Log::Open(log, Logged::default()),
            Err(error) => Log::Closed(format!("{error:#}")),
        };
        let mut watched = Watched::discover()?;
        watched.look_again_after(LOOK_AGAIN);
        watched.begin();
        let readable = watched.counters().len();
        ensure!(readable > 0, NO_COUNTERS);
        let mut observer = Self {
            not_used,
            unreadable: watched.namespaces().list.len().saturating_sub(readable),
            watched,
            evidence: Evidence::default(),
            log,
            instance: module::instance(MODULE),
            senders: Senders::default(),
        };
        observer.look()?;
        Ok(observer)
    }

    pub(crate) fn not_used(&self) -> &[NotUsed] {
        &self.not_used
    }

    pub(crate) const fn namespaces(&self) -> &Namespaces {
        self.watched.namespaces()
    }

    /// What this rung cannot know, each as a sentence for the user.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = vec![
            "the counters name no flow, and tell a reason only as far as the limit or the kernel \
             log bears it out; the rest is other"
                .to_owned(),
        ];
        if !self
            .evidence
            .growth(|_| true)
            .contains_key(&Counter::ClashResolve)
        {
            warnings.push(
                "this kernel counts clashes that were resolved as insert_failed, so packets lost \
                 to anything that moves no other counter are not told from them"
                    .to_owned(),
            );
        }
        if let Log::Closed(why) = &self.log {
            warnings.push(format!("{why}; a full table is told by the limit alone"));
        }
        if self.unreadable > 0 {
            warnings.push(format!(
                "the counters of {} network namespace{} cannot be read: {}",
                self.unreadable,
                if self.unreadable == 1 { "" } else { "s" },
                netns::why_not_entered()
            ));
        }
        warnings.extend_from_slice(&self.namespaces().warnings);
        warnings
    }

    pub(crate) const fn senders(&self) -> &Senders {
        &self.senders
    }

    /// Notices that the module was unloaded or loaded again, with counters that
    /// begin at zero.
    pub(crate) fn tick(&mut self) -> Option<Event> {
        let instance = module::instance(MODULE);
        if instance == self.instance {
            return None;
        }
        self.instance = instance;
        self.watched.restart();
        Some(match instance {
            Some(_) => Event::Attached,
            None => Event::Unloaded,
        })
    }

    /// Reads counters and log as they are now.
    pub(crate) fn look(&mut self) -> Result<()> {
        self.watched.refresh(std::iter::empty())?;
        let first = self.watched.counters();
        let second = self.watched.counters();
        // The kernel logs a full table before it counts the packet: what the
        // counters show has been said by now.
        let said = self.log.read()?;
        // Without it the log alone tells of a full table.
        let max = Limits::read().ok().and_then(|limits| limits.max);
        for (netns, counters) in first {
            let quiet = second
                .get(&netns)
                .is_some_and(|second| same_refusals(&counters, second));
            let entries = counters.entries;
            let look = Look {
                growth: &self.watched.record(netns, counters),
                entries,
                max,
                quiet,
            };
            self.evidence.look(netns, &look, &said);
        }
        Ok(())
    }

    /// What all looks so far show.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What the kernel log has said; none if it cannot be read.
    pub const fn logged(&self) -> Option<Logged> {
        match &self.log {
            Log::Open(_, logged) => Some(*logged),
            Log::Closed(_) => None,
        }
    }
}

impl Log {
    /// What it has said since the last time.
    fn read(&mut self) -> Result<Said> {
        let mut said = Said::default();
        if let Self::Open(log, logged) = self {
            log.read(|record| match Message::parse(record.text) {
                Some(Message::TableFull { netns, .. }) => {
                    logged.lines += 1;
                    match netns {
                        Some(netns) => said.full.extend([netns]),
                        None => said.some_full = true,
                    }
                }
                Some(Message::Suppressed { messages, .. }) => logged.suppressed += messages,
                _ => {}
            })?;
            logged.lost = log.lost();
        }
        Ok(said)
    }
}

/// Whether there are counters to follow, by those of the own namespace.
pub(crate) fn try_out() -> Result<()> {
    if Counters::read(Path::new("/proc/self/net/stat"))?.is_none() {
        bail!(NO_COUNTERS);
    }
    Ok(())
}

const NO_COUNTERS: &str = "conntrack's counters cannot be read (/proc/net/stat/nf_conntrack): the \
                           kernel has none (CONFIG_NF_CONNTRACK_PROCFS)";
