//! A table added up, as far as a diagnosis needs it: who has entries, which of
//! them nobody answers, which of them nobody uses.

use std::net::IpAddr;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    incident::thresholds,
    say::protocol::{has_ports, is_icmp, protocol_name},
    table::{
        aggregate::{self, Aggregate},
        entry::Address,
        heavy_hitters::{Count, HeavyHitters},
        idle::SecondLook,
        owners::Owners,
    },
};

/// The sysctl of the timeout that a leak lives by, below
/// `net.netfilter.nf_conntrack_`.
pub const ESTABLISHED: &str = "tcp_timeout_established";

/// What a service is: destination, protocol, port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Address, before NAT.
    pub address: IpAddr,
    /// IP protocol.
    pub protocol: u8,
    /// Port, or ICMP type × 256 + code.
    pub port: u16,
}

/// The key with most entries of a kind, and what else it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heaviest<K> {
    /// A source, or a service.
    pub key: K,
    /// The container, pod or namespace whose address it is, where that is known.
    pub owner: Option<String>,
    /// Its entries.
    pub entries: u64,
    /// Of these, those that saw no reply.
    pub unreplied: u64,
    /// Of these, established connections that are idle by the first look.
    pub idle: u64,
}

/// Entries that a shorter timeout would have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The sysctl, below `net.netfilter.nf_conntrack_`.
    pub timeout: &'static str,
    /// The timeout, in seconds.
    pub now: u32,
    /// The shortest that can be advised.
    pub shortest: u32,
    /// Entries that have been idle for longer than that.
    pub entries: u64,
}

/// A table, or a part of it, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Whether the entries are only some of the table's, by a filter.
    pub filtered: bool,
    /// Entries.
    pub entries: u64,
    /// Of these, those that saw no reply.
    pub unreplied: u64,
    /// How many different sources these have.
    pub unreplied_sources: u64,
    /// Established TCP connections.
    pub established: u64,
    /// Of these, those without a packet for [`thresholds::IDLE`] or longer, by
    /// the first look.
    pub idle: u64,
    /// Of these, those of which the first look cannot tell it.
    pub idle_unknown: u64,
    /// By how many entries the counts of a key can be too low: more keys than
    /// have room.
    pub error_bound: u64,
    /// The source with most entries.
    pub source: Option<Heaviest<IpAddr>>,
    /// The source with most idle connections.
    pub idle_source: Option<Heaviest<IpAddr>>,
    /// The source with most entries without reply.
    pub unreplied_source: Option<Heaviest<IpAddr>>,
    /// The service with most entries.
    pub service: Option<Heaviest<Service>>,
    /// The service with most entries without reply.
    pub unreplied_service: Option<Heaviest<Service>>,
    /// The container, pod or namespace with most entries, and how many. The
    /// machine itself is none that could be stopped.
    pub owner: Option<(String, u64)>,
    /// Entries that shorter timeouts would have ended.
    pub overdue: Vec<Overdue>,
    /// What a second look at idle connections has shown, if there was one.
    pub second: Option<SecondLook>,
}

/// Idle connections of a table, by all that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// Those that are idle.
    pub idle: u64,
    /// Those of which it is not known.
    pub unknown: u64,
}

impl<K> Heaviest<K> {
    fn new<T>((key, count): (T, Count), name: impl Fn(T) -> (K, Option<String>)) -> Self {
        let (key, owner) = name(key);
        Self {
            key,
            owner,
            entries: count.entries.into(),
            unreplied: count.unreplied.into(),
            idle: count.idle.into(),
        }
    }
}

/// As all JSON names a service (docs/json.md).
impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("address", &self.address)?;
        map.serialize_entry("protocol", &protocol_name(self.protocol))?;
        if has_ports(self.protocol) {
            map.serialize_entry("port", &self.port)?;
        } else if is_icmp(self.protocol) {
            let [kind, code] = self.port.to_be_bytes();
            map.serialize_entry("icmp_type", &kind)?;
            map.serialize_entry("icmp_code", &code)?;
        }
        map.end()
    }
}

impl Service {
    /// A service of a table.
    pub fn of(service: aggregate::Service) -> Self {
        let aggregate::Service {
            address,
            protocol,
            port,
        } = service;
        Self {
            address: address.ip(),
            protocol,
            port,
        }
    }
}

/// Whether the sums of a table are such that connections have to be looked at
/// twice before it is judged.
pub fn in_doubt(sums: &Aggregate) -> bool {
    Census::of(sums, &Owners::default()).wants_second_look()
}

impl Census {
    /// Of a table that was added up, with the names of owners that are known.
    pub fn of(sums: &Aggregate, owners: &Owners) -> Self {
        let owner = |address: Address| owners.of(address).map(ToOwned::to_owned);
        let heaviest = |most: Option<(Address, Count)>| {
            most.map(|most| Heaviest::new(most, |address| (address.ip(), owner(address))))
        };
        let service = |most: Option<(aggregate::Service, Count)>| {
            let named = |it: aggregate::Service| (Service::of(it), owner(it.address));
            most.map(|most| Heaviest::new(most, named))
        };
        let bound = |hitters: &HeavyHitters<Address>| u64::from(hitters.error_bound());
        Self {
            filtered: false,
            entries: sums.entries,
            unreplied: sums.progress.unreplied,
            unreplied_sources: sums.sources.distinct_unreplied(),
            established: sums.established,
            idle: sums.idle_established,
            idle_unknown: sums.idle_unknown,
            error_bound: bound(&sums.sources).max(sums.services.error_bound().into()),
            source: heaviest(sums.sources.most(|count| count.entries)),
            idle_source: heaviest(sums.sources.most(|count| count.idle)),
            unreplied_source: heaviest(sums.sources.most(|count| count.unreplied)),
            service: service(sums.services.most(|count| count.entries)),
            unreplied_service: service(sums.services.most(|count| count.unreplied)),
            owner: owner_with_most(sums, owners),
            overdue: overdue(sums),
            second: sums.second,
        }
    }

    /// The second look, if it has shown anything.
    pub(super) fn second_look(&self) -> Option<&SecondLook> {
        self.second.as_ref().filter(|second| second.looked > 0)
    }

    /// Idle connections: by the second look, whose sample stands for all those in
    /// question, or else by the first one.
    pub fn idle(&self) -> Idle {
        let Some(second) = self.second_look() else {
            return Idle {
                idle: self.idle,
                unknown: self.idle_unknown,
            };
        };
        let in_question = self.idle + self.idle_unknown;
        let of = |part| scaled(in_question, part, second.looked);
        Idle {
            idle: of(second.idle),
            unknown: of(second.unknown),
        }
    }

    /// The source with the most idle connections, and how many it has, by all
    /// that is known.
    pub fn idle_source(&self) -> Option<(IpAddr, u64)> {
        match self.second_look() {
            None => {
                let source = self.idle_source.as_ref()?;
                Some((source.key, source.idle))
            }
            Some(second) => {
                let in_question = self.idle + self.idle_unknown;
                let (source, idle) = second.idle_source?;
                Some((source, scaled(in_question, idle, second.looked)))
            }
        }
    }

    /// Entries that shorter timeouts would have ended, by all that is known: of
    /// established connections only those that are idle.
    pub(super) fn overdue(&self) -> Vec<Overdue> {
        let idle = |entries| match self.second_look() {
            None => entries,
            Some(second) => scaled(entries, second.idle, second.looked),
        };
        let each = self.overdue.iter().map(|&overdue| Overdue {
            entries: if overdue.timeout == ESTABLISHED {
                idle(overdue.entries)
            } else {
                overdue.entries
            },
            ..overdue
        });
        each.collect()
    }

    /// Whether a second look is to show if connections are idle: as by the first
    /// one they may be a leak.
    pub fn wants_second_look(&self) -> bool {
        self.second.is_none()
            && self.entries >= thresholds::FEW
            && thresholds::is_share(
                self.idle + self.idle_unknown,
                self.entries,
                thresholds::LEAK_OF_ONE,
            )
    }
}

/// The container, pod or namespace with most entries. The machine itself is none
/// that could be stopped.
fn owner_with_most(sums: &Aggregate, owners: &Owners) -> Option<(String, u64)> {
    let others = sums
        .owners
        .iter()
        .filter(|&(&index, _)| !owners.is_machine(index));
    let (&index, count) = others.max_by_key(|(_, count)| count.entries)?;
    Some((owners.name(index)?.to_owned(), count.entries.into()))
}

fn overdue(sums: &Aggregate) -> Vec<Overdue> {
    let each = sums.overdue.iter();
    each.filter_map(|&(class, now, shortest, entries)| {
        Some(Overdue {
            timeout: class.sysctl()?,
            now,
            shortest,
            entries,
        })
    })
    .collect()
}

/// A part of a whole, as large as the same part of a sample.
fn scaled(whole: u64, part: u64, sample: u64) -> u64 {
    let scaled = u128::from(whole) * u128::from(part) / u128::from(sample.max(1));
    u64::try_from(scaled).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_all_in_question() {
        let source = IpAddr::from([10, 0, 0, 7]);
        let mut census = Census {
            entries: 10_000,
            idle: 5_000,
            idle_unknown: 1_000,
            ..Census::default()
        };
        assert!(census.wants_second_look());
        assert_eq!((census.idle().idle, census.idle().unknown), (5_000, 1_000));
        census.second = Some(SecondLook {
            looked: 600,
            alive: 300,
            idle: 200,
            unknown: 100,
            idle_source: Some((source, 50)),
            ..SecondLook::default()
        });
        assert_eq!((census.idle().idle, census.idle().unknown), (2_000, 1_000));
        assert_eq!(census.idle_source(), Some((source, 500)));
        assert!(!census.wants_second_look());
        // All that was looked at had ended: the first look is all there is.
        census.second = Some(SecondLook::default());
        assert_eq!(census.idle().idle, 5_000);
    }

    #[test]
    fn honest_tables_are_not_looked_at_twice() {
        let census = Census {
            entries: 10_000,
            idle: 2_000,
            ..Census::default()
        };
        assert!(!census.wants_second_look());
        let few = Census {
            entries: 50,
            idle: 50,
            ..Census::default()
        };
        assert!(!few.wants_second_look());
    }
}
