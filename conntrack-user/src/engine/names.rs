//! What namespaces and processes of a report are called.

use std::collections::BTreeMap;

use crate::{
    engine::rows::{Rows, Subject},
    kernel::process::Process,
    observe::observer::snapshot::Snapshot,
};

/// Names of what a report's rows are about, as they were when it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Network namespaces by inode.
    netns: BTreeMap<u32, String>,
    /// Processes by number.
    processes: BTreeMap<u32, Process>,
}

impl Names {
    /// These names.
    pub const fn new(netns: BTreeMap<u32, String>, processes: BTreeMap<u32, Process>) -> Self {
        Self { netns, processes }
    }

    /// The names of these rows.
    pub(super) fn of<'a>(snapshot: &Snapshot, rows: impl Iterator<Item = &'a Rows>) -> Self {
        let mut names = Self::default();
        for row in rows.flat_map(|rows| &rows.top) {
            if let Some(inode) = row.subject.netns() {
                names
                    .netns
                    .entry(inode)
                    .or_insert_with(|| snapshot.namespaces.name_of(inode));
            }
            if let Subject::Sender(pid) = row.subject {
                names.learn(snapshot, pid);
            } else if let Subject::Flow(key) = row.subject {
                names.learn(snapshot, key.sender);
            }
        }
        names
    }

    fn learn(&mut self, snapshot: &Snapshot, pid: u32) {
        if !self.processes.contains_key(&pid)
            && let Some(process) = snapshot.senders.get(pid)
        {
            self.processes.insert(pid, process.clone());
        }
    }

    /// The name of a network namespace; `net:[inode]` where it is not known.
    pub fn netns(&self, inode: u32) -> String {
        self.netns
            .get(&inode)
            .cloned()
            .unwrap_or_else(|| format!("net:[{inode}]"))
    }

    /// The process of that number, where it is known.
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// Takes over the names of a later report.
    pub fn join(&mut self, later: &Self) {
        self.netns.extend(later.netns.clone());
        self.processes.extend(later.processes.clone());
    }
}
