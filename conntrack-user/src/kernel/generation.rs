//! The two generations of connection tracking, and what is named differently in each.

use serde::Serialize;

use crate::kernel::release::Release;

/// Which code tracks connections. The newer one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Module `ip_conntrack`: 2.4, and 2.6 as Enterprise Linux 4 and 5 have it.
    IpConntrack,
    /// Module `nf_conntrack`: 2.6.20 and later.
    NfConntrack,
}

impl Generation {
    /// Both, the newer one first.
    pub const ALL: [Self; 2] = [Self::NfConntrack, Self::IpConntrack];

    /// The one that distributions used with a release.
    pub fn of(release: &Release) -> Self {
        if (release.major, release.minor, release.patch) < (2, 6, 20) {
            Self::IpConntrack
        } else {
            Self::NfConntrack
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::IpConntrack => Self::NfConntrack,
            Self::NfConntrack => Self::IpConntrack,
        }
    }

    /// Name of the module.
    pub const fn module(self) -> &'static str {
        match self {
            Self::IpConntrack => "ip_conntrack",
            Self::NfConntrack => "nf_conntrack",
        }
    }

    /// Name of the limit's sysctl, in the form that every program understands.
    pub const fn max_sysctl(self) -> &'static str {
        match self {
            Self::IpConntrack => "net.ipv4.ip_conntrack_max",
            Self::NfConntrack => "net.netfilter.nf_conntrack_max",
        }
    }

    /// The file of that sysctl.
    pub const fn max_file(self) -> &'static str {
        match self {
            Self::IpConntrack => "/proc/sys/net/ipv4/ip_conntrack_max",
            Self::NfConntrack => "/proc/sys/net/netfilter/nf_conntrack_max",
        }
    }

    /// A part of the names of all sysctls of this generation, and of none of the
    /// other: what `IPTABLES_SYSCTL_LOAD_LIST` of Enterprise Linux matches.
    pub const fn sysctl_pattern(self) -> &'static str {
        match self {
            Self::IpConntrack => ".ip_conntrack",
            Self::NfConntrack => ".nf_conntrack",
        }
    }

    /// The file that lists the entries.
    pub const fn table_file(self) -> &'static str {
        match self {
            Self::IpConntrack => "/proc/net/ip_conntrack",
            Self::NfConntrack => "/proc/net/nf_conntrack",
        }
    }

    /// Bytes of a bucket on a kernel of 64 bits: a `list_head` is two pointers
    /// (`ip_conntrack_core.c`, 2.6.18), an `hlist_nulls_head` one
    /// (`nf_conntrack_core.c`, 2.6.30 and later).
    pub const fn bucket_size(self) -> u64 {
        match self {
            Self::IpConntrack => 16,
            Self::NfConntrack => 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_generation_agree() {
        for generation in Generation::ALL {
            let sysctl = generation.max_sysctl();
            assert_eq!(
                generation.max_file(),
                format!("/proc/sys/{}", sysctl.replace('.', "/"))
            );
            assert!(sysctl.contains(generation.sysctl_pattern()));
            assert!(!sysctl.contains(generation.other().sysctl_pattern()));
            assert!(generation.table_file().ends_with(generation.module()));
            assert_eq!(generation.other().other(), generation);
        }
    }
}
