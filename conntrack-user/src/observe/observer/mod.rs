//! What observes: programs in the kernel or, where none can be loaded, the kernel's
//! counters alone. What is found comes out as a [`Snapshot`].

pub mod by_counters;
pub mod by_programs;
pub mod event;
pub mod log;
pub mod options;
pub mod snapshot;

use std::{collections::BTreeMap, future, sync::Arc};

use anyhow::{Context as _, Result};
use conntrack_ebpf::capture::CapturedPacket;

use crate::{
    kernel::{netns::Namespaces, surroundings::Surroundings},
    observe::{
        arming::Arming,
        capture::Omitted,
        check::growth::FollowedCounters,
        counts::{sink::Sink, totals::TotalsByNetns},
        observer::{
            by_counters::CounterObserver,
            by_programs::{ProgramObserver, Using},
            event::Event,
            options::Wanted,
            snapshot::{Setup, Snapshot},
        },
        survey::{
            self, Survey,
            trial::{Trial, Works},
            unusable::Unusable,
        },
    },
};

/// Observes, by the best backend that works on this host.
pub enum Observer {
    /// Programs, which see each refused packet.
    Programs(Box<ProgramObserver>),
    /// The counters of the kernel, and its log.
    Counters(Box<CounterObserver>),
}

impl Observer {
    /// Takes the best backend that works on this host, or the one wanted.
    pub fn start(wanted: Wanted) -> Result<Self> {
        let around = Arc::new(Surroundings::read());
        let mut followed = FollowedCounters::discover()?;
        followed.begin();
        let arming = Arming::new(wanted.arm);
        let mut trial = Trial::new(&around, arming.begins(followed.fill()), wanted.capture);
        let Survey { works, unusable } = survey::attach(&mut trial, wanted.backend, &around);
        match works {
            None if wanted.capture.is_some() => {
                Err(Unusable::error(&unusable)).context("no backend can copy packets on this host")
            }
            None => Err(Unusable::error(&unusable)),
            Some((backend, Works::Programs(attached))) => {
                // Before the programs count.
                followed.begin();
                let using = Using {
                    backend,
                    unusable,
                    attachment: trial.begin(attached)?,
                };
                let observer = ProgramObserver::start(wanted, using, arming, followed)?;
                Ok(Self::Programs(Box::new(observer)))
            }
            Some((_, Works::Counters)) => {
                let observer = CounterObserver::start(unusable, followed)?;
                Ok(Self::Counters(Box::new(observer)))
            }
        }
    }

    /// How it works.
    pub fn setup(&self) -> Setup {
        match self {
            Self::Programs(observer) => observer.setup(),
            Self::Counters(observer) => observer.setup(),
        }
    }

    /// Whether refusals are seen as well as this backend can see them, at this moment.
    pub fn is_armed(&self) -> bool {
        match self {
            Self::Programs(observer) => observer.is_armed(),
            Self::Counters(_) => true,
        }
    }

    /// Ends when the programs see pressure for the first time since they were
    /// attached or came to rest, or since [`Self::request_wake`]: time for a
    /// [`Self::tick`]. Without programs it does not end.
    pub async fn pressure(&mut self) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.pressure().await,
            Self::Counters(_) => future::pending().await,
        }
    }

    /// Has [`Self::pressure`] end with the next sign of pressure, though there was
    /// one before.
    pub fn request_wake(&mut self) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.request_wake(),
            Self::Counters(_) => Ok(()),
        }
    }

    /// Hands what was counted since the last time to `sink`, and follows pressure and
    /// the life of the conntrack module.
    pub fn tick(&mut self, sink: &mut impl Sink) -> Result<Option<Event>> {
        match self {
            Self::Programs(observer) => observer.tick(sink),
            Self::Counters(observer) => Ok(observer.tick()),
        }
    }

    /// Follows the life of the conntrack module alone, which costs little. What a module
    /// that goes had counted goes to `sink`.
    pub fn follow_module(&mut self, sink: &mut impl Sink) -> Result<Option<Event>> {
        match self {
            Self::Programs(observer) => observer.follow_module(sink),
            Self::Counters(observer) => Ok(observer.tick()),
        }
    }

    /// Hands what was counted since the last time to `sink`.
    pub fn drain(&mut self, sink: &mut impl Sink) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.drain(sink),
            Self::Counters(_) => Ok(()),
        }
    }

    /// Compares the counts with the kernel's counters as they are now.
    pub fn check(&mut self) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.check(),
            Self::Counters(observer) => observer.check(),
        }
    }

    /// What was found since the start, as of the last [`Self::drain`] and the last
    /// [`Self::check`], over the namespaces that `of` selects.
    pub fn snapshot(&self, of: impl Fn(u32) -> bool) -> Result<Snapshot> {
        match self {
            Self::Programs(observer) => observer.snapshot(of),
            Self::Counters(observer) => Ok(observer.snapshot(of)),
        }
    }

    /// What the programs have counted until now, drained or not.
    pub fn totals_now(&self) -> Result<TotalsByNetns> {
        match self {
            Self::Programs(observer) => observer.totals_now(),
            Self::Counters(_) => Ok(BTreeMap::new()),
        }
    }

    /// The refused packets that were copied since the last time.
    pub fn take_packets(&mut self) -> Result<Vec<CapturedPacket>> {
        match self {
            Self::Programs(observer) => observer.take_packets(),
            Self::Counters(_) => Ok(Vec::new()),
        }
    }

    /// How many refused packets were seen and not copied, since the start.
    pub fn omitted(&self) -> Result<Omitted> {
        match self {
            Self::Programs(observer) => observer.omitted(),
            Self::Counters(_) => Ok(Omitted::default()),
        }
    }

    /// The namespaces of this host, as last discovered.
    pub fn namespaces(&self) -> Arc<Namespaces> {
        match self {
            Self::Programs(observer) => observer.namespaces(),
            Self::Counters(observer) => observer.namespaces(),
        }
    }

    /// Ends the counting, hands what was counted until then to `sink`, and detaches
    /// the programs.
    pub fn stop(&mut self, sink: &mut impl Sink) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.stop(sink),
            Self::Counters(observer) => observer.check(),
        }
    }
}
