//! Observes by the kernel's counters and its log, without any program.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};

use crate::{
    kernel::{
        limits::Limits,
        module,
        netns::{self, Namespaces},
    },
    observe::{
        arming::Arm,
        backend::Backend,
        check::{
            counter::Counter,
            counter_history::{CounterHistory, Look},
            growth::{FollowedCounters, same_refusals},
        },
        counts::{
            health::{Faults, Missed, RunsByProgram},
            senders::Senders,
            totals::TotalsByNetns,
        },
        observer::{
            event::Event,
            log::Log,
            snapshot::{Setup, Snapshot},
        },
        survey::unusable::Unusable,
    },
    say::number::counted,
};

/// The module that has the counters, where it is one.
const MODULE: &str = "nf_conntrack";

/// How often namespaces are looked for: no program tells of a new one.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Follows counters and log.
pub struct CounterObserver {
    unusable: Vec<Unusable>,
    followed: FollowedCounters,
    history: CounterHistory,
    log: Log,
    /// Namespaces whose counters could not be read at the start.
    unreadable: usize,
    /// Which load of conntrack the counters are of; none if it is not loaded.
    instance: Option<u64>,
}

impl CounterObserver {
    /// Follows them from now on. `unusable` are the better
    /// backends.
    pub(crate) fn start(unusable: Vec<Unusable>, mut followed: FollowedCounters) -> Result<Self> {
        // Before the counters, which move after the log has said so.
        let log = Log::open();
        followed.look_again_after(LOOK_AGAIN);
        followed.begin();
        let readable = followed.counters().len();
        ensure!(
            readable > 0,
            "the counters of no network namespace can be read: {}",
            netns::why_not_entered()
        );
        let mut observer = Self {
            unusable,
            unreadable: followed.namespaces().list.len().saturating_sub(readable),
            followed,
            history: CounterHistory::default(),
            log,
            instance: module::instance(MODULE),
        };
        observer.check()?;
        Ok(observer)
    }

    pub(crate) fn namespaces(&self) -> Arc<Namespaces> {
        self.followed.namespaces()
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup {
            backend: Backend::Counters,
            not_used: self.unusable.clone(),
            arm: Arm::Always,
            armed: true,
            warnings: self.warnings(),
        }
    }

    pub(crate) fn snapshot(&self, of: impl Fn(u32) -> bool) -> Snapshot {
        let drops = self.history.drops().into_iter();
        Snapshot {
            backend: Backend::Counters,
            armed: true,
            totals: TotalsByNetns::new(),
            drops_by_counters: drops.filter(|&(netns, _)| of(netns)).collect(),
            verdict: self.history.verdict(&of),
            growth: self.history.growth(&of),
            range: Some(self.history.range(&of)),
            unchecked: 0,
            missed: Missed::default(),
            runs: RunsByProgram::default(),
            faults: Faults::default(),
            entries: self.followed.entries(),
            logged: self.log.logged(),
            namespaces: self.namespaces(),
            senders: Senders::default(),
        }
    }

    /// What this backend cannot know, each as a sentence for the user.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = vec![
            "kernel counters name no flow, and prove a reason only together with the limit or the \
             kernel log; the rest is counted as other"
                .to_owned(),
        ];
        if !self
            .history
            .growth(|_| true)
            .contains_key(&Counter::ClashResolve)
        {
            warnings.push(
                "this kernel counts resolved clashes as insert_failed, too, so packets that move only \
                 this counter are not counted as lost"
                    .to_owned(),
            );
        }
        if let Log::Closed(why) = &self.log {
            warnings.push(format!(
                "{why}; a full table is recognised by the limit alone"
            ));
        }
        if self.unreadable > 0 {
            warnings.push(format!(
                "the counters of {} cannot be read: {}",
                counted(self.unreadable as u64, "network namespace"),
                netns::why_not_entered()
            ));
        }
        warnings.extend_from_slice(&self.namespaces().warnings);
        warnings
    }

    /// Notices that the module was unloaded or loaded again, with counters that
    /// begin at zero.
    pub(crate) fn tick(&mut self) -> Option<Event> {
        let instance = module::instance(MODULE);
        if instance == self.instance {
            return None;
        }
        self.instance = instance;
        self.followed.restart();
        Some(match instance {
            Some(_) => Event::Attached,
            None => Event::Unloaded,
        })
    }

    /// Reads counters and log as they are now.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.followed.refresh(std::iter::empty())?;
        let first = self.followed.counters();
        let second = self.followed.counters();
        // The kernel logs a full table before it counts the packet: what the
        // counters show has been said by now.
        let said_full = self.log.read()?;
        // Without it the log alone tells of a full table.
        let max = Limits::read().ok().and_then(|limits| limits.max);
        for (netns, counters) in first {
            let quiet = second
                .get(&netns)
                .is_some_and(|second| same_refusals(&counters, second));
            let entries = counters.entries;
            let look = Look {
                growth: &self.followed.record(netns, counters),
                entries,
                max,
                quiet,
            };
            self.history.look(netns, &look, &said_full);
        }
        Ok(())
    }
}
