//! The incidents: what was diagnosed, what shows it, and what speaks against it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    incident::{Kind, words},
    report::{
        evidence::{Evidence, length, time},
        model::{Incident, Remedy},
    },
    store::incident,
};

/// The incidents, in order of time.
pub(super) fn incidents(evidence: &Evidence) -> Vec<Incident> {
    let looked = |id| {
        let mut censuses = evidence.record.censuses.iter();
        censuses.any(|census| census.incident == id)
    };
    let all = evidence.record.incidents.iter();
    all.map(|incident| self::incident(incident, looked(incident.id)))
        .collect()
}

fn incident(incident: &incident::Incident, looked: bool) -> Incident {
    let body: Value = serde_json::from_str(&incident.body).unwrap_or_default();
    let drops: BTreeMap<String, u64> = serde_json::from_str(&incident.drops).unwrap_or_default();
    let (evidence, mut against) = signs(&incident.kind, &body);
    if !looked {
        against.push("ctdrop did not read the table during this incident".to_owned());
    }
    let seconds = length(incident.last.mono.saturating_sub(incident.opened.mono));
    Incident {
        incident: incident.id,
        netns_name: incident.netns_name.clone(),
        names: serde_json::from_value(body["netns"]["container"]["names"].clone()).ok(),
        since: time(incident.opened.wall),
        last: time(incident.last.wall),
        seconds: seconds.as_secs_f64(),
        closed: incident.closed.map(|(at, _)| time(at.wall)),
        closed_by: incident.closed.map(|(_, by)| by.as_str()),
        refused: incident.refused,
        drops,
        flows: incident.flows,
        entries: incident.entries,
        max: incident.max,
        kind: incident.kind.clone(),
        kind_text: kind_text(&incident.kind),
        confidence: incident.confidence.clone(),
        culprit: incident.culprit.clone(),
        evidence,
        against,
        remedies: remedies(&body),
    }
}

/// A kind in words.
fn kind_text(kind: &str) -> String {
    match serde_json::from_value::<Kind>(kind.into()) {
        Ok(known) => words::kind(known).to_owned(),
        Err(_) => kind.to_owned(),
    }
}

/// What shows it, and what speaks against it.
fn signs(kind: &str, body: &Value) -> (Vec<String>, Vec<String>) {
    let list = body["evidence"].as_array();
    let signs = list.into_iter().flatten().filter_map(|sign| {
        let text = sign["text"].as_str()?.to_owned();
        Some((sign["code"].as_str().unwrap_or_default(), text))
    });
    let (against, evidence): (Vec<_>, Vec<_>) =
        signs.partition(|(code, _)| speaks_against(kind, code));
    let texts = |signs: Vec<(&str, String)>| signs.into_iter().map(|(_, text)| text).collect();
    (texts(evidence), texts(against))
}

/// Whether a sign (docs/incidents.md) makes a kind less sure.
fn speaks_against(kind: &str, code: &str) -> bool {
    match code {
        "table_not_seen" | "too_few" | "filtered" | "counts_too_low" | "idle_unknown"
        | "other_timeout" | "one_look" | "lacks_counters" | "nothing_refused" => true,
        "replied" => matches!(kind, "flood" | "spoofed_flood"),
        "unreplied" | "unreplied_sources" | "idle" => kind == "undersized",
        "dropped_unexplained" => kind != "unknown",
        _ => false,
    }
}

fn remedies(body: &Value) -> Vec<Remedy> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = body["remedies"].as_array();
    list.into_iter()
        .flatten()
        .map(|remedy| {
            let commands = remedy["commands"].as_array();
            Remedy {
                what: text(&remedy["what"]),
                how: text(&remedy["how"]),
                commands: commands.into_iter().flatten().map(text).collect(),
            }
        })
        .collect()
}
