//! Which limit will be in force after a boot, after a restart of a firewall
//! service and after the module is loaded again, and which line decides it.
//!
//! All of it is a simulation over [`Facts`], so that it can be run on a tree as
//! it would be after some changes, too.

mod boot;
mod machine;
pub mod order;
mod restart;

use std::path::PathBuf;

use serde::Serialize;

use crate::facts::{Facts, Source};

/// What will be in force.
#[derive(Clone, Debug, Serialize)]
pub struct Survival {
    /// After a boot.
    pub boot: Outcome,
    /// After a restart of a firewall service: the worst of `services`.
    pub service_restart: Outcome,
    /// After the module is unloaded and loaded again.
    pub module_reload: Outcome,
    /// After a restart of each service that changes something.
    pub services: Vec<ServiceRestart>,
}

/// What a restart of a service leads to.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceRestart {
    /// The service.
    pub service: String,
    /// What will be in force.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What will be in force after something has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The limit; none if it cannot be told.
    pub value: Option<u64>,
    /// What decides it.
    pub because: Because,
    /// The buckets; none if they cannot be told.
    pub buckets: Option<u64>,
    /// What happens one after the other.
    pub steps: Vec<Step>,
    /// What this rests on, or could make it wrong, each as a sentence.
    pub caveats: Vec<String>,
}

/// What decides a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Because {
    /// The file, as a path inside the tree; none if no file does.
    pub file: Option<PathBuf>,
    /// The line in it.
    pub line: Option<u32>,
    /// The line's text; without a line, what decides in its place.
    pub text: String,
    /// Why it is this that decides, as a sentence.
    pub why: String,
}

impl Because {
    fn line(source: &Source, why: String) -> Self {
        Self {
            file: Some(source.file.clone()),
            line: Some(source.line),
            text: source.text.clone(),
            why,
        }
    }

    fn no_line(text: &str, why: String) -> Self {
        Self {
            file: None,
            line: None,
            text: text.to_owned(),
            why,
        }
    }
}

/// Something that happens to the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who does it.
    pub by: String,
    /// What it does.
    pub does: Action,
    /// The limit that is set, or was to be set.
    pub value: Option<u64>,
    /// The line that makes it do so.
    pub source: Option<Source>,
}

/// What can happen to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The module is loaded, with this limit.
    Loads,
    /// It is unloaded.
    Unloads,
    /// The limit is set.
    Sets,
    /// The limit was to be set, and conntrack was not loaded yet.
    TooEarly,
    /// The limit was to be set by a name or with a value that this kernel, or
    /// the program that reads the line, does not know.
    Refused,
}

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
    let worst = services
        .iter()
        .map(|service| &service.outcome)
        .min_by_key(|outcome| height(outcome.value));
    Survival {
        boot: booted.outcome(),
        service_restart: worst.cloned().unwrap_or_else(|| restart::none(&begin)),
        module_reload: restart::reload(&begin),
        services,
    }
}

/// For a comparison of limits: 0 is no limit, and what is not known is the
/// worst.
fn height(limit: Option<u64>) -> u64 {
    match limit {
        None => 0,
        Some(0) => u64::MAX,
        Some(limit) => limit,
    }
}
