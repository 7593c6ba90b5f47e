//! What `--fix` did, with its changes.

use serde_json::Value;

use crate::{
    report::{
        evidence::{Evidence, time},
        model::{Fix, Step},
    },
    store::record,
};

/// What `--fix` did, in order.
pub(super) fn fixes(evidence: &Evidence) -> Vec<Fix> {
    evidence.record.fixes.iter().map(fix).collect()
}

fn fix(fix: &record::Fix) -> Fix {
    let body: Value = serde_json::from_str(&fix.body).unwrap_or_default();
    let id = body["id"].as_str();
    let list = body["steps"].as_array();
    let mut steps: Vec<Step> = list.into_iter().flatten().map(step).collect();
    steps.extend(raised(&body));
    let error = body["error"].as_str();
    let error = error.map_or_else(String::new, |error| format!(": {error}"));
    Fix {
        time: time(fix.at.wall),
        action: fix.action.clone(),
        text: format!("{}{error}", text(&fix.action)),
        undo: id.map(|id| format!("ctdrop undo {id}")),
        steps,
    }
}

/// What an action of docs/json.md means.
pub(super) fn text(action: &str) -> String {
    match action {
        "planned" => "ctdrop planned a fix and changed nothing",
        "raised" => "ctdrop raised the limit or the buckets of the running kernel",
        "kept" => "ctdrop saved the fix and made it last",
        "not_kept" => "ctdrop could not save the fix",
        "held" => "ctdrop left the limit as it is",
        "put_back" => "another program set the limit back",
        "backed_off" => "another program set the limit back again, so ctdrop stopped raising it",
        "taken_back" => "somebody has undone the fix",
        "failed" => "ctdrop could not raise the limit",
        other => other,
    }
    .to_owned()
}

fn step(step: &Value) -> Step {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let kind = text(&step["kind"]).unwrap_or_default();
    // Of a file, the change says both.
    let live = kind == "live";
    let value = |name: &str| text(&step[name]).filter(|_| live);
    Step {
        path: text(&step["path"]).unwrap_or_default(),
        before: value("before"),
        after: value("after"),
        why: text(&step["why"]).unwrap_or_default(),
        diff: text(&step["diff"]),
        kind,
    }
}

/// The values that the running kernel was given.
fn raised(body: &Value) -> Vec<Step> {
    let of = |name: &str, what: &str| {
        let (before, after) = (
            body["before"][what].as_u64()?,
            body["after"][what].as_u64()?,
        );
        (before != after).then(|| Step {
            kind: "live".to_owned(),
            path: name.to_owned(),
            before: Some(before.to_string()),
            after: Some(after.to_string()),
            ..Step::default()
        })
    };
    let buckets = of("nf_conntrack_buckets", "buckets");
    buckets
        .into_iter()
        .chain(of("nf_conntrack_max", "max"))
        .collect()
}
