//! Memory that the table takes, and would take at its limit.

use serde::Serialize;

use crate::kernel::{generation::Generation, slab::Slab};

/// Bytes of an entry where they cannot be measured: a common rule.
pub(crate) const USUAL_ENTRY: u64 = 320;

/// Bytes for the extensions of an entry: NAT, accounting, helpers, events. They
/// are allocated at once for the first of them (`NF_CT_EXT_PREALLOC`).
pub(crate) const EXTENSIONS: u64 = 128;

/// Memory of the table, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What an entry takes without extensions.
    pub entry: u64,
    /// Whether that was measured on this host.
    pub measured: bool,
    /// What the buckets take.
    pub buckets: Option<u64>,
    /// What all entries of all namespaces take now, without extensions.
    pub now: Option<u64>,
    /// What a single namespace at its limit takes, without extensions, and the
    /// buckets.
    pub at_limit: Option<u64>,
    /// The same, if all entries have extensions.
    pub at_limit_with_extensions: Option<u64>,
    /// Memory of the host.
    pub total: Option<u64>,
}

/// What it is told from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) slab: Option<Slab>,
    pub(crate) page: u64,
    pub(crate) generation: Generation,
    pub(crate) max: Option<u64>,
    pub(crate) buckets: Option<u64>,
    /// Entries of all namespaces.
    pub(crate) entries: Option<u64>,
    pub(crate) total: Option<u64>,
}

impl Memory {
    /// Works it out.
    pub(crate) fn of(table: &Table) -> Self {
        let entry = table
            .slab
            .map_or(USUAL_ENTRY, |slab| slab.bytes_per_entry(table.page));
        let head = table.generation.bucket_size();
        let buckets = table.buckets.map(|buckets| buckets.saturating_mul(head));
        let at_limit = |entry: u64| {
            let max = table.max.filter(|&max| max > 0)?;
            Some(
                max.saturating_mul(entry)
                    .saturating_add(buckets.unwrap_or(0)),
            )
        };
        Self {
            entry,
            measured: table.slab.is_some(),
            buckets,
            now: table.entries.map(|entries| entries.saturating_mul(entry)),
            at_limit: at_limit(entry),
            at_limit_with_extensions: at_limit(entry + EXTENSIONS),
            total: table.total,
        }
    }

    /// Share of the host's memory that a full table takes at most, in per cent.
    #[expect(clippy::cast_precision_loss, reason = "a share, shown with two digits")]
    pub fn share(&self) -> Option<f64> {
        let total = self.total.filter(|&total| total > 0)?;
        Some(self.at_limit_with_extensions? as f64 * 100.0 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_entries() {
        let memory = Memory::of(&Table {
            slab: Slab::parse("nf_conntrack 0 0 256 16 1 : x"),
            page: 4096,
            generation: Generation::NfConntrack,
            max: Some(1 << 20),
            buckets: Some(1 << 18),
            entries: Some(10),
            total: Some(4 << 30),
        });
        assert!(memory.measured);
        assert_eq!(memory.now, Some(2560));
        assert_eq!(memory.at_limit, Some((256 << 20) + (2 << 20)));
        assert_eq!(
            memory.at_limit_with_extensions,
            Some((384 << 20) + (2 << 20))
        );
        assert!(
            memory
                .share()
                .is_some_and(|share| (9.3..9.5).contains(&share))
        );
    }

    #[test]
    fn no_limit_has_no_bound() {
        let memory = Memory::of(&Table {
            slab: None,
            page: 4096,
            generation: Generation::IpConntrack,
            max: Some(0),
            buckets: None,
            entries: None,
            total: None,
        });
        assert_eq!((memory.entry, memory.measured), (320, false));
        assert_eq!(memory.at_limit, None);
        assert_eq!(memory.share(), None);
    }
}
