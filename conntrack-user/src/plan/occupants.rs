//! Who is in the table: by the kernel's dump of a namespace, entry by entry, or
//! by the text of `/proc/net/nf_conntrack` in a copied tree.

use std::{collections::HashMap, io::BufRead};

use anyhow::{Context as _, Result};

use crate::{
    facts::numbers::Timeouts,
    kernel::netns::Namespace,
    plan::diagnosis::Occupants,
    table::{
        dump,
        entry::{Address, Entry, Progress},
        filter::Filter,
        hitters::{Count, Hitters},
        socket::Socket,
    },
};

/// Sources that are counted one by one.
const SOURCES: usize = 14_336;

/// Seconds after which a connection on which nothing moves is idle.
const IDLE: u64 = 3600;

/// Seconds that an established connection stays without a packet.
fn established(timeouts: &Timeouts) -> u64 {
    let set = timeouts.get("tcp_timeout_established").copied();
    set.unwrap_or(432_000)
}

/// Dumps the table of a namespace and adds it up; in memory that does not grow
/// with it.
pub fn dump(namespace: &Namespace, timeouts: &Timeouts) -> Result<Occupants> {
    let inside = || -> Result<Occupants> {
        let mut socket = Socket::open().context("cannot open a netfilter netlink socket")?;
        let mut sums = Sums::new(established(timeouts));
        dump::dump(
            &mut socket,
            &Filter::default(),
            &mut |entry| sums.add(entry),
            &mut |_| {},
        )?;
        Ok(sums.occupants())
    };
    Ok(namespace.inside(inside)?)
}

/// Entries added up.
struct Sums {
    established: u64,
    occupants: Occupants,
    sources: Hitters<Address>,
}

impl Sums {
    fn new(established: u64) -> Self {
        Self {
            established,
            occupants: Occupants::default(),
            sources: Hitters::with_capacity(SOURCES),
        }
    }

    fn add(&mut self, entry: &Entry) {
        // One that hardware forwards has no time, and moves.
        let idle = entry.is_established()
            && entry
                .timeout
                .is_some_and(|left| self.established.saturating_sub(left.into()) >= IDLE);
        let unreplied = entry.progress() == Progress::Unreplied;
        self.occupants.entries += 1;
        self.occupants.idle += u64::from(idle);
        self.occupants.unreplied += u64::from(unreplied);
        if idle || unreplied {
            let one = Count {
                entries: 1,
                ..Count::default()
            };
            self.sources.add(entry.src, one);
        }
    }

    fn occupants(self) -> Occupants {
        let most = self.sources.most(|count| count.entries);
        Occupants {
            source: most.map(|(source, count)| (source.to_string(), count.entries.into())),
            ..self.occupants
        }
    }
}

/// Reads entries, one a line.
pub fn read(text: impl BufRead, timeouts: &Timeouts) -> Result<Occupants> {
    let established = established(timeouts);
    let mut occupants = Occupants::default();
    let mut sources: HashMap<String, u64> = HashMap::new();
    for line in text.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let Some(entry) = Line::parse(&line) else {
            continue;
        };
        occupants.entries += 1;
        let idle = entry.established && established.saturating_sub(entry.left) >= IDLE;
        occupants.unreplied += u64::from(entry.unreplied);
        occupants.idle += u64::from(idle);
        if idle || entry.unreplied {
            if let Some(count) = sources.get_mut(entry.source) {
                *count += 1;
            } else if sources.len() < SOURCES {
                sources.insert(entry.source.to_owned(), 1);
            }
        }
    }
    occupants.source = sources
        .into_iter()
        .max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
    Ok(occupants)
}

struct Line<'l> {
    /// Seconds left.
    left: u64,
    source: &'l str,
    unreplied: bool,
    established: bool,
}

impl<'l> Line<'l> {
    /// `ipv4     2 tcp      6 431999 ESTABLISHED src=… dst=… sport=… dport=… src=… [ASSURED] …`;
    /// `ip_conntrack` begins with the protocol. An entry that is offloaded shows
    /// no time.
    fn parse(line: &'l str) -> Option<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let source = words.iter().find_map(|word| word.strip_prefix("src="))?;
        let at = if matches!(words[0], "ipv4" | "ipv6") {
            4
        } else {
            2
        };
        Some(Self {
            left: words
                .get(at)
                .and_then(|word| word.parse().ok())
                .unwrap_or(u64::MAX),
            source,
            unreplied: words.contains(&"[UNREPLIED]"),
            established: words.get(at + 1) == Some(&"ESTABLISHED"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_are_read() {
        let text = "\
ipv4     2 tcp      6 428000 ESTABLISHED src=192.0.2.1 dst=192.0.2.9 sport=1 dport=80 src=192.0.2.9 dst=192.0.2.1 sport=80 dport=1 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 431999 ESTABLISHED src=192.0.2.2 dst=192.0.2.9 sport=1 dport=80 src=192.0.2.9 dst=192.0.2.2 sport=80 dport=1 [ASSURED] mark=0 zone=0 use=2
ipv6     10 udp      17 29 src=2001:db8::1 dst=2001:db8::2 sport=1 dport=53 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 sport=53 dport=1 mark=0 zone=0 use=2
tcp      6 300000 ESTABLISHED src=192.0.2.1 dst=192.0.2.9 sport=2 dport=80 packets=1 bytes=40 src=192.0.2.9 dst=192.0.2.1 sport=80 dport=2 packets=1 bytes=40 [ASSURED] mark=0 use=1
nonsense
";
        let found = read(text.as_bytes(), &Timeouts::new()).unwrap();
        let expected = Occupants {
            entries: 4,
            unreplied: 1,
            idle: 2,
            source: Some(("192.0.2.1".to_owned(), 2)),
        };
        assert_eq!(found, expected);
    }
    #[test]
    fn entries_of_a_dump_are_added_up() {
        let mut sums = Sums::new(432_000);
        let connection = |last, left| Entry {
            protocol: crate::table::entry::TCP,
            state: Some(crate::table::entry::TCP_ESTABLISHED),
            // Seen a reply, assured.
            status: 0b110,
            src: Address::v4([192, 0, 2, last]),
            timeout: left,
            ..Entry::default()
        };
        sums.add(&connection(1, Some(428_000)));
        sums.add(&connection(1, Some(300_000)));
        sums.add(&connection(2, Some(431_999)));
        // Forwarded by hardware.
        sums.add(&connection(2, None));
        sums.add(&Entry {
            protocol: crate::table::entry::UDP,
            src: Address::v4([192, 0, 2, 3]),
            timeout: Some(29),
            ..Entry::default()
        });
        let expected = Occupants {
            entries: 5,
            unreplied: 1,
            idle: 2,
            source: Some(("192.0.2.1".to_owned(), 2)),
        };
        assert_eq!(sums.occupants(), expected);
    }
}
