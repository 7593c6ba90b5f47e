//! Takes the census of a table: of a running kernel, or of a copied tree.

use anyhow::{Context as _, Result};

use crate::{
    facts::root::Root,
    incident::{
        census::{Census, ESTABLISHED, in_doubt},
        evidence::Evidence,
        judge::worst,
        thresholds,
    },
    kernel::{
        defaults::TCP_TIMEOUT_ESTABLISHED,
        generation::Generation,
        netns::{Namespace, Namespaces},
    },
    table::{
        aggregate::{Aggregate, Circumstances, HEAVY_KEYS},
        entry::Rules,
        listing,
        owners::Owners,
        survey,
        timeouts::Timeouts,
    },
};

/// Looks who is in the table of a namespace; twice, where one look cannot tell.
pub fn at(namespace: &Namespace) -> Result<Census> {
    let owners = Owners::default();
    Ok(Census::of(&sums_at(namespace, &owners)?, &owners))
}

/// The table of a namespace added up, with addresses of these owners; looked at twice,
/// where one look cannot tell.
pub fn sums_at(namespace: &Namespace, owners: &Owners) -> Result<Aggregate> {
    survey::whole(namespace, owners, thresholds::IDLE, in_doubt)
}

/// The census of the table that is judged of several, if it is full or refuses
/// packets.
pub fn at_the_worst(namespaces: &[Evidence]) -> Result<Option<Census>> {
    let worst = worst(namespaces).filter(|worst| worst.matters());
    let Some(inode) = worst.and_then(|worst| worst.netns.inode) else {
        return Ok(None);
    };
    let found = Namespaces::discover()?;
    let namespace = found
        .by_inode(inode)
        .context("the network namespace is gone")?;
    at(namespace).map(Some)
}

/// The census of the table that a copied tree lists; none if it lists no entry.
pub fn at_tree(root: &Root) -> Option<Census> {
    let listing = Generation::ALL
        .iter()
        .find_map(|generation| root.read(generation.table_file()).ok().flatten())?;
    let timeouts = Timeouts::resolve(|name| {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        let old = format!("/proc/sys/net/ipv4/netfilter/ip_conntrack_{name}");
        let found = [path, old]
            .iter()
            .find_map(|path| root.read(path).ok().flatten());
        let text = found.map(|found| String::from_utf8_lossy(&found.content).into_owned());
        // What the kernel begins with, if the copy does not have it.
        text.or_else(|| (name == ESTABLISHED).then(|| TCP_TIMEOUT_ESTABLISHED.to_string()))
    });
    let mut sums = Aggregate::new(Circumstances {
        rules: Rules::of((0, 0)),
        timeouts,
        now: 0,
        idle_after: thresholds::IDLE,
        keys: HEAVY_KEYS,
    });
    let none = Owners::default();
    listing::read(listing.content.as_slice(), &mut |entry| {
        sums.add(entry, &none);
    })
    .ok()?;
    (sums.entries > 0).then(|| Census::of(&sums, &none))
}
