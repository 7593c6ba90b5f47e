//! Which entries are asked for.

use std::net::Ipv4Addr;

use ipnet::IpNet;
use serde::Serialize;

use crate::table::entry::{Address, Entry};

/// `AF_INET`, as a `struct nfgenmsg` has it.
pub(crate) const IPV4: u8 = 2;
/// `AF_INET6`.
pub(crate) const IPV6: u8 = 10;

/// Bits of a mark that must have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The value of these bits.
    pub value: u32,
    /// The bits that matter.
    pub mask: u32,
}

/// Entries that are asked for: those that meet every criterion there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Address family.
    pub family: Option<Family>,
    /// IP protocol.
    pub protocol: Option<u8>,
    /// Sources of the original direction.
    pub src: Option<IpNet>,
    /// Destinations of the original direction.
    pub dst: Option<IpNet>,
    /// Zone.
    pub zone: Option<u16>,
    /// Mark.
    pub mark: Option<Mark>,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// One of the criteria.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Criterion {
    /// Address family.
    Family,
    /// IP protocol.
    Proto,
    /// Source.
    Src,
    /// Destination.
    Dst,
    /// Zone.
    Zone,
    /// Mark.
    Mark,
}

impl Criterion {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Self; 6] = [
        Self::Family,
        Self::Proto,
        Self::Src,
        Self::Dst,
        Self::Zone,
        Self::Mark,
    ];

    /// Name of its option.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Proto => "proto",
            Self::Src => "src",
            Self::Dst => "dst",
            Self::Zone => "zone",
            Self::Mark => "mark",
        }
    }
}

impl Filter {
    /// The criteria that there are.
    pub fn criteria(&self) -> impl Iterator<Item = Criterion> {
        Criterion::ALL
            .into_iter()
            .filter(|criterion| match criterion {
                Criterion::Family => self.wanted_family().is_some(),
                Criterion::Proto => self.protocol.is_some(),
                Criterion::Src => self.src.is_some(),
                Criterion::Dst => self.dst.is_some(),
                Criterion::Zone => self.zone.is_some(),
                Criterion::Mark => self.mark.is_some(),
            })
    }

    /// The first criterion that an entry does not meet.
    pub fn fails(&self, entry: &Entry) -> Option<Criterion> {
        let wanted = |network: Option<IpNet>, has: Address| {
            network.is_none_or(|network| network.contains(&has.ip()))
        };
        let family = self.family_number();
        let meets = |criterion| match criterion {
            Criterion::Family => family == 0 || family == entry.family,
            Criterion::Proto => self.protocol.is_none_or(|wanted| wanted == entry.protocol),
            Criterion::Src => wanted(self.src, entry.src),
            Criterion::Dst => wanted(self.dst, entry.dst),
            Criterion::Zone => self.zone.is_none_or(|wanted| wanted == entry.zone),
            Criterion::Mark => self
                .mark
                .is_none_or(|Mark { value, mask }| entry.mark & mask == value & mask),
        };
        Criterion::ALL
            .into_iter()
            .find(|&criterion| !meets(criterion))
    }

    /// The family asked for, or that of an address asked for.
    fn wanted_family(&self) -> Option<Family> {
        self.family.or_else(|| {
            self.src.or(self.dst).map(|network| match network {
                IpNet::V4(_) => Family::Ipv4,
                IpNet::V6(_) => Family::Ipv6,
            })
        })
    }

    /// The family as a `struct nfgenmsg` has it; 0 is both.
    pub fn family_number(&self) -> u8 {
        match self.wanted_family() {
            None => 0,
            Some(Family::Ipv4) => IPV4,
            Some(Family::Ipv6) => IPV6,
        }
    }

    /// The single IPv4 addresses that are asked for. A kernel cannot filter by others.
    pub fn v4_addresses(&self) -> (Option<Ipv4Addr>, Option<Ipv4Addr>) {
        let v4 = |network: Option<IpNet>| match network {
            Some(IpNet::V4(network)) if network.prefix_len() == 32 => Some(network.addr()),
            _ => None,
        };
        (v4(self.src), v4(self.dst))
    }

    /// Whether some kernel can filter by a criterion that is asked for.
    pub fn may_be_left_to_kernel(&self, criterion: Criterion) -> bool {
        let (src, dst) = self.v4_addresses();
        match criterion {
            Criterion::Src => src.is_some(),
            Criterion::Dst => dst.is_some(),
            Criterion::Family | Criterion::Proto | Criterion::Zone | Criterion::Mark => true,
        }
    }
}
