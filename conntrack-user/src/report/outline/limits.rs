//! The limit and what survives, as blocks.

use crate::{
    report::{
        model::{Limits, Outcome, Survives},
        outline::block::{Block, table},
        sentences::moment,
    },
    say::number::{limit, number, optional},
};

pub(super) fn blocks(limits: &Limits) -> Vec<Block> {
    let mut blocks = Vec::new();
    let rows = limits.changes.iter().map(|change| {
        vec![
            moment(&change.time),
            limit(Some(change.max_before)),
            limit(Some(change.max)),
            number(change.buckets_before),
            number(change.buckets),
            change
                .made_by
                .clone()
                .unwrap_or_else(|| "unknown".to_owned()),
        ]
    });
    let head = [
        "time",
        "#limit before",
        "#limit after",
        "#buckets before",
        "#buckets after",
        "made by",
    ];
    match table("Changes of the limit", &head, rows.collect()) {
        Some(changes) => blocks.push(changes),
        None => blocks.push(Block::Text(
            "No change of the limit is recorded in this time.".to_owned(),
        )),
    }
    let Some(before) = &limits.before else {
        let none = "No prediction of the limit after a boot, a restart of the firewall or a reload of \
                    the module is recorded in this time.";
        blocks.push(Block::Text(none.to_owned()));
        return blocks;
    };
    blocks.extend(survives("First", before));
    if let Some(after) = &limits.after {
        blocks.extend(survives("Last", after));
    }
    blocks
}

fn survives(which: &str, survives: &Survives) -> Vec<Block> {
    let caption = format!(
        "{which} prediction: with the files of {}, and a limit of {} and {} buckets in force",
        moment(&survives.time),
        limit(survives.max),
        optional(survives.buckets)
    );
    let rows = [
        ("a boot", &survives.boot),
        ("a restart of the firewall", &survives.service_restart),
        ("a reload of the module", &survives.module_reload),
    ];
    let rows = rows.map(|(event, outcome)| row(event, outcome)).to_vec();
    let head = ["after", "#limit", "because"];
    let mut blocks: Vec<Block> = table(&caption, &head, rows).into_iter().collect();
    if !survives.caveats.is_empty() {
        blocks.push(Block::Text("Why the prediction may be wrong:".to_owned()));
        blocks.push(Block::List(survives.caveats.clone()));
    }
    blocks
}

fn row(event: &str, outcome: &Outcome) -> Vec<String> {
    vec![
        event.to_owned(),
        limit(outcome.max),
        outcome.because.clone(),
    ]
}
