//! How much memory an entry takes, measured: `/proc/slabinfo`, which only root
//! may read.

use serde::Serialize;

/// The slab cache of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Slab {
    /// Bytes of an entry.
    pub object: u64,
    /// Entries in a slab.
    pub per_slab: u64,
    /// Pages of a slab.
    pub pages: u64,
}

impl Slab {
    /// Finds it in the text of `/proc/slabinfo`. Kernels from 2.6.32 to 4.7 have
    /// one for each namespace, named by an address: all are alike.
    pub fn parse(text: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let name = words.next()?;
            let is_address = |rest: &str| {
                !rest.is_empty() && rest.bytes().all(|letter| letter.is_ascii_hexdigit())
            };
            let ours = matches!(name, "nf_conntrack" | "ip_conntrack")
                || name.strip_prefix("nf_conntrack_").is_some_and(is_address);
            if !ours {
                return None;
            }
            // Active objects and all objects come first.
            let mut numbers = words.skip(2).map(str::parse::<u64>);
            let mut number = || numbers.next()?.ok();
            let slab = Self {
                object: number()?,
                per_slab: number()?,
                pages: number()?,
            };
            (slab.per_slab > 0).then_some(slab)
        })
    }

    /// Bytes that an entry takes with its share of what is left over in a slab.
    pub const fn bytes_per_entry(&self, page: u64) -> u64 {
        (self.pages * page).div_ceil(self.per_slab)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_of_all_times() {
        let entry = |line: &str| Slab::parse(&format!("slabinfo - version: 2.1\n{line}\n"));
        let today = entry(
            "nf_conntrack_expect 0 0 208 19 1 : x\nnf_conntrack        512    512    256   16    1 : tunables 0 0 0 : slabdata 32 32 0",
        )
        .unwrap();
        assert_eq!((today.object, today.per_slab, today.pages), (256, 16, 1));
        assert_eq!(today.bytes_per_entry(4096), 256);
        let el5 = entry("ip_conntrack   17 52 304 13 1 : tunables 54 27 8 : slabdata 4 4 0");
        assert_eq!(el5.unwrap().bytes_per_entry(4096), 316);
        assert!(entry("nf_conntrack_ffffffff81b18540 10 20 304 26 2 : t").is_some());
        assert_eq!(entry("nf_conntrack_expect 0 0 208 19 1 : x"), None);
        assert_eq!(entry("nf_conntrack 1 2 3 0 1"), None);
    }
}
