//! The host, and the starts of ctdrop on it.

use serde_json::Value;

use crate::{
    report::{
        evidence::{Evidence, time},
        model::{Host, Run},
    },
    store::record::PastRun,
};

/// The host, boot by boot.
pub(super) fn hosts(evidence: &Evidence) -> Vec<Host> {
    let mut hosts: Vec<(i64, Host)> = Vec::new();
    for run in &evidence.runs {
        let boot = run.began.boot;
        match hosts.last_mut() {
            Some((last, host)) if *last == boot => host.runs.push(self::run(run)),
            _ => hosts.push((boot, host(run))),
        }
    }
    hosts.into_iter().map(|(_, host)| host).collect()
}

fn host(run: &PastRun) -> Host {
    let boot = &run.boot;
    let facts: Value = serde_json::from_str(&boot.facts).unwrap_or_default();
    Host {
        host: boot.host.clone(),
        kernel: boot.kernel.clone(),
        distribution: facts["distribution"].as_str().map(ToOwned::to_owned),
        processors: facts["processors"].as_u64(),
        memory: facts["memory"].as_u64(),
        runs: vec![self::run(run)],
    }
}

fn run(run: &PastRun) -> Run {
    let start = run.known.start.as_deref();
    let start: Value = start
        .and_then(|start| serde_json::from_str(start).ok())
        .unwrap_or_default();
    let warnings = start["warnings"].as_array();
    let warnings = warnings.into_iter().flatten().filter_map(Value::as_str);
    Run {
        since: time(run.began.wall),
        until: run.known.ended.map(|at| time(at.wall)),
        version: run.version.clone(),
        backend: run.known.backend.clone(),
        warnings: warnings.map(ToOwned::to_owned).collect(),
    }
}
