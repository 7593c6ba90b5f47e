//! The limit in force, which somebody may change while packets are counted, and the
//! namespaces that come closest to it.

use serde::Serialize;

use crate::{
    kernel::{defaults::Table, limits::Limits, process::Process},
    observe::observer::snapshot::Snapshot,
    say::clock,
};

/// How many namespaces are named.
const NAMED: usize = 3;

/// The limit in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitInForce {
    /// Limit and buckets.
    #[serde(flatten)]
    pub table: Table,
    /// The last change since the start.
    pub changed: Option<LimitChange>,
}

/// Somebody has set another limit, or other buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitChange {
    /// When it was seen: RFC 3339.
    pub time: String,
    /// What was in force until then.
    pub before: Table,
    /// What is in force since then.
    pub after: Table,
    /// Who has made it, where that is known.
    pub made_by: Option<Maker>,
}

/// Who has set a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Maker {
    /// A process, of which the kernel told.
    Process(Process),
    /// Whom a record names.
    Recorded(String),
}

impl Maker {
    /// What to call it in a table.
    pub fn label(&self) -> String {
        match self {
            Self::Process(process) => process.label(),
            Self::Recorded(name) => name.clone(),
        }
    }
}

/// Follows the limit.
#[derive(Debug, Default)]
pub(super) struct FollowedLimit {
    /// None as long as conntrack is not loaded.
    in_force: Option<LimitInForce>,
}

impl FollowedLimit {
    /// Takes in what is in force now. The change, if it is one; `who` says who made it.
    pub(super) fn see(
        &mut self,
        limits: Limits,
        who: impl FnOnce() -> Option<Process>,
    ) -> Option<LimitChange> {
        let (max, buckets) = limits.max.zip(limits.buckets)?;
        let after = Table { buckets, max };
        let Some(known) = &mut self.in_force else {
            self.in_force = Some(LimitInForce {
                table: after,
                changed: None,
            });
            return None;
        };
        if known.table == after {
            return None;
        }
        let change = LimitChange {
            time: clock::now(),
            before: known.table,
            after,
            made_by: who().map(Maker::Process),
        };
        known.table = after;
        known.changed = Some(change.clone());
        Some(change)
    }

    /// The limit in force, if it is known.
    pub(super) fn in_force(&self) -> Option<LimitInForce> {
        self.in_force.clone()
    }
}

/// A network namespace with many entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fullest {
    /// Its inode.
    pub netns: u32,
    /// What it is called.
    pub name: String,
    /// Its entries, when the counters were last read.
    pub entries: u64,
}

impl Fullest {
    /// Those of the namespaces that `of` selects with the most entries: the limit is the
    /// same for all.
    pub(super) fn of(snapshot: &Snapshot, of: impl Fn(u32) -> bool) -> Vec<Self> {
        let mut list: Vec<Self> = snapshot
            .entries
            .iter()
            .filter(|&(&netns, &entries)| of(netns) && entries > 0)
            .map(|(&netns, &entries)| Self {
                netns,
                name: snapshot.namespaces.name_of(netns),
                entries,
            })
            .collect();
        list.sort_by_key(|one| std::cmp::Reverse(one.entries));
        list.truncate(NAMED);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: u64) -> Limits {
        Limits {
            max: Some(max),
            buckets: Some(1024),
            entries: Some(1000),
        }
    }

    #[test]
    fn a_change_is_told_once_and_stays_known() {
        let mut followed = FollowedLimit::default();
        assert_eq!(followed.see(Limits::default(), || None), None, "not loaded");
        assert_eq!(followed.in_force(), None);
        assert_eq!(
            followed.see(limits(900), || None),
            None,
            "the first one is no change"
        );
        assert_eq!(followed.see(limits(900), || None), None);
        let change = followed.see(limits(800), || None).unwrap();
        assert_eq!((change.before.max, change.after.max), (900, 800));
        assert_eq!(followed.see(limits(800), || None), None);
        let in_force = followed.in_force().unwrap();
        assert_eq!(in_force.table.max, 800);
        assert_eq!(in_force.changed, Some(change));
    }

    #[test]
    fn a_reload_of_the_module_can_change_it() {
        let mut followed = FollowedLimit::default();
        followed.see(limits(900), || None);
        assert_eq!(followed.see(Limits::default(), || None), None, "unloaded");
        let change = followed.see(limits(65_536), || None).unwrap();
        assert_eq!((change.before.max, change.after.max), (900, 65_536));
    }
}
