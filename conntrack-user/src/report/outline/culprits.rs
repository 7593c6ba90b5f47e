//! Who filled the table, as blocks.

use crate::{
    report::{
        model::{Census, Share},
        outline::block::{Block, table},
        sentences::moment,
    },
    say::number::{counted_entries, number, share},
};

pub(super) fn blocks(censuses: &[Census]) -> Vec<Block> {
    let Some(fullest) = censuses.iter().max_by_key(|census| census.entries) else {
        let none = "Unknown: ctdrop did not read the table in this time.";
        return vec![Block::Text(none.to_owned())];
    };
    let looks = censuses.iter().map(look).collect();
    let head = [
        "time",
        "incident",
        "why ctdrop read it",
        "#entries",
        "#without a reply",
        "#established",
        "#idle",
        "#unknown whether idle",
    ];
    let mut blocks: Vec<Block> = table("When ctdrop read the table", &head, looks)
        .into_iter()
        .collect();
    blocks.push(Block::Text(format!(
        "The tables below are from the reading of {}, which found the most entries: {}. An \
         established TCP connection is idle if it had no packet for an hour or longer.",
        moment(&fullest.time),
        counted_entries(fullest.entries)
    )));
    if fullest.error_bound > 0 {
        blocks.push(Block::Text(format!(
            "Each count can be too low by up to {}.",
            counted_entries(fullest.error_bound)
        )));
    }
    for (caption, first, rows) in [
        ("By source", "source", &fullest.sources),
        ("By destination", "destination", &fullest.destinations),
        ("By service", "service", &fullest.services),
        ("By container, pod or namespace", "owner", &fullest.owners),
    ] {
        let rows = rows.iter().map(|row| shares(row, fullest.entries));
        let head = [
            first,
            "container, pod or namespace",
            "#entries",
            "#share",
            "#without a reply",
            "#idle",
        ];
        blocks.extend(table(caption, &head, rows.collect()));
    }
    blocks
}

fn look(census: &Census) -> Vec<String> {
    let cause = match census.cause.as_str() {
        "opened" => "the incident opened",
        "doubled" => "twice as many refused packets as at the last reading",
        "peak" => "packets refused twice as fast as at any reading before",
        other => other,
    };
    vec![
        moment(&census.time),
        census.incident.to_string(),
        cause.to_owned(),
        number(census.entries),
        number(census.unreplied),
        number(census.established),
        number(census.idle),
        number(census.idle_unknown),
    ]
}

fn shares(row: &Share, of: u64) -> Vec<String> {
    vec![
        row.key.clone(),
        row.owner.clone().unwrap_or_default(),
        number(row.entries),
        share(row.entries, of),
        number(row.unreplied),
        number(row.idle),
    ]
}
