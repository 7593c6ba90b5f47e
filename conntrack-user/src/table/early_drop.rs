//! How likely `early_drop` is to find an entry that it may evict.
//!
//! It does not search the table: it starts at the bucket of the new flow and soon gives
//! up. Where a table has many more buckets than entries, it mostly finds nothing,
//! however many entries may be evicted.

/// What `early_drop` looks at before it gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// So many buckets in a row. All namespaces share them, and it passes over the
    /// entries of others.
    Buckets(u64),
    /// Bucket after bucket of the namespace's own hash table, until it has seen so many
    /// entries.
    Entries(u64),
}

/// `NF_CT_EVICTION_RANGE` in `net/netfilter/nf_conntrack_core.c`, 2.6.24 to 7.3.
const RANGE: u64 = 8;

/// Each entry is in the hash table by its original tuple and by its reply tuple, and
/// `early_drop_list` takes it by either.
const TUPLES: u64 = 2;

impl Search {
    /// That of a kernel release, by its first two numbers: `early_drop` in
    /// `net/netfilter/nf_conntrack_core.c`. Builds of 4.7 to 4.19 without later fixes look at
    /// the same bucket eight times.
    pub fn of(release: (u32, u32)) -> Self {
        if release >= (4, 7) {
            Self::Buckets(RANGE)
        } else {
            Self::Entries(RANGE)
        }
    }

    /// The chance that a new flow which finds the table full gets the room of another
    /// one: of `entries` in its namespace `evictable` may be evicted. Hashes are taken for
    /// evenly spread.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a chance, of numbers far below 2⁵²"
    )]
    pub fn chance(self, evictable: u64, entries: u64, buckets: u64) -> f64 {
        // That one of so many places holds none of them, and how many places there are.
        let (held, places) = match self {
            Self::Buckets(range) => (range as f64 / buckets as f64, TUPLES * evictable),
            Self::Entries(range) => (evictable as f64 / entries as f64, range),
        };
        // Nothing to evict, or fewer buckets than are looked at.
        if evictable == 0 || held >= 1.0 {
            return if evictable == 0 { 0.0 } else { 1.0 };
        }
        -((places as f64) * (-held).ln_1p()).exp_m1()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_TODAY: Search = Search::Buckets(RANGE);

    #[test]
    fn the_chance_is_what_kernels_have_shown() {
        // Linux 6.12: 300 entries, none assured, in 2,048 buckets. Of 636 attempts
        // 52 found none; within three standard deviations of what is expected.
        let (attempts, failed) = (636.0, 52.0);
        let expected = 1.0 - OF_TODAY.chance(300, 300, 2048);
        let deviation = (expected * (1.0 - expected) / attempts).sqrt();
        assert!((expected - failed / attempts).abs() < 3.0 * deviation);
        assert!((expected - 0.0955).abs() < 0.0005, "{expected}");
    }

    #[test]
    fn many_buckets_hide_what_may_be_evicted() {
        let chance = |buckets| OF_TODAY.chance(500, 500, buckets);
        assert!((chance(262_144) - 0.03).abs() < 0.001);
        assert!((chance(65_536) - 0.115).abs() < 0.001);
        assert!(chance(1024) > 0.999);
        assert!((chance(8) - 1.0).abs() < f64::EPSILON, "it sees them all");
        assert!((chance(4) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn entries_of_other_namespaces_change_nothing() {
        let alone = OF_TODAY.chance(100, 100, 4096);
        assert!((OF_TODAY.chance(100, 100_000, 4096) - alone).abs() < f64::EPSILON);
    }

    #[test]
    fn up_to_4_6_eight_entries_are_looked_at_wherever_they_are() {
        assert_eq!(Search::of((3, 10)), Search::Entries(8));
        assert_eq!(Search::of((6, 12)), OF_TODAY);
        let chance = |evictable| Search::of((3, 10)).chance(evictable, 1000, 262_144);
        assert!((chance(1000) - 1.0).abs() < f64::EPSILON);
        assert!((chance(100) - 0.5695).abs() < 0.0005, "{}", chance(100));
    }

    #[test]
    fn where_nothing_may_be_evicted_there_is_no_chance() {
        for search in [OF_TODAY, Search::Entries(RANGE)] {
            for (entries, buckets) in [(0, 0), (10, 0), (0, 10), (10, 10)] {
                assert!(search.chance(0, entries, buckets).abs() < f64::EPSILON);
            }
        }
    }
}
