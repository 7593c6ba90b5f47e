//! What would free most of the table.

use serde::Serialize;

use crate::{
    commands::who::verdict::seconds,
    kernel::netns::Namespace,
    say::protocol::protocol_name,
    table::{
        aggregate::{Aggregate, Service},
        entry::{Address, Class, TCP, UDP},
        owners::Owners,
    },
};

/// How many measures are shown.
const SHOWN: usize = 6;

/// Something that could be done, and what it would free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// What kind it is.
    pub kind: Kind,
    /// What it is about, in words.
    pub what: String,
    /// How many entries of the table it is about; at least as many, if keys had
    /// to be given up.
    pub entries: u64,
    /// How it is done, and what to think of.
    pub how: String,
}

/// Kinds of measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A shorter timeout.
    Timeout,
    /// Entries of one source.
    Source,
    /// Entries of one service.
    Service,
    /// Entries of one container, pod or namespace.
    Owner,
    /// Entries that saw no reply.
    Unreplied,
}

/// Where commands have to run: table and timeouts are those of a namespace.
#[derive(Clone, Debug)]
pub struct Inside {
    /// What goes before each command; see [`Namespace::entering`].
    enter: String,
    /// What is to be known besides.
    note: String,
}

impl Inside {
    /// That namespace.
    pub fn of(namespace: &Namespace) -> Self {
        Self::entered_by(namespace.entering(), &namespace.name)
    }

    fn entered_by(enter: Option<String>, name: &str) -> Self {
        let note = if enter.is_none() {
            format!("; to be run inside network namespace {name}, nothing is known that enters it")
        } else {
            String::new()
        };
        Self {
            enter: enter.unwrap_or_default(),
            note,
        }
    }

    /// What to do there: a command, and what to think of.
    fn run(&self, command: &str, remark: &str) -> String {
        let Self { enter, note } = self;
        format!("{enter}{command}{note}; {remark}")
    }
}

/// The measures that would free something, most first.
pub fn measures(sums: &Aggregate, owners: &Owners, inside: &Inside) -> Vec<Measure> {
    let mut measures: Vec<Measure> = sums
        .overdue
        .iter()
        .filter_map(|&overdue| timeout(overdue, inside))
        .collect();
    let source = sums.sources.most(|count| count.entries);
    measures
        .extend(source.map(|(address, count)| by_source(address, count.entries, owners, inside)));
    let service = sums.services.most(|count| count.entries);
    measures.extend(service.map(|(service, count)| by_service(service, count.entries, inside)));
    measures.extend(by_owner(sums, owners));
    if sums.progress.unreplied > 0 {
        measures.push(unreplied(sums.progress.unreplied));
    }
    measures.sort_by_key(|measure| std::cmp::Reverse(measure.entries));
    measures.truncate(SHOWN);
    measures
}

/// A shorter timeout, if there are entries that it would have ended.
fn timeout(
    (class, now, shortest, entries): (Class, u32, u32, u64),
    inside: &Inside,
) -> Option<Measure> {
    let name = class.sysctl().filter(|_| entries > 0)?;
    Some(Measure {
        kind: Kind::Timeout,
        what: format!(
            "net.netfilter.nf_conntrack_{name} from {} to {}",
            seconds(now),
            seconds(shortest)
        ),
        entries,
        how: inside.run(
            &format!("sysctl -w net.netfilter.nf_conntrack_{name}={shortest}"),
            "it holds for packets to come: entries that are there keep their time until they \
             are deleted",
        ),
    })
}

fn by_source(address: Address, entries: u32, owners: &Owners, inside: &Inside) -> Measure {
    let owner = owners.of(address).map(|name| format!(" ({name})"));
    Measure {
        kind: Kind::Source,
        what: format!("flows from {address}{}", owner.unwrap_or_default()),
        entries: u64::from(entries),
        how: inside.run(
            &format!("conntrack -D{} -s {address}", family(address)),
            "it breaks those in use behind NAT",
        ),
    }
}

/// The option for addresses of IPv6: without it some releases of conntrack look
/// among those of IPv4, as its manual page says.
fn family(address: Address) -> &'static str {
    if address.is_v4() { "" } else { " -f ipv6" }
}

fn by_service(service: Service, entries: u32, inside: &Inside) -> Measure {
    let Service {
        address,
        protocol,
        port,
    } = service;
    let name = protocol_name(protocol);
    let with_port = matches!(protocol, TCP | UDP);
    let (place, option) = if with_port {
        (format!(" port {port}"), format!(" --dport {port}"))
    } else {
        (String::new(), String::new())
    };
    Measure {
        kind: Kind::Service,
        what: format!("flows to {address} {name}{place}"),
        entries: u64::from(entries),
        how: inside.run(
            &format!(
                "conntrack -D{} -d {address} -p {name}{option}",
                family(address)
            ),
            "or do not track it (NOTRACK in table raw) if no rule and no NAT needs its state",
        ),
    }
}

/// The container, pod or namespace with most entries. The machine itself is none
/// that could be stopped.
fn by_owner(sums: &Aggregate, owners: &Owners) -> Option<Measure> {
    let others = sums
        .owners
        .iter()
        .filter(|&(&index, _)| !owners.is_machine(index));
    let (&index, count) = others.max_by_key(|(_, count)| count.entries)?;
    Some(Measure {
        kind: Kind::Owner,
        what: format!("flows of {}", owners.name(index)?),
        entries: u64::from(count.entries),
        how: "stop it, or limit its connections (ct count, connlimit)".to_owned(),
    })
}

fn unreplied(entries: u64) -> Measure {
    Measure {
        kind: Kind::Unreplied,
        what: "flows that saw no reply".to_owned(),
        entries,
        how: "early_drop evicts them when the table is full; drop or do not track what makes \
              them (table raw), SYNPROXY for TCP"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{
        aggregate::Circumstances, entry::Rules, hitters::Count, owners::tests::owners,
        timeouts::Timeouts,
    };

    const V4: Address = Address::v4([192, 0, 2, 7]);

    fn inside(enter: Option<&str>) -> Inside {
        Inside::entered_by(enter.map(ToOwned::to_owned), "eyes-1")
    }

    fn source(address: Address, enter: Option<&str>) -> String {
        by_source(address, 3, &Owners::default(), &inside(enter)).how
    }

    #[test]
    fn commands_act_on_the_namespace_that_the_table_is_of() {
        let begin = |how: &str, wanted: &str| assert!(how.starts_with(wanted), "{how}");
        begin(&source(V4, Some("")), "conntrack -D -s 192.0.2.7; ");
        let enter = Some("ip netns exec eyes-1 ");
        begin(
            &source(V4, enter),
            "ip netns exec eyes-1 conntrack -D -s 192.0.2.7; ",
        );
        let overdue = (Class::Tcp(3), 432_000, 7440, 5);
        begin(
            &timeout(overdue, &inside(enter)).unwrap().how,
            "ip netns exec eyes-1 sysctl -w \
             net.netfilter.nf_conntrack_tcp_timeout_established=7440; ",
        );
        let service = Service {
            address: V4,
            protocol: UDP,
            port: 53,
        };
        begin(
            &by_service(service, 3, &inside(Some("nsenter -t 7 -n "))).how,
            "nsenter -t 7 -n conntrack -D -d 192.0.2.7 -p udp --dport 53; ",
        );
    }

    #[test]
    fn where_nothing_is_known_that_enters_it_the_place_is_named() {
        let how = source(V4, None);
        assert!(
            how.starts_with(
                "conntrack -D -s 192.0.2.7; to be run inside network namespace eyes-1,"
            ),
            "{how}"
        );
    }

    #[test]
    fn ipv6_has_to_be_asked_for() {
        let address = Address::v6(std::net::Ipv6Addr::LOCALHOST.octets());
        let how = source(address, Some(""));
        assert!(how.starts_with("conntrack -D -f ipv6 -s ::1; "), "{how}");
    }

    #[test]
    fn a_timeout_that_would_end_nothing_is_no_measure() {
        let none = (Class::Tcp(3), 432_000, 7440, 0);
        assert_eq!(timeout(none, &inside(Some(""))), None);
    }

    #[test]
    fn nobody_is_told_to_stop_the_machine() {
        let mut sums = Aggregate::new(Circumstances {
            rules: Rules::of((6, 12)),
            timeouts: Timeouts::default(),
            now: 0,
        });
        let owners = owners();
        let mut have = |last, entries| {
            let index = owners.index_of(Address::v4([10, 0, 0, last])).unwrap();
            let count = Count {
                entries,
                ..Count::default()
            };
            sums.owners.insert(index, count);
        };
        // The host's own.
        have(5, 900);
        have(1, 20);
        have(3, 30);
        let measure = by_owner(&sums, &owners).unwrap();
        assert_eq!(
            (measure.what.as_str(), measure.entries),
            ("flows of docker/b", 30)
        );
        sums.owners.retain(|&index, _| owners.is_machine(index));
        assert_eq!(by_owner(&sums, &owners), None);
    }
}
