//! The network namespaces and their numbers in the store.

use std::{collections::BTreeMap, mem};

use crate::{
    kernel::netns::Namespaces,
    store::{moment::Moment, record::Namespace},
};

/// The namespaces that evidence refers to.
#[derive(Debug)]
pub(super) struct Directory {
    next: i64,
    /// Those that live, by inode.
    known: BTreeMap<u32, Known>,
    /// Those to be written.
    changed: BTreeMap<i64, Namespace>,
}

#[derive(Debug)]
struct Known {
    namespace: Namespace,
    /// Whether it was found on this host: only then it can be seen to be gone.
    found: bool,
}

impl Directory {
    /// None yet; the first one gets this number.
    pub(super) const fn starting_with(next: i64) -> Self {
        Self {
            next,
            known: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    /// The number of the namespace with that inode.
    pub(super) fn number(&mut self, inode: u32, found: &Namespaces, at: Moment) -> i64 {
        if let Some(known) = self.known.get(&inode) {
            return known.namespace.netns;
        }
        let netns = self.next;
        self.next += 1;
        let here = found.by_inode(inode);
        let namespace = Namespace {
            netns,
            inode,
            name: found.name_of(inode),
            is_host: here.is_some_and(|here| found.is_host(here)),
            since: at,
            ended: None,
        };
        self.changed.insert(netns, namespace.clone());
        let found = here.is_some();
        self.known.insert(inode, Known { namespace, found });
        netns
    }

    /// Takes in which namespaces there are; the inodes of those that are gone.
    pub(super) fn follow(&mut self, found: &Namespaces, at: Moment) -> Vec<u32> {
        let mut gone = Vec::new();
        for (&inode, known) in &mut self.known {
            let namespace = &mut known.namespace;
            match found.by_inode(inode) {
                Some(here) => {
                    known.found = true;
                    if here.name != namespace.name {
                        namespace.name.clone_from(&here.name);
                        namespace.is_host = found.is_host(here);
                        self.changed.insert(namespace.netns, namespace.clone());
                    }
                }
                None if known.found => {
                    namespace.ended = Some(at);
                    self.changed.insert(namespace.netns, namespace.clone());
                    gone.push(inode);
                }
                None => {}
            }
        }
        for inode in &gone {
            self.known.remove(inode);
        }
        gone
    }

    /// Those of which something is new since the last time.
    pub(super) fn take_changed(&mut self) -> impl Iterator<Item = Namespace> {
        mem::take(&mut self.changed).into_values()
    }
}
