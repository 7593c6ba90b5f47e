//! What a boot, a restart or a reload leads to, and what decides it.

use std::fmt;

use serde::Serialize;

use crate::{
    facts::Source,
    survival::origin::{Actor, Caveat, Origin},
};

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

impl Survival {
    /// Why any of it may be wrong, each reason once.
    pub fn caveats(&self) -> Vec<&Caveat> {
        let mut caveats: Vec<&Caveat> = Vec::new();
        for (_, outcome) in self.outcomes() {
            for caveat in &outcome.caveats {
                if !caveats.contains(&caveat) {
                    caveats.push(caveat);
                }
            }
        }
        caveats
    }

    /// What everything that may happen leads to: a boot, a restart of each
    /// service, a reload.
    pub fn outcomes(&self) -> Vec<(Event, &Outcome)> {
        let restarts = self.services.iter().map(|restart| {
            let event = Event::Restart(restart.service.clone());
            (event, &restart.outcome)
        });
        let mut outcomes = vec![(Event::Boot, &self.boot)];
        outcomes.extend(restarts);
        outcomes.push((Event::Reload, &self.module_reload));
        outcomes
    }
}

/// What may happen to a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A boot.
    Boot,
    /// A restart of this service.
    Restart(String),
    /// The module is unloaded and loaded again.
    Reload,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot => f.write_str("a boot"),
            Self::Restart(service) => write!(f, "a restart of {service}"),
            Self::Reload => f.write_str("a reload of the module"),
        }
    }
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
    #[serde(rename = "because")]
    pub origin: Origin,
    /// The buckets; none if they cannot be told.
    pub buckets: Option<u64>,
    /// What happens one after the other.
    pub steps: Vec<Step>,
    /// Why it may be wrong, or is not complete.
    pub caveats: Vec<Caveat>,
}

/// Something that happens to the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Who does it.
    pub by: Actor,
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
