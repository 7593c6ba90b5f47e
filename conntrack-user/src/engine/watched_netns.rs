//! The only network namespace that is observed, and whether it is still there.

use anyhow::{Context as _, Result};

use crate::{
    kernel::{
        limits::Limits,
        netns::{Namespace, Namespaces},
    },
    say::clock,
};

/// A network namespace that is observed alone.
#[derive(Clone, Debug)]
pub struct WatchedNetns {
    namespace: Namespace,
    /// When it was seen to be gone: RFC 3339.
    gone: Option<String>,
}

/// Something has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetnsChange {
    /// When: RFC 3339.
    pub time: String,
    /// Its inode.
    pub netns: u32,
    /// What it was called.
    pub name: String,
    /// What has become of it.
    pub change: Change,
}

/// What has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has ended, or nothing leads to it any more.
    Gone,
    /// What it was known by has ended, and something else leads to it.
    Renamed {
        /// What it is called now.
        now: String,
    },
}

impl WatchedNetns {
    /// Finds what the user calls a namespace.
    pub fn find(wanted: &str) -> Result<Self> {
        Ok(Self {
            namespace: Namespaces::discover()?.find(wanted)?,
            gone: None,
        })
    }

    /// The inode number.
    pub const fn inode(&self) -> u32 {
        self.namespace.inode
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.namespace.name
    }

    /// Its limit and its entries. If it cannot be entered, the limit alone,
    /// which is the same everywhere, and why not.
    pub fn limits(&self) -> Result<(Limits, Option<String>)> {
        match self.namespace.limits() {
            Ok(limits) => Ok((limits, None)),
            Err(why) => {
                let limits = Limits {
                    entries: None,
                    ..Limits::read()?
                };
                Ok((limits, Some(why.to_string())))
            }
        }
    }

    /// Fails if its counters cannot be read, without which the backend `counters` sees
    /// nothing of it.
    pub fn demand_counters(&self) -> Result<()> {
        let counters = self.namespace.counters()?;
        counters.map(drop).with_context(|| {
            format!(
                "network namespace {} has no counters of conntrack (/proc/net/stat/nf_conntrack)",
                self.name()
            )
        })
    }

    /// Checks whether it is still there; says so once if not.
    pub fn check(&mut self) -> Result<Option<NetnsChange>> {
        if self.gone.is_some() || self.namespace.is_where_it_was() {
            return Ok(None);
        }
        let name = self.name().to_owned();
        let found = Namespaces::discover()?.by_inode(self.inode()).cloned();
        Ok(self.follow(found).map(|change| NetnsChange {
            time: clock::now(),
            netns: self.inode(),
            name,
            change,
        }))
    }

    /// Takes what has its number now for it, if that may be.
    fn follow(&mut self, found: Option<Namespace>) -> Option<Change> {
        let Some(found) = found.filter(|found| may_be(&self.namespace, found)) else {
            self.gone = Some(clock::now());
            return Some(Change::Gone);
        };
        let renamed = found.name != self.namespace.name;
        let now = found.name.clone();
        self.namespace = found;
        renamed.then_some(Change::Renamed { now })
    }

    /// What the totals lack, if it is gone.
    pub fn warning(&self) -> Option<String> {
        let gone = self.gone.as_ref()?;
        Some(format!(
            "network namespace {} was gone at {gone}. Packets refused after its counters were last \
             read are not checked. A new namespace may have its inode number",
            self.name()
        ))
    }
}

/// Whether a namespace of the same number may be the one that is no longer where
/// it was. One that is mounted in the same place is not: a namespace does not
/// leave its mount and come back.
fn may_be(earlier: &Namespace, found: &Namespace) -> bool {
    !found
        .mounts
        .iter()
        .any(|mount| earlier.mounts.contains(mount))
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    /// This process's own namespace, as if it was called so, and mounted there.
    fn named(name: &str, mounts: &[&str]) -> Namespace {
        let own = format!("pid:{}", process::id());
        let mut namespace = Namespaces::discover().unwrap().find(&own).unwrap();
        namespace.name = name.to_owned();
        namespace.mounts = mounts.iter().map(Into::into).collect();
        namespace
    }

    fn watched(name: &str, mounts: &[&str]) -> WatchedNetns {
        WatchedNetns {
            namespace: named(name, mounts),
            gone: None,
        }
    }

    #[test]
    fn one_that_is_where_it_was_is_said_nothing_of() {
        let mut own = watched("blue", &[]);
        assert_eq!(own.check().unwrap(), None);
        assert_eq!(own.warning(), None);
    }

    #[test]
    fn one_that_nothing_leads_to_is_gone_once() {
        let mut blue = watched("blue", &["/run/netns/blue"]);
        assert_eq!(blue.follow(None), Some(Change::Gone));
        let said = blue.warning().unwrap();
        assert!(said.contains("blue was gone at 2"), "{said}");
        assert_eq!(blue.check().unwrap(), None, "it has been said");
    }

    #[test]
    fn one_that_a_process_keeps_goes_on_by_another_name() {
        let mut blue = watched("blue", &["/run/netns/blue"]);
        let now = "sleep[7]".to_owned();
        assert_eq!(
            blue.follow(Some(named(&now, &[]))),
            Some(Change::Renamed { now })
        );
        assert_eq!(
            blue.follow(Some(named("sleep[7]", &[]))),
            None,
            "by the next process"
        );
        assert_eq!(blue.warning(), None);
    }

    #[test]
    fn another_one_in_the_same_place_is_not_taken_for_it() {
        let mut blue = watched("blue", &["/run/netns/blue"]);
        let next = named("blue", &["/run/netns/blue"]);
        assert_eq!(blue.follow(Some(next)), Some(Change::Gone));
    }
}
