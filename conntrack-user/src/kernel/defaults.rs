//! What the kernel chooses by itself: buckets and limit of a table that nobody
//! has set, by generation, memory and module option.

use serde::Serialize;

use crate::kernel::{generation::Generation, release::Release};

/// Size of the hash table, and the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Buckets.
    pub buckets: u64,
    /// Entries allowed in each network namespace.
    pub max: u64,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Release of the kernel.
    pub release: &'a Release,
    /// Which code.
    pub generation: Generation,
    /// Whether it is a kernel of 64 bits.
    pub is_64_bit: bool,
}

/// `tcp_timeout_established` in seconds until somebody changes it, on every kernel:
/// five days (`nf_conntrack_proto_tcp.c: tcp_timeouts`, `5 DAYS`).
pub const TCP_TIMEOUT_ESTABLISHED: u64 = 432_000;

/// `tcp_timeout_max_retrans` and `tcp_timeout_unacknowledged` in seconds until somebody
/// changes them: five minutes (`nf_conntrack_proto_tcp.c: tcp_timeouts`, `5 MINS`).
pub const TCP_TIMEOUT_IN_FLIGHT: u64 = 300;

const GIB: u64 = 1 << 30;

/// The table of `ip_conntrack` without options on a machine with more than 1 GiB of
/// memory: 8 entries for each bucket (`net/ipv4/netfilter/ip_conntrack_core.c:
/// ip_conntrack_init`, 2.6.18).
pub const IP_CONNTRACK_TABLE: Table = Table {
    buckets: 8192,
    max: 8 * 8192,
};

/// How many buckets are enough for a limit; of a kernel that is not known, too.
///
/// One for four entries. A kernel that refuses short chains needs one for each.
pub fn enough_buckets(machine: Option<&Machine<'_>>, max: u64) -> u64 {
    let quarter = max.div_ceil(4);
    machine.map_or(quarter, |machine| {
        let refuses = machine.refuses_short_chains();
        machine.rounded(if refuses { max } else { quarter })
    })
}

impl Machine<'_> {
    /// Buckets and limit after the module is loaded without options, with that
    /// much memory in bytes.
    ///
    /// `net/ipv4/netfilter/ip_conntrack_core.c: ip_conntrack_init` (2.6.18),
    /// `net/netfilter/nf_conntrack_core.c: nf_conntrack_init_init_net` (2.6.32),
    /// `nf_conntrack_init_start` (3.10 and later); a step at 4 GiB since 4.0, other
    /// bounds since 5.15.
    pub fn default_table(&self, memory: u64) -> Table {
        let pointer = if self.is_64_bit { 8 } else { 4 };
        if self.generation == Generation::IpConntrack {
            if memory > GIB {
                return IP_CONNTRACK_TABLE;
            }
            // A list head is two pointers.
            let buckets = (memory / 16384 / (2 * pointer)).max(16);
            return Table {
                buckets,
                max: 8 * buckets,
            };
        }
        let by_memory = memory / 16384 / pointer;
        let at = |release| self.is_at_least(release);
        let (buckets, factor) = if at((5, 15)) {
            let buckets = match memory {
                _ if self.is_64_bit && memory > 4 * GIB => 262_144,
                _ if memory > GIB => 65_536,
                _ => by_memory.max(1024),
            };
            (buckets, 1)
        } else {
            let buckets = match memory {
                _ if self.has_step_at_4_gib() && memory > 4 * GIB => 65_536,
                _ if memory > GIB => 16_384,
                _ => by_memory.max(32),
            };
            (buckets, 4)
        };
        let buckets = self.rounded(buckets);
        Table {
            buckets,
            max: factor * buckets,
        }
    }

    /// Buckets and limit after the module is loaded with that `hashsize`: the
    /// limit is then eight times the buckets, in every version.
    pub fn table_of_hashsize(&self, hashsize: u64) -> Table {
        let buckets = self.rounded(hashsize);
        Table {
            buckets,
            max: 8 * buckets,
        }
    }

    /// Buckets as the kernel makes them: since 4.8 whole pages of bucket heads
    /// (`nf_ct_alloc_hashtable`), before that any number.
    pub fn rounded(&self, buckets: u64) -> u64 {
        if !self.is_at_least((4, 8)) {
            return buckets;
        }
        let in_page = if self.is_64_bit { 512 } else { 1024 };
        buckets.div_ceil(in_page).saturating_mul(in_page)
    }

    /// Whether `nf_conntrack_buckets` can be written (4.8 and later).
    pub fn buckets_are_writable(&self) -> bool {
        self.is_at_least((4, 8))
    }

    /// Whether a chain of the hash table may be too long for one more entry
    /// (5.15 and later).
    pub fn bounds_chains(&self) -> bool {
        self.is_at_least((5, 15))
    }

    /// Whether it refuses chains of a length that an ordinary load reaches: from 8 to
    /// 16 entries on in 5.15 to 6.0, from 50 on since
    /// (`net/netfilter/nf_conntrack_core.c: MIN_CHAINLEN`).
    pub fn refuses_short_chains(&self) -> bool {
        self.bounds_chains() && !self.is_at_least((6, 1))
    }

    /// Whether a sysctl below `/proc/sys`, in slash form, is there once the
    /// module is loaded; only of conntrack's limit and buckets.
    ///
    /// `nf_conntrack` had the name of its predecessor, too, until 4.9.
    pub fn has_sysctl(&self, path: &str) -> bool {
        match path {
            "net/ipv4/ip_conntrack_max" => self.generation == Generation::IpConntrack,
            "net/ipv4/netfilter/ip_conntrack_max" | "net/ipv4/netfilter/ip_conntrack_buckets" => {
                self.generation == Generation::IpConntrack || !self.is_at_least((4, 9))
            }
            _ => self.generation == Generation::NfConntrack,
        }
    }

    /// Whether more than 4 GiB of memory make more buckets than 1 GiB does: since 4.0
    /// (commit 88eab472ec21), and in the 3.10.0 of Enterprise Linux 7 and of OpenVZ 7,
    /// which have it as a backport.
    fn has_step_at_4_gib(&self) -> bool {
        let Release {
            major,
            minor,
            patch,
            text,
        } = self.release;
        let is_el7 = (*major, *minor, *patch) == (3, 10, 0)
            && [".el7", ".vz7"].iter().any(|mark| text.contains(mark));
        is_el7 || self.is_at_least((4, 0))
    }

    fn is_at_least(&self, release: (u32, u32)) -> bool {
        self.generation == Generation::NfConntrack
            && (self.release.major, self.release.minor) >= release
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn with<T>(release: &str, f: impl FnOnce(&Machine<'_>) -> T) -> T {
        let release = Release::parse(release).unwrap();
        f(&Machine {
            generation: Generation::of(&release),
            release: &release,
            is_64_bit: true,
        })
    }

    fn default(release: &str, memory: u64) -> (u64, u64) {
        let Table { buckets, max } = with(release, |machine| machine.default_table(memory));
        (buckets, max)
    }

    #[test]
    fn ip_conntrack() {
        assert_eq!(default("2.6.18-274.el5", 4 * GIB), (8192, 65_536));
        assert_eq!(default("2.6.18-274.el5", 512 * MIB), (2048, 16_384));
        assert_eq!(default("2.6.18-274.el5", MIB), (16, 128));
    }

    #[test]
    fn nf_conntrack_until_5_14() {
        assert_eq!(default("2.6.32-642.el6", 16 * GIB), (16_384, 65_536));
        assert_eq!(default("3.10.0-1160.el7", 2 * GIB), (16_384, 65_536));
        assert_eq!(default("3.10.0-1160.el7", 16 * GIB), (65_536, 262_144));
        // Seen in a virtual machine with 987 MiB.
        assert_eq!(default("5.10.0-30-amd64", 987 * MIB), (8192, 32_768));
    }

    #[test]
    fn the_step_at_4_gib_came_with_4_0() {
        for release in [
            "3.10.108",
            "3.10.108-1.el7.elrepo.x86_64",
            "3.13.0-170-generic",
            "3.16.0-11-amd64",
            "3.19.0-80-generic",
        ] {
            assert_eq!(default(release, 16 * GIB), (16_384, 65_536), "{release}");
        }
        for release in [
            "3.10.0-1160.el7.x86_64",
            "3.10.0-957.27.2.el7.centos.plus.x86_64",
            "3.10.0-1160.105.1.vz7.214.3",
            "4.0.0",
            "4.4.0-210-generic",
        ] {
            assert_eq!(default(release, 16 * GIB), (65_536, 262_144), "{release}");
            assert_eq!(default(release, 4 * GIB), (16_384, 65_536), "{release}");
        }
    }

    #[test]
    fn nf_conntrack_from_5_15() {
        assert_eq!(default("6.1.0-50-amd64", 16 * GIB), (262_144, 262_144));
        assert_eq!(default("6.1.0-50-amd64", 2 * GIB), (65_536, 65_536));
        assert_eq!(default("6.1.0-50-amd64", 100 * MIB), (1024, 1024));
        // Seen in a virtual machine with about 950 MiB.
        assert_eq!(default("6.1.0-50-amd64", 950 * MIB), (7680, 7680));
    }

    #[test]
    fn hashsize_makes_the_limit_eight_times_as_much() {
        let of = |release, hashsize| {
            let table = with(release, |machine| machine.table_of_hashsize(hashsize));
            (table.buckets, table.max)
        };
        assert_eq!(of("2.6.18-274.el5", 8189), (8189, 65_512));
        assert_eq!(of("2.6.32-642.el6", 131_072), (131_072, 1_048_576));
        assert_eq!(of("6.1.0-50-amd64", 1000), (1024, 8192));
    }

    #[test]
    fn enough_buckets_depend_on_the_chains_that_a_kernel_refuses() {
        let enough = |release, max| with(release, |machine| enough_buckets(Some(machine), max));
        for release in ["2.6.18-274.el5", "2.6.32-642.el6", "4.7.0"] {
            assert_eq!(enough(release, 100_001), 25_001, "{release}");
        }
        for release in ["5.10.0", "5.14.0", "6.1.0", "7.3.0"] {
            assert_eq!(enough(release, 262_144), 65_536, "{release}");
            assert_eq!(enough(release, 100_000), 25_088, "{release}");
        }
        for release in ["5.15.0", "5.19.0", "6.0.0"] {
            assert_eq!(enough(release, 262_144), 262_144, "{release}");
        }
        assert_eq!(enough_buckets(None, 100_001), 25_001);
    }

    #[test]
    fn names_come_and_go() {
        let has = |release, path| with(release, |machine| machine.has_sysctl(path));
        assert!(has("2.6.18-274.el5", "net/ipv4/ip_conntrack_max"));
        assert!(!has("2.6.18-274.el5", "net/netfilter/nf_conntrack_max"));
        assert!(has("2.6.32-642.el6", "net/ipv4/netfilter/ip_conntrack_max"));
        assert!(!has("2.6.32-642.el6", "net/ipv4/ip_conntrack_max"));
        assert!(has("6.1.0", "net/nf_conntrack_max"));
        assert!(!has("6.1.0", "net/ipv4/netfilter/ip_conntrack_max"));
    }
}
