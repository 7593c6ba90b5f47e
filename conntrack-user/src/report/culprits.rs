//! Who was in the table, look by look.

use crate::{
    report::{
        evidence::{Evidence, time},
        model::{Census, Share},
    },
    store::incident,
};

/// How many looks of all incidents are shown: the first ones, and the last.
const LOOKS: usize = 12;

/// The looks into tables.
pub(super) fn censuses(evidence: &Evidence) -> Vec<Census> {
    let all = &evidence.record.censuses;
    let (first, last) = (all.iter().take(LOOKS), all.last());
    let last = last.filter(|_| all.len() > LOOKS);
    first.chain(last).map(census).collect()
}

fn census(census: &incident::Census) -> Census {
    let rows = |by: &str| -> Vec<Share> {
        let rows = census.rows.iter().filter(|row| row.by == by);
        rows.map(|row| Share {
            key: row.key.clone(),
            owner: row.owner.clone(),
            entries: row.entries,
            unreplied: row.unreplied,
            idle: row.idle,
        })
        .collect()
    };
    Census {
        incident: census.incident,
        time: time(census.at.wall),
        cause: census.cause.clone(),
        entries: census.entries,
        unreplied: census.unreplied,
        established: census.established,
        idle: census.idle,
        idle_unknown: census.idle_unknown,
        error_bound: census.error_bound,
        sources: rows("source"),
        destinations: rows("destination"),
        services: rows("service"),
        owners: rows("owner"),
    }
}
