//! Why packets were refused, as blocks.

use crate::{
    report::{
        model::Incident,
        outline::block::{Block, table},
        sentences::moment,
    },
    say::number::{limit, number, optional},
};

/// How many incidents are explained in full, those with the most refused packets.
const EXPLAINED: usize = 10;

/// How many are listed.
const LISTED: usize = 200;

pub(super) fn blocks(incidents: &[Incident]) -> Vec<Block> {
    let mut blocks = Vec::new();
    if incidents.is_empty() {
        let none = "No incident is recorded in this time.";
        return vec![Block::Text(none.to_owned())];
    }
    if incidents.len() > 1 {
        let rows = incidents.iter().take(LISTED).map(row).collect();
        let head = [
            "incident",
            "since",
            "network namespace",
            "#refused",
            "kind",
            "culprit",
        ];
        blocks.extend(table("Incidents in this time", &head, rows));
    }
    let mut worst: Vec<&Incident> = incidents.iter().collect();
    worst.sort_by_key(|incident| std::cmp::Reverse(incident.refused));
    worst.truncate(EXPLAINED);
    worst.sort_by_key(|incident| incident.incident);
    for incident in worst {
        blocks.extend(explained(incident));
    }
    blocks
}

fn row(incident: &Incident) -> Vec<String> {
    vec![
        incident.incident.to_string(),
        moment(&incident.since),
        incident.netns_name.clone(),
        number(incident.refused),
        incident.kind.clone(),
        incident.culprit.clone().unwrap_or_default(),
    ]
}

fn explained(incident: &Incident) -> Vec<Block> {
    let heading = format!("Incident {}: {}", incident.incident, incident.kind_text);
    let mut blocks = vec![Block::Heading(heading)];
    blocks.push(Block::Text(format!(
        "Kind: {}. Confidence: {}. Most entries: {}. Limit: {}.",
        incident.kind,
        sure(&incident.confidence),
        optional(incident.entries),
        limit(incident.max)
    )));
    if let Some(names) = &incident.names {
        let mut known: Vec<String> = names
            .container
            .iter()
            .map(|name| format!("container {name}"))
            .collect();
        known.extend(names.details());
        if !known.is_empty() {
            let text = format!(
                "The network namespace {}: {}.",
                incident.netns_name,
                known.join(", ")
            );
            blocks.push(Block::Text(text));
        }
    }
    let list = |title: &str, list: &[String], none: &str| {
        let list = if list.is_empty() {
            Block::Text(none.to_owned())
        } else {
            Block::List(list.to_vec())
        };
        [Block::Text(title.to_owned()), list]
    };
    let none = "Nothing is recorded.";
    blocks.extend(list("What shows it:", &incident.evidence, none));
    blocks.extend(list("What speaks against it:", &incident.against, none));
    let remedies: Vec<String> = incident
        .remedies
        .iter()
        .map(|remedy| match remedy.how.as_str() {
            "" => remedy.what.clone(),
            how => format!("{}: {how}", remedy.what),
        })
        .collect();
    let none = "ctdrop knows no remedy.";
    blocks.extend(list("What helps, the best remedy first:", &remedies, none));
    blocks
}

/// What docs/incidents.md says of a confidence.
fn sure(confidence: &str) -> String {
    match confidence {
        "certain" => "certain (the evidence allows no other cause)",
        "likely" => "likely (the evidence points to this cause)",
        "possible" => "possible (the evidence allows this cause and others)",
        other => other,
    }
    .to_owned()
}
