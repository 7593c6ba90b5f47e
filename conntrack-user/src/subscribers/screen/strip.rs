//! The namespaces that matter: how full their tables are, when they will be full, and
//! what was refused in them.

use std::collections::BTreeMap;

use crate::{engine::report::Report, incident::thresholds::is_full, subscribers::filling::Filling};

/// A table that has less than this in per cent of the limit, and refuses nothing, does not
/// matter unless it is the fullest.
const MATTERS: u64 = 25;

/// A network namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespace {
    pub(super) netns: u32,
    pub(super) name: String,
    /// None if they cannot be read.
    pub(super) entries: Option<u64>,
    /// Packets refused since the start.
    pub(super) refused: u64,
    /// When its table will be full.
    pub(super) filling: Option<Filling>,
}

/// All namespaces.
#[derive(Clone, Debug, Default)]
pub(super) struct Strip {
    /// The limit in force; none if it is not known.
    pub(super) max: Option<u64>,
    all: BTreeMap<u32, Namespace>,
}

impl Strip {
    /// Takes in an interval, and the tables that fill.
    pub(super) fn take(&mut self, report: &Report, filling: &[Filling]) {
        self.max = report.limit.as_ref().map(|limit| limit.table.max);
        self.all
            .retain(|netns, known| known.refused > 0 || report.entries.contains_key(netns));
        for known in self.all.values_mut() {
            known.entries = None;
            known.filling = None;
        }
        for (&netns, &entries) in &report.entries {
            self.named(netns, report).entries = Some(entries);
        }
        for (&netns, &refused) in &report.figures.by_netns {
            if refused > 0 {
                self.named(netns, report).refused += refused;
            }
        }
        for filling in filling {
            self.named(filling.netns, report).filling = Some(filling.clone());
        }
    }

    fn named(&mut self, netns: u32, report: &Report) -> &mut Namespace {
        let known = self.all.entry(netns).or_default();
        known.netns = netns;
        let name = name(netns, report);
        if known.name.is_empty() || name.is_some() {
            known.name = name.unwrap_or_else(|| report.names.netns(netns));
        }
        known
    }

    /// What a namespace is called.
    pub(super) fn name(&self, netns: u32) -> Option<&str> {
        self.all.get(&netns).map(|known| known.name.as_str())
    }

    /// Those that matter, most packets refused first, then the fullest; at least one, if
    /// there is any with entries.
    pub(super) fn those_that_matter(&self) -> Vec<&Namespace> {
        let mut all: Vec<&Namespace> = self.all.values().collect();
        let key = |it: &&Namespace| std::cmp::Reverse((it.refused, it.entries.unwrap_or(0)));
        all.sort_by_key(key);
        let matter = all.iter().filter(|it| self.matters(it)).count();
        if matter == 0 {
            all.retain(|it| it.entries.is_some_and(|entries| entries > 0));
            all.truncate(1);
        } else {
            all.retain(|it| self.matters(it));
        }
        all
    }

    fn matters(&self, it: &Namespace) -> bool {
        let (entries, max) = (it.entries.unwrap_or(0), self.max.unwrap_or(0));
        let used = max > 0 && entries.saturating_mul(100) >= max.saturating_mul(MATTERS);
        it.refused > 0 || it.filling.is_some() || used || is_full(entries, max)
    }
}

/// What a report calls a namespace.
fn name(netns: u32, report: &Report) -> Option<String> {
    if let Some(known) = report.discovered.by_inode(netns) {
        return Some(known.name.clone());
    }
    let lost = report.namespaces.iter();
    let mut names = lost
        .map(|it| (it.netns, &it.name))
        .chain(report.fullest.iter().map(|it| (it.netns, &it.name)));
    names
        .find(|(known, _)| *known == netns)
        .map(|(_, name)| name.clone())
}
