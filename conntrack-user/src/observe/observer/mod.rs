//! Where ctdrop stands on the ladder: on programs in the kernel, or on its
//! counters alone.

pub mod by_counters;
pub mod by_programs;
pub mod event;
pub mod options;

use std::future;

use anyhow::{Context as _, Result};

use crate::{
    kernel::netns::Namespaces,
    observe::{
        arming::Arm,
        backend::Backend,
        check::{counter::Growth, evidence::Range, verdict::Verdict},
        counts::{
            health::{Faults, Missed},
            senders::Senders,
            sink::Sink,
            totals::TotalsByNetns,
        },
        observer::{
            by_counters::{CountersOnly, Logged},
            by_programs::ProgramObserver,
            event::Event,
            options::Wanted,
        },
        survey::ladder::{NoneHolds, NotUsed, conntrack_is_loaded},
    },
};

/// What observes.
pub enum Observer {
    /// Programs, which see each refused packet.
    Programs(Box<ProgramObserver>),
    /// The counters of the kernel, and its log.
    Counters(Box<CountersOnly>),
}

static NO_TOTALS: TotalsByNetns = TotalsByNetns::new();

impl Observer {
    /// Takes the highest rung that this kernel allows, or the one wanted.
    pub fn take(wanted: Wanted) -> Result<Self> {
        conntrack_is_loaded()?;
        if wanted.backend == Some(Backend::Counters) {
            return CountersOnly::start(Vec::new())
                .map(Self::on_counters)
                .with_context(|| format!("backend {} does not work here", Backend::Counters));
        }
        match ProgramObserver::start(wanted) {
            Ok(observer) => Ok(Self::Programs(Box::new(observer))),
            Err(error) if wanted.backend.is_some() => Err(error),
            Err(error) => {
                let NoneHolds(not_used) = error.downcast()?;
                CountersOnly::start(not_used).map(Self::on_counters)
            }
        }
    }

    fn on_counters(counters: CountersOnly) -> Self {
        Self::Counters(Box::new(counters))
    }

    /// The rung.
    pub const fn backend(&self) -> Backend {
        match self {
            Self::Programs(observer) => observer.backend(),
            Self::Counters(_) => Backend::Counters,
        }
    }

    /// The rungs above, and why each is not used.
    pub fn not_used(&self) -> &[NotUsed] {
        match self {
            Self::Programs(observer) => observer.not_used(),
            Self::Counters(counters) => counters.not_used(),
        }
    }

    /// The namespaces of this host, as last discovered.
    pub const fn namespaces(&self) -> &Namespaces {
        match self {
            Self::Programs(observer) => observer.namespaces(),
            Self::Counters(counters) => counters.namespaces(),
        }
    }

    /// What cannot be seen from here, each as a sentence for the user.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Programs(observer) => observer.warnings(),
            Self::Counters(counters) => counters.warnings(),
        }
    }

    /// When the programs are attached that run for each new flow.
    pub const fn arm(&self) -> Arm {
        match self {
            Self::Programs(observer) => observer.arm(),
            Self::Counters(_) => Arm::Always,
        }
    }

    /// Whether refusals are seen as well as they can be from this rung, at this
    /// moment.
    pub fn is_armed(&self) -> bool {
        match self {
            Self::Programs(observer) => observer.is_armed(),
            Self::Counters(_) => true,
        }
    }

    /// The processes that sent packets which were refused.
    pub const fn senders(&self) -> &Senders {
        match self {
            Self::Programs(observer) => observer.senders(),
            Self::Counters(counters) => counters.senders(),
        }
    }

    /// See [`ProgramObserver::pressure`].
    pub async fn pressure(&mut self) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.pressure().await,
            Self::Counters(_) => future::pending().await,
        }
    }

    /// See [`ProgramObserver::tick`].
    pub fn tick(&mut self, sink: &mut impl Sink) -> Result<Option<Event>> {
        match self {
            Self::Programs(observer) => observer.tick(sink),
            Self::Counters(counters) => Ok(counters.tick()),
        }
    }

    /// See [`ProgramObserver::drain`].
    pub fn drain(&mut self, sink: &mut impl Sink) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.drain(sink),
            Self::Counters(_) => Ok(()),
        }
    }

    /// Looks at the kernel's counters as they are now.
    pub fn look(&mut self) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.look(),
            Self::Counters(counters) => counters.look(),
        }
    }

    /// What the programs counted, of all that was drained.
    pub const fn totals(&self) -> &TotalsByNetns {
        match self {
            Self::Programs(observer) => observer.totals(),
            Self::Counters(_) => &NO_TOTALS,
        }
    }

    /// What the programs have counted until now, drained or not.
    pub fn totals_now(&self) -> Result<TotalsByNetns> {
        match self {
            Self::Programs(observer) => observer.totals_now(),
            Self::Counters(_) => Ok(TotalsByNetns::new()),
        }
    }

    /// Has [`Self::pressure`] end with the next sign of pressure, though there was
    /// one before.
    pub fn listen(&mut self) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.listen(),
            Self::Counters(_) => Ok(()),
        }
    }

    /// What the looks so far prove, over the namespaces chosen.
    pub fn verdict(&self, of: impl Fn(u32) -> bool) -> Verdict {
        match self {
            Self::Programs(observer) => {
                observer
                    .ledger()
                    .verdict(observer.backend(), &observer.missed(), of)
            }
            Self::Counters(counters) => counters.evidence().verdict(of),
        }
    }

    /// Growth of the kernel's counters, over the namespaces chosen.
    pub fn growth(&self, of: impl Fn(u32) -> bool) -> Growth {
        match self {
            Self::Programs(observer) => observer.ledger().growth(of),
            Self::Counters(counters) => counters.evidence().growth(of),
        }
    }

    /// How many packets were lost, where only counters tell.
    pub fn range(&self, of: impl Fn(u32) -> bool) -> Option<Range> {
        match self {
            Self::Programs(_) => None,
            Self::Counters(counters) => Some(counters.evidence().range(of)),
        }
    }

    /// Packets lost by namespace, where only counters tell.
    pub fn drops_by_counters(&self) -> Vec<(u32, u64)> {
        match self {
            Self::Programs(_) => Vec::new(),
            Self::Counters(counters) => counters.evidence().drops().into_iter().collect(),
        }
    }

    /// What the kernel log has said, where it is read.
    pub const fn logged(&self) -> Option<Logged> {
        match self {
            Self::Programs(_) => None,
            Self::Counters(counters) => counters.logged(),
        }
    }

    /// See [`ProgramObserver::missed`].
    pub fn missed(&self) -> Missed {
        match self {
            Self::Programs(observer) => observer.missed(),
            Self::Counters(_) => Missed::default(),
        }
    }

    /// See [`ProgramObserver::unchecked`].
    pub fn unchecked(&self, of: impl Fn(u32) -> bool) -> u64 {
        match self {
            Self::Programs(observer) => observer.unchecked(of),
            Self::Counters(_) => 0,
        }
    }

    /// See [`ProgramObserver::faults`].
    pub fn faults(&self) -> Result<Faults> {
        match self {
            Self::Programs(observer) => observer.faults(),
            Self::Counters(_) => Ok(Faults::default()),
        }
    }

    /// Ends the observation; see [`ProgramObserver::stop`].
    pub fn stop(&mut self, sink: &mut impl Sink) -> Result<()> {
        match self {
            Self::Programs(observer) => observer.stop(sink),
            Self::Counters(counters) => counters.look(),
        }
    }
}
