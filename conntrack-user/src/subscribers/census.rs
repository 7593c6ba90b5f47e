//! Who is in the table of a namespace, now. A dump of a large table takes seconds, and so
//! does waiting for the second look.

use anyhow::{Context as _, Result};

use crate::{
    incident::{Census, census::Service, look, words},
    kernel::netns::Namespaces,
    store::incident::CensusRow,
    table::{
        aggregate::Aggregate,
        entry::Address,
        heavy_hitters::{Count, HeavyHitters},
        owners::Owners,
    },
};

/// Rows of each kind.
const ROWS: usize = 10;

/// What a look has found.
#[derive(Clone, Debug)]
pub struct Taken {
    /// For the diagnosis.
    pub census: Census,
    /// Who has the most entries.
    pub rows: Vec<CensusRow>,
}

/// Looks at the table of a namespace of this host.
pub fn take(netns: u32) -> Result<Taken> {
    let found = Namespaces::discover()?;
    let namespace = found
        .by_inode(netns)
        .context("the network namespace is gone")?;
    let owners = Owners::find(&found).seen_from(netns);
    let sums = look::sums_at(namespace, &owners)?;
    Ok(Taken {
        census: Census::of(&sums, &owners),
        rows: rows(&sums, &owners),
    })
}

/// Who has the most entries.
fn rows(sums: &Aggregate, owners: &Owners) -> Vec<CensusRow> {
    let places = |by: &'static str, group: &HeavyHitters<Address>| {
        let (top, _) = group.top(ROWS);
        let rows = top.into_iter().map(move |(address, count)| {
            row(by, address.ip().to_string(), owners.of(address), count)
        });
        rows.collect::<Vec<_>>()
    };
    let mut rows = places("source", &sums.sources);
    rows.extend(places("destination", &sums.destinations));
    let (services, _) = sums.services.top(ROWS);
    rows.extend(services.into_iter().map(|(service, count)| {
        let owner = owners.of(service.address);
        row(
            "service",
            words::service(Service::of(service)),
            owner,
            count,
        )
    }));
    let mut by_owner: Vec<(&u32, &Count)> = sums.owners.iter().collect();
    by_owner.sort_by_key(|(_, count)| std::cmp::Reverse(count.entries));
    rows.extend(
        by_owner
            .into_iter()
            .take(ROWS)
            .filter_map(|(&index, count)| {
                let name = owners.name(index)?;
                Some(row("owner", name.to_owned(), None, *count))
            }),
    );
    rows
}

fn row(by: &str, key: String, owner: Option<&str>, count: Count) -> CensusRow {
    CensusRow {
        by: by.to_owned(),
        key,
        owner: owner.map(ToOwned::to_owned),
        entries: count.entries.into(),
        unreplied: count.unreplied.into(),
        idle: count.idle.into(),
    }
}
