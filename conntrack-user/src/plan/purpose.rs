//! What a change of a file is for.

use std::fmt;

use crate::{say::number::number, survival::Event};

/// Why a file is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The line decides the limit after this.
    Decides(Event),
    /// The line has no effect.
    Ineffective,
    /// The limit is set when this happens.
    Sets(Event),
    /// The module starts with these buckets.
    ModuleOption {
        /// How many.
        buckets: u64,
    },
    /// The module is loaded before settings are applied at boot.
    LoadEarly,
    /// Settings are applied whenever the module is loaded.
    Udev,
    /// The line would make fewer buckets.
    FewerBuckets,
    /// There is no module that could have an option.
    BuiltIn,
    /// The names of one variable are set in no order.
    NoOrder,
    /// A backup decides until now.
    Backup,
    /// Another line overrides this one.
    Overridden,
    /// The start of this service sets the limit.
    ServiceSets(&'static str),
    /// Conntrack is loaded when this service sets the limit.
    ServiceLoads(&'static str),
}

/// All that a file is changed for; what it sets the limit at is one sentence.
pub(crate) fn sentences(purposes: &[Purpose]) -> Vec<String> {
    let sets = purposes.iter().filter_map(|purpose| match purpose {
        Purpose::Sets(event) => Some(event),
        _ => None,
    });
    let mut events: Vec<&Event> = sets.collect();
    events.sort_by_key(|event| match event {
        Event::Boot => 0,
        Event::Restart(_) => 1,
        Event::Reload => 2,
    });
    let events: Vec<String> = events.into_iter().map(ToString::to_string).collect();
    let mut sentences: Vec<String> = purposes
        .iter()
        .filter(|purpose| !matches!(purpose, Purpose::Sets(_)))
        .map(ToString::to_string)
        .collect();
    if !events.is_empty() {
        sentences.push(format!(
            "this sets the limit at {}",
            events.join(" and at ")
        ));
    }
    sentences
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decides(event) => write!(f, "this line decides the limit after {event}"),
            Self::Ineffective => f.write_str(
                "the old line has no effect on this kernel, or for the program that reads it",
            ),
            Self::Sets(event) => write!(f, "this sets the limit at {event}"),
            Self::ModuleOption { buckets } => write!(
                f,
                "the module then starts with {} buckets and a limit of 8 times that, whatever loads \
                 it",
                number(*buckets)
            ),
            Self::LoadEarly => f.write_str(
                "this loads the module at boot, before settings are applied",
            ),
            Self::Udev => f.write_str("this sets the limit whenever the module is loaded"),
            Self::FewerBuckets => f.write_str("with fewer buckets, hash chains get too long"),
            Self::BuiltIn => f.write_str(
                "conntrack is built into this kernel, so there is no module option",
            ),
            Self::NoOrder => f.write_str(
                "this version of systemd-sysctl applies different names of the limit in no fixed order, so \
                 all of them must set the same value",
            ),
            Self::Backup => f.write_str("the limit must not depend on a backup file"),
            Self::Overridden => f.write_str("another line overrides this one"),
            Self::ServiceSets(service) => {
                write!(f, "the start of {service} then sets the limit again")
            }
            Self::ServiceLoads(service) => write!(
                f,
                "{service} must load conntrack before it sets the limit, but no saved rule loads it"
            ),
        }
    }
}
