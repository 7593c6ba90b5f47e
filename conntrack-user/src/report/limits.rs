//! The limit over time, and what becomes of it after a boot and the like.

use serde_json::Value;

use crate::{
    report::{
        evidence::{Evidence, time},
        model::{LimitChange, Limits, Outcome, Survives},
    },
    store::record::Survival,
};

/// Changes of the limit, and what survives before and after them.
pub(super) fn limits(evidence: &Evidence) -> Limits {
    let record = &evidence.record;
    let changes = record.limits.iter().map(|change| LimitChange {
        time: time(change.at.wall),
        max_before: change.max_before,
        max: change.max,
        buckets_before: change.buckets_before,
        buckets: change.buckets,
        made_by: change.made_by.clone(),
    });
    let (before, after) = match &record.survivals[..] {
        [] => (None, None),
        [only] => (Some(survives(only)), None),
        [first, .., last] => (Some(survives(first)), Some(survives(last))),
    };
    Limits {
        changes: changes.collect(),
        before,
        after,
    }
}

fn survives(survival: &Survival) -> Survives {
    let body: Value = serde_json::from_str(&survival.body).unwrap_or_default();
    let outcome = |max, event: &str| Outcome {
        max,
        because: body[event]["because"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    let caveats = body["caveats"].as_array();
    let caveats = caveats.into_iter().flatten().filter_map(Value::as_str);
    Survives {
        time: time(survival.at.wall),
        max: survival.in_force.map(|(max, _)| max),
        buckets: survival.in_force.map(|(_, buckets)| buckets),
        boot: outcome(survival.boot, "boot"),
        service_restart: outcome(survival.restart, "service_restart"),
        module_reload: outcome(survival.reload, "module_reload"),
        caveats: caveats.map(ToOwned::to_owned).collect(),
    }
}
