//! Conntrack's limit, hash table and use, as the sysctls of a network
//! namespace show them.

use std::{fs, io, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Names of the limit below `/proc/sys/net`, newest first. A namespace other
/// than the first lacks the second.
const MAX: [&str; 4] = [
    "netfilter/nf_conntrack_max",
    "nf_conntrack_max",
    "ipv4/netfilter/ip_conntrack_max",
    "ipv4/ip_conntrack_max",
];

/// Names of the number of buckets, newest first.
const BUCKETS: [&str; 2] = [
    "netfilter/nf_conntrack_buckets",
    "ipv4/netfilter/ip_conntrack_buckets",
];

/// Names of the number of entries, newest first.
const ENTRIES: [&str; 2] = [
    "netfilter/nf_conntrack_count",
    "ipv4/netfilter/ip_conntrack_count",
];

/// Entries of a table at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntriesAt {
    /// When, by `CLOCK_MONOTONIC`.
    pub at: Duration,
    /// How many.
    pub entries: u64,
}

/// How full the table is and may become. `None`: no such sysctl, as conntrack
/// is not loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Entries allowed in each network namespace: one number for the whole
    /// host, compared with each namespace's own count. 0 is no limit (until
    /// 7.3, which refuses 0).
    pub max: Option<u64>,
    /// Buckets of the hash table, which all namespaces share since 4.8.
    pub buckets: Option<u64>,
    /// Entries of this network namespace.
    pub entries: Option<u64>,
}

/// A table is as good as full from this share of its limit on, in per cent.
///
/// It is looked at a moment before or after the packets that it refused, and
/// entries end in between. The kernel itself calls a table with 95 % crowded:
/// from there on `gc_worker` evicts closing connections
/// (`net/netfilter/nf_conntrack_core.c`, 4.12 to 7.3).
pub const FULL: u64 = 95;

/// Whether a table with so many entries is as good as full; 0 is no limit.
///
/// Rounded down as the kernel rounds it, whose collector holds a crowded table at that
/// very number (`net/netfilter/nf_conntrack_core.c: gc_worker`,
/// `nf_conntrack_max / 100 * 95`, 4.12 to 7.3).
pub const fn is_full(entries: u64, max: u64) -> bool {
    let bound = if max < 100 {
        max.saturating_mul(FULL).div_ceil(100)
    } else {
        max / 100 * FULL
    };
    max > 0 && entries >= bound
}

/// A limit as a number that compares: 0, no limit, is above all others.
pub const fn comparable(max: u64) -> u64 {
    if max == 0 { u64::MAX } else { max }
}

impl Limits {
    /// Reads the limits of the network namespace that the calling thread is in:
    /// the files below `/proc/sys/net` show each reader its own.
    pub fn read() -> Result<Self> {
        Self::resolve(|name| {
            let path = format!("/proc/sys/net/{name}");
            match fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
            }
        })
    }

    /// Takes of each number the newest name that `read` has a text for.
    pub(crate) fn resolve(read: impl Fn(&str) -> Result<Option<String>>) -> Result<Self> {
        let number = |names: &[&str]| {
            for name in names {
                if let Some(text) = read(name)? {
                    return parse(&text)
                        .with_context(|| {
                            format!("/proc/sys/net/{name} holds {text:?}, which is not a number")
                        })
                        .map(Some);
                }
            }
            Ok(None)
        };
        Ok(Limits {
            max: number(&MAX)?,
            buckets: number(&BUCKETS)?,
            entries: number(&ENTRIES)?,
        })
    }
}

/// Parses a sysctl. Older kernels print an unsigned number as if it was signed,
/// so that a limit above 2³¹ looks negative; they compare it without sign.
fn parse(text: &str) -> Option<u64> {
    let number: i64 = text.trim().parse().ok()?;
    u64::try_from(number).ok().or_else(|| {
        let wrapped = i32::try_from(number).ok()?;
        Some(u64::from(wrapped.cast_unsigned()))
    })
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use crate::kernel::limits::{Limits, comparable, is_full};

    fn resolve(files: &[(&str, &str)]) -> anyhow::Result<Limits> {
        Limits::resolve(|wanted| {
            let file = files.iter().find(|(name, _)| *name == wanted);
            Ok(file.map(|(_, text)| (*text).to_owned()))
        })
    }

    #[test]
    fn full_is_where_the_collector_of_the_kernel_stops() {
        assert!(is_full(950, 1_003) && !is_full(949, 1_003));
        assert!(is_full(10, 10) && !is_full(9, 10));
        assert!(!is_full(5, 0), "0 is no limit");
    }

    #[test]
    fn no_limit_is_above_all_others() {
        assert!(comparable(0) > comparable(262_144));
        assert!(comparable(262_144) > comparable(131_072));
    }

    #[test]
    fn the_names_of_today() {
        let limits = resolve(&[
            ("netfilter/nf_conntrack_max", "262144\n"),
            ("nf_conntrack_max", "1\n"),
            ("ipv4/netfilter/ip_conntrack_max", "2\n"),
            ("netfilter/nf_conntrack_buckets", "65536\n"),
            ("netfilter/nf_conntrack_count", "0\n"),
        ]);
        let expected = Limits {
            max: Some(262_144),
            buckets: Some(65_536),
            entries: Some(0),
        };
        assert_eq!(limits.unwrap(), expected);
    }

    #[test]
    fn the_names_of_ip_conntrack() {
        let limits = resolve(&[
            ("ipv4/ip_conntrack_max", "65536\n"),
            ("ipv4/netfilter/ip_conntrack_buckets", "8192\n"),
            ("ipv4/netfilter/ip_conntrack_count", "6\n"),
        ]);
        let expected = Limits {
            max: Some(65_536),
            buckets: Some(8192),
            entries: Some(6),
        };
        assert_eq!(limits.unwrap(), expected);
    }

    #[test]
    fn absent_is_not_zero() {
        assert_eq!(resolve(&[]).unwrap(), Limits::default());
    }

    #[test]
    fn a_limit_printed_with_a_sign_has_none() {
        let limits = resolve(&[("nf_conntrack_max", "-1\n")]).unwrap();
        assert_eq!(limits.max, Some(u64::from(u32::MAX)));
    }

    #[test]
    fn what_is_no_number_or_cannot_be_read_is_an_error() {
        let error = resolve(&[("nf_conntrack_max", "lots\n")]).unwrap_err();
        assert!(error.to_string().contains("nf_conntrack_max holds"));
        assert!(resolve(&[("nf_conntrack_max", "-99999999999\n")]).is_err());
        assert!(Limits::resolve(|_| bail!("permission denied")).is_err());
    }
}
