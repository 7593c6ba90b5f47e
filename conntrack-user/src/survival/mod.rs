//! Which limit will be in force after a boot, after a restart of a firewall
//! service and after the module is loaded again, and which line decides it.
//!
//! All of it is a simulation over [`Facts`], so that it can be run on a tree as
//! it would be after some changes, too.

mod boot;
mod machine;
pub mod order;
mod origin;
mod outcome;
mod restart;
mod settings;
mod starting;
mod words;

pub use crate::survival::{
    origin::{Actor, Caveat, MissedSetting, ModuleLoad, Origin},
    outcome::{Action, Event, Outcome, ServiceRestart, Step, Survival},
};
use crate::{facts::Facts, kernel::limits::comparable};

/// What is in force before a restart or a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// What a boot leads to.
    AfterBoot,
    /// This.
    Now {
        /// The limit.
        max: u64,
        /// The buckets.
        buckets: Option<u64>,
    },
}

impl Start {
    /// What is in force, if the facts tell; what a boot leads to otherwise.
    pub fn of(facts: &Facts) -> Self {
        match facts.numbers.limits.max {
            Some(max) => Self::Now {
                max,
                buckets: facts.numbers.limits.buckets,
            },
            None => Self::AfterBoot,
        }
    }
}

/// Simulates a boot, restarts and a reload.
pub fn simulate(facts: &Facts, start: Start) -> Survival {
    let booted = boot::boot(facts);
    let begin = match start {
        Start::AfterBoot => booted.again(),
        Start::Now { max, buckets } => machine::Machine::in_force(facts, max, buckets),
    };
    let services = restart::services(&begin);
    // An outcome that is not known is the worst.
    let worst = services
        .iter()
        .map(|service| &service.outcome)
        .min_by_key(|outcome| outcome.value.map_or(0, comparable));
    Survival {
        boot: booted.outcome(),
        service_restart: worst.cloned().unwrap_or_else(|| restart::none(&begin)),
        module_reload: restart::reload(&begin),
        services,
    }
}
