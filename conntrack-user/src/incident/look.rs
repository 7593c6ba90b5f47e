//! Takes the census of a table: of a running kernel, or of a copied tree.

use std::{num::NonZero, path::Path, thread};

use anyhow::{Context as _, Result, bail};

use crate::{
    facts::root::Root,
    incident::{
        census::{Census, ESTABLISHED, in_doubt},
        evidence::Evidence,
        judge::worst,
        thresholds,
    },
    input::{file, progress::Silent},
    kernel::{
        generation::Generation,
        netns::{Namespace, Namespaces},
    },
    say::text::plain,
    table::{
        aggregate::{Aggregate, Circumstances, HEAVY_KEYS},
        entry::Rules,
        filter::Filter,
        owners::Owners,
        saved::{self, SAVED},
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

/// A saved table, with what it does not tell.
#[derive(Clone, Debug, Default)]
pub struct SavedTable {
    /// Its census; none if it has no entry.
    pub census: Option<Census>,
    /// What has to be known besides, each as a sentence.
    pub caveats: Vec<String>,
}

/// The table that was copied with a tree, or one that is `named`; none if there is
/// none.
pub fn at_tree(root: &Root, named: Option<&Path>) -> Result<Option<SavedTable>> {
    let copied = || {
        let found = Generation::ALL
            .iter()
            .find_map(|generation| root.resolve(generation.table_file()).ok().flatten())?;
        Some(root.path().join(found.strip_prefix("/").unwrap_or(&found)))
    };
    let Some(file) = named.map(Path::to_owned).or_else(copied) else {
        return Ok(None);
    };
    let sysctl = |name: &str| {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        let old = format!("/proc/sys/net/ipv4/netfilter/ip_conntrack_{name}");
        let found = [path, old]
            .iter()
            .find_map(|path| root.read(path).ok().flatten())?;
        Some(String::from_utf8_lossy(&found.content).into_owned())
    };
    let assumed = sysctl(ESTABLISHED).is_none();
    let circumstances = Circumstances {
        rules: Rules::of((0, 0)),
        timeouts: Timeouts::or_default(sysctl),
        now: SAVED,
        idle_after: thresholds::IDLE,
        keys: HEAVY_KEYS,
    };
    let shown = plain(&file.display().to_string());
    let advice = "name the file with the table";
    let (content, _) = file::open(&file, advice, "ctdrop status --root DIR --table /dev/stdin")?;
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let (sums, reading) = saved::add_up(
        content,
        threads,
        &Filter::default(),
        circumstances,
        assumed,
        &mut Silent,
    );
    if let Some(why) = saved::words::no_table(&reading, &shown) {
        bail!(why);
    }
    let census = (sums.entries > 0).then(|| Census::of(&sums, &Owners::default()));
    Ok(Some(SavedTable {
        census,
        caveats: saved::words::caveats(&reading, &shown),
    }))
}
