//! What a daemon has to observe by, and what it has recorded.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::vm::DiskGuest;

/// The best backend that works for root.
pub(super) fn best_backend(host: &mut DiskGuest) -> Result<String> {
    let probe = host.succeed(["ctdrop", "probe", "-o", "json"])?;
    let probe: Value = serde_json::from_str(&probe)?;
    let backends = probe["backends"].as_array().context("no backends")?;
    let best = backends.iter().find(|it| it["works"] == true);
    let best = best.and_then(|it| it["backend"].as_str());
    best.map(ToOwned::to_owned).context("none works")
}

/// Refused packets of all incidents that `ctdrop incidents -o json` prints.
pub(super) fn refused_in(incidents: &str) -> Result<u64> {
    let incidents = incidents.lines().map(serde_json::from_str::<Value>);
    incidents
        .map(|incident| Ok(incident?["refused"].as_u64().unwrap_or(0)))
        .sum()
}
