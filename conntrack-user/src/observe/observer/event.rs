//! What changes about how well refusals are seen.

use serde::{Deserialize, Serialize};

/// What has changed about how well refusals are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Pressure: the programs that run for each new flow were attached.
    Armed,
    /// Calm: they were detached.
    AtRest,
    /// The conntrack module was unloaded, and the programs with it.
    Unloaded,
    /// Nobody else needs the conntrack module, so the programs were detached.
    Released,
    /// The programs were attached again: the module is loaded, or needed.
    Attached,
}
