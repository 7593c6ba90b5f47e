//! What `ctdrop status` says of a system, held against what then happens to it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::limit::{Outcomes, Survival};
use crate::vm::DiskGuest;

/// What decides a limit: a file and a line of it. None: no file does.
pub(super) type Place = Option<(&'static str, u64)>;

/// The exit codes of a monitoring plugin, by the state they stand for.
const CODES: [(&str, i32); 4] = [("ok", 0), ("warning", 1), ("critical", 2), ("unknown", 3)];

/// What `ctdrop status` says of the tree at `root`. Demands that its exit code says
/// the same.
pub(super) fn status(host: &mut DiskGuest, root: &str) -> Result<Value> {
    let command = ["ctdrop", "status", "-o", "json", "--interval", "200ms"];
    let ended = host.run(command.into_iter().chain(["--root", root]))?;
    let report: Value = serde_json::from_str(&ended.stdout)
        .with_context(|| format!("ctdrop status: {}", ended.stderr))?;
    let (_, code) = CODES
        .into_iter()
        .find(|(state, _)| report["state"] == *state)
        .with_context(|| format!("no such state: {}", report["state"]))?;
    ensure!(
        ended.code == Some(code),
        "{} with exit code {:?}",
        report["state"],
        ended.code
    );
    Ok(report)
}

/// Lets everything happen to a system. Demands that the limits are these, and that
/// `ctdrop status` has said so before, and what decides each.
pub(super) fn demand_outcomes(
    host: &mut DiskGuest,
    expected: &[(Survival, u64, Place)],
) -> Result<()> {
    let told = status(host, "/")?;
    let survives = &told["survives"];
    let outcomes = Outcomes::of(host)?;
    let limits: Vec<_> = expected
        .iter()
        .map(|&(what, limit, _)| (what, limit))
        .collect();
    ensure!(
        outcomes.limits == limits,
        "{:?}, expected {limits:?}",
        outcomes.limits
    );
    outcomes.demand(survives, "value")?;
    for (survival, _, place) in expected {
        demand_place(&survives[survival.name()]["because"], *place)
            .with_context(|| survival.name())?;
    }
    Ok(())
}

/// Demands that something happens as `ctdrop status` says before, and for the reason
/// that it names.
pub(super) fn demand_foretold(host: &mut DiskGuest, what: Survival, place: Place) -> Result<u64> {
    let told = status(host, "/")?;
    let limit = what.happen(host)?;
    let outcomes = Outcomes {
        limits: vec![(what, limit)],
    };
    outcomes.demand(&told["survives"], "value")?;
    demand_place(&told["survives"][what.name()]["because"], place)?;
    Ok(limit)
}

/// Demands that a limit is decided there.
pub(super) fn demand_place(because: &Value, place: Place) -> Result<()> {
    let told = (because["file"].as_str(), because["line"].as_u64());
    let expected = (place.map(|(file, _)| file), place.map(|(_, line)| line));
    ensure!(
        told == expected,
        "decided by {told:?}, which is to be {expected:?}: {because}"
    );
    Ok(())
}
