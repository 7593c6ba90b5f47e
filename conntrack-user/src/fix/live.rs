//! The running kernel's own variables: buckets first, then the limit.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use super::plan::LiveWrite;
use crate::{facts::Facts, kernel::defaults::Generation};

/// The files through which the running kernel is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// For the number of buckets.
    pub buckets: PathBuf,
    /// For the limit.
    pub max: PathBuf,
}

impl Knobs {
    /// Those of a kernel. Buckets are a sysctl that can be written from 4.8 on,
    /// and a parameter of the module always (`nf_conntrack_core.c`).
    pub fn of(facts: &Facts) -> Self {
        let kernel = &facts.kernel;
        let generation = kernel.generation;
        let max = match generation {
            Generation::IpConntrack => "/proc/sys/net/ipv4/ip_conntrack_max",
            Generation::NfConntrack => "/proc/sys/net/netfilter/nf_conntrack_max",
        };
        let by_sysctl = kernel
            .machine()
            .is_some_and(|machine| machine.buckets_are_writable());
        let buckets = if by_sysctl {
            "/proc/sys/net/netfilter/nf_conntrack_buckets".to_owned()
        } else {
            format!("/sys/module/{}/parameters/hashsize", generation.module())
        };
        Self {
            buckets: buckets.into(),
            max: max.into(),
        }
    }

    /// Raises limit and buckets at once, without a plan: what is there already is
    /// not made less. Says what was written.
    pub fn raise(&self, max: u64, buckets: u64) -> Result<Vec<LiveWrite>> {
        let mut writes = Vec::new();
        for (path, after) in [(&self.buckets, buckets), (&self.max, max)] {
            let before = read(path)?;
            if before < after {
                write(path, after)?;
                writes.push(LiveWrite {
                    path: path.clone(),
                    before: Some(before),
                    after,
                    why: String::new(),
                });
            }
        }
        Ok(writes)
    }
}

/// Writes what a plan says, in its order, and reads it back.
pub fn apply(writes: &[LiveWrite]) -> Result<()> {
    writes
        .iter()
        .try_for_each(|write| self::write(&write.path, write.after))
}

fn write(path: &PathBuf, value: u64) -> Result<()> {
    fs::write(path, format!("{value}\n")).with_context(|| {
        format!(
            "cannot write {value} to {}: root is needed, in the host's own network namespace, and \
             /proc/sys and /sys that are not mounted read-only",
            path.display()
        )
    })?;
    let now = read(path)?;
    // Buckets are rounded up to whole pages.
    if now < value {
        bail!(
            "{} holds {now} after {value} was written to it",
            path.display()
        );
    }
    Ok(())
}

/// What a variable holds.
pub(super) fn read(path: &PathBuf) -> Result<u64> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read {}: is conntrack loaded?", path.display()))?;
    text.trim()
        .parse()
        .with_context(|| format!("{} holds {:?}, no number", path.display(), text.trim()))
}

/// Takes back what was written, the limit first. Leaves a variable that holds
/// something else by now, and a limit that would be less than the entries there
/// are; says so.
pub fn take_back(writes: &[LiveWrite], entries: Option<u64>) -> Vec<String> {
    let mut left = Vec::new();
    for write in writes.iter().rev() {
        let Some(before) = write.before else {
            continue;
        };
        let path = write.path.display();
        let outcome = read(&write.path).and_then(|now| {
            if now == before {
                return Ok(());
            }
            if now < write.after {
                bail!("{path} holds {now} by now: it is left");
            }
            if write.path.ends_with("nf_conntrack_max") || write.path.ends_with("ip_conntrack_max") {
                if let Some(entries) = entries.filter(|&entries| before > 0 && entries >= before) {
                    bail!(
                        "{path} is left at {now}: with {before} new flows would be refused, as there \
                         are {entries} entries"
                    );
                }
            }
            self::write(&write.path, before)
        });
        left.extend(outcome.err().map(|error| format!("{error:#}")));
    }
    left
}
