//! Whether an established connection is idle.
//!
//! The kernel tells no entry's last packet, only its remaining time: each packet
//! sets that anew to the timeout in force, so that the time since the last one is
//! the timeout less what remains. The sysctl is the timeout in force of most
//! entries, but not of all: a rule can give flows another (`ct timeout` of
//! nftables, the target CT), a tool can set one (conntrack -U -t, conntrackd),
//! and data that nobody has acknowledged yet shortens it
//! (`tcp_timeout_unacknowledged`, `tcp_timeout_max_retrans`;
//! `net/netfilter/nf_conntrack_proto_tcp.c: nf_conntrack_tcp_packet`, 4.12 to
//! 7.3). So what one look tells is an [`estimate`]; a second look some seconds
//! later shows which entries have had packets in between.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use serde::Serialize;

/// By how much the remaining time of an entry must differ from that of a silent
/// one if it has had a packet. The kernel tells whole seconds, rounded down, so
/// that a silent entry can seem to differ by up to a second.
const REFRESHED: Duration = Duration::from_millis(1250);

/// An entry that was made later than this, in seconds, may be of an older
/// connection: one that was taken over from another host (conntrackd, conntrack
/// -I) keeps its remaining time. So its age does not speak against an estimate.
const TAKEN_OVER: u32 = 600;

/// How long established connections last without packets, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// `tcp_timeout_established`.
    pub established: Option<u32>,
    /// The longer one of `tcp_timeout_unacknowledged` and
    /// `tcp_timeout_max_retrans`.
    pub in_flight: u32,
}

/// What one look tells of an established connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Seconds that remain; none of a connection that a flowtable forwards, which
    /// gives it up once it is silent for half a minute.
    pub remaining: Option<u32>,
    /// Seconds since the entry was made, where the kernel notes that
    /// (`nf_conntrack_timestamp`).
    pub age: Option<u32>,
    /// Packets of both directions, where the kernel counts them
    /// (`nf_conntrack_acct`).
    pub packets: Option<u64>,
    /// Whether packets leave the remaining time as it is
    /// (`IPS_FIXED_TIMEOUT`).
    pub fixed: bool,
}

/// For how long a connection has been idle, by one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimate {
    /// So many seconds, if the sysctl is the timeout in force.
    For(u32),
    /// The sysctl cannot be, or need not be, the timeout in force.
    Unknown,
}

/// What one look tells.
///
/// Unknown is what remains longer than the sysctl allows; what has no more time
/// than data in flight leaves; and what would have been idle before it was made.
pub fn estimate(look: &Look, timeouts: &InForce) -> Estimate {
    let Some(remaining) = look.remaining else {
        return Estimate::For(0);
    };
    let known = || {
        let established = timeouts.established?;
        let idle = established.checked_sub(remaining)?;
        let in_flight = established > timeouts.in_flight && remaining <= timeouts.in_flight;
        (!look.fixed && !in_flight && !look.is_younger_than(idle)).then_some(idle)
    };
    known().map_or(Estimate::Unknown, Estimate::For)
}

impl Look {
    /// Whether an entry of a connection that has been idle for so many seconds
    /// would have to be older.
    fn is_younger_than(&self, idle: u32) -> bool {
        self.age
            .is_some_and(|age| age >= TAKEN_OVER && idle > age.saturating_add(1))
    }
}

/// A connection that was looked at twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Who has opened it.
    pub source: IpAddr,
    /// The first look.
    pub first: Look,
    /// The second one; none if the entry is gone, or closing.
    pub second: Option<Look>,
    /// Time between the two.
    pub apart: Apart,
}

/// Time between two looks. Each is taken by the kernel somewhen between a request
/// and its answer, which can be long on a busy machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apart {
    /// From the first answer to the second request.
    pub at_least: Duration,
    /// From the first request to the second answer.
    pub at_most: Duration,
}

/// What a second look at some connections has shown: those that the first look
/// called idle, or could not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecondLook {
    /// Connections that were still there: all of the following.
    pub looked: u64,
    /// Those that have had a packet in between.
    pub alive: u64,
    /// Those that have had none, and are idle by the timeout in force.
    pub idle: u64,
    /// Those that have had none, and whose timeout in force is not known.
    pub unknown: u64,
    /// Connections that had ended in between.
    pub gone: u64,
    /// Seconds between the two looks.
    pub seconds: u64,
    /// The longest timeout in force that is not the sysctl's, in seconds, as far
    /// as packets have shown one.
    pub other_timeout: Option<u32>,
    /// The source with the most idle connections, and how many.
    pub idle_source: Option<(IpAddr, u64)>,
}

impl Pair {
    /// Whether there was a packet in between.
    fn is_alive(&self, second: &Look) -> bool {
        let counted = self.first.packets.zip(second.packets);
        if let Some((first, second)) = counted {
            return second > first;
        }
        let remaining = |look: &Look| look.remaining.filter(|_| !look.fixed);
        let (Some(first), Some(remaining)) = (remaining(&self.first), remaining(second)) else {
            return false;
        };
        let (first, remaining) = (
            Duration::from_secs(first.into()),
            Duration::from_secs(remaining.into()),
        );
        // A packet can also shorten it: data in flight has a timeout of its own.
        remaining + self.apart.at_least >= first + REFRESHED
            || remaining + self.apart.at_most + REFRESHED <= first
    }
}

impl SecondLook {
    /// Judges connections that were looked at twice; idle is what has had no
    /// packet for so many seconds.
    pub fn of(pairs: &[Pair], timeouts: &InForce, idle_after: u32) -> Self {
        let mut found = Self {
            seconds: pairs
                .iter()
                .map(|pair| pair.apart.at_most.as_secs())
                .max()
                .unwrap_or(0),
            other_timeout: other_timeout(pairs, timeouts),
            ..Self::default()
        };
        let mut idle: HashMap<IpAddr, u64> = HashMap::new();
        for pair in pairs {
            let Some(second) = &pair.second else {
                found.gone += 1;
                continue;
            };
            found.looked += 1;
            if pair.is_alive(second) {
                found.alive += 1;
            } else if silence(second, timeouts, found.other_timeout) >= Some(idle_after) {
                found.idle += 1;
                *idle.entry(pair.source).or_default() += 1;
            } else {
                found.unknown += 1;
            }
        }
        found.idle_source = idle
            .into_iter()
            .max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)));
        found
    }
}

/// The longest timeout that a packet has set and that is not the sysctl's.
fn other_timeout(pairs: &[Pair], timeouts: &InForce) -> Option<u32> {
    let established = timeouts.established?;
    let set = pairs.iter().filter_map(|pair| {
        let second = pair
            .second
            .as_ref()
            .filter(|second| pair.is_alive(second))?;
        let after = second.remaining.filter(|_| !second.fixed)?;
        // The packet came after the first look, so no more than that has passed.
        let at_most = u64::from(after) + pair.apart.at_most.as_secs() + 1;
        (at_most < established.into()).then_some(u32::try_from(at_most).ok()?)
    });
    set.max()
}

/// For how many seconds a connection without a packet between the two looks has
/// been idle, at least; none if that is not known. Where a packet of another
/// connection has shown another timeout, this one may live by that as well; and
/// where no more remains than data in flight leaves, by that.
fn silence(look: &Look, timeouts: &InForce, other: Option<u32>) -> Option<u32> {
    let remaining = look.remaining.filter(|_| !look.fixed)?;
    let established = timeouts.established?;
    let in_flight = (established > timeouts.in_flight).then_some(timeouts.in_flight);
    let shorter = [other, in_flight].into_iter().flatten();
    let shortest = shorter
        .filter(|&timeout| remaining <= timeout)
        .fold(established, u32::min);
    shortest
        .checked_sub(remaining)
        .filter(|&idle| !look.is_younger_than(idle))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 3600;
    const DAY: u32 = 86_400;
    const FIVE_DAYS: InForce = InForce {
        established: Some(432_000),
        in_flight: 300,
    };

    fn look(remaining: u32) -> Look {
        Look {
            remaining: Some(remaining),
            ..Look::default()
        }
    }

    fn pair(first: u32, second: u32) -> Pair {
        Pair {
            source: IpAddr::from([10, 0, 0, 7]),
            first: look(first),
            second: Some(look(second)),
            apart: Apart {
                at_least: Duration::from_millis(3100),
                at_most: Duration::from_millis(3100),
            },
        }
    }

    fn second_look(pairs: &[Pair]) -> SecondLook {
        SecondLook::of(pairs, &FIVE_DAYS, HOUR)
    }

    #[test]
    fn one_look_tells_what_the_sysctl_bounds() {
        let estimate = |look| estimate(&look, &FIVE_DAYS);
        assert_eq!(estimate(look(432_000)), Estimate::For(0));
        assert_eq!(estimate(look(345_600)), Estimate::For(DAY));
        assert_eq!(
            estimate(look(432_001)),
            Estimate::Unknown,
            "conntrack -U -t"
        );
        assert_eq!(estimate(look(300)), Estimate::Unknown, "data in flight");
        assert_eq!(estimate(Look::default()), Estimate::For(0), "offloaded");
        let fixed = Look {
            fixed: true,
            ..look(100)
        };
        assert_eq!(estimate(fixed), Estimate::Unknown);
        let aged = |age| Look {
            age: Some(age),
            ..look(345_600)
        };
        assert_eq!(estimate(aged(DAY)), Estimate::For(DAY));
        assert_eq!(estimate(aged(HOUR)), Estimate::Unknown, "it is younger");
        assert_eq!(estimate(aged(60)), Estimate::For(DAY), "taken over");
    }

    #[test]
    fn a_short_sysctl_is_no_data_in_flight() {
        let timeouts = InForce {
            established: Some(300),
            in_flight: 300,
        };
        assert_eq!(estimate(&look(100), &timeouts), Estimate::For(200));
        let unknown = InForce {
            established: None,
            ..timeouts
        };
        assert_eq!(estimate(&look(100), &unknown), Estimate::Unknown);
    }

    #[test]
    fn what_was_refreshed_is_alive_under_any_timeout() {
        // A packet every half second under a policy of ten minutes.
        let live = second_look(&[pair(600, 600), pair(599, 600), pair(600, 599)]);
        assert_eq!((live.looked, live.alive), (3, 3));
        assert_eq!(live.other_timeout, Some(604));
        assert_eq!(live.idle_source, None);
    }

    #[test]
    fn what_fell_with_the_time_is_silent() {
        // Whole seconds, rounded down: the fall can seem a second too small.
        let idle = second_look(&[pair(86_400, 86_397), pair(86_400, 86_398), pair(9000, 8996)]);
        assert_eq!((idle.idle, idle.alive, idle.unknown), (3, 0, 0));
        let source = IpAddr::from([10, 0, 0, 7]);
        assert_eq!(idle.idle_source, Some((source, 3)));
    }

    #[test]
    fn an_answer_that_came_late_shows_no_packet() {
        // The second answer was read three seconds after the kernel had given it.
        let late = Pair {
            apart: Apart {
                at_least: Duration::from_millis(3100),
                at_most: Duration::from_millis(6100),
            },
            ..pair(86_400, 86_397)
        };
        let refreshed = Pair {
            second: Some(look(86_400)),
            ..late
        };
        assert_eq!(second_look(&[late]).idle, 1);
        assert_eq!(second_look(&[refreshed]).alive, 1);
    }

    #[test]
    fn a_packet_that_shortens_the_time_is_one() {
        let sent = second_look(&[pair(600, 300), pair(600, 599), pair(300, 600)]);
        assert_eq!((sent.alive, sent.idle), (3, 0));
    }

    #[test]
    fn a_silent_one_below_another_timeout_is_unknown() {
        let mixed = second_look(&[pair(600, 600), pair(500, 497), pair(86_400, 86_397)]);
        assert_eq!((mixed.alive, mixed.unknown, mixed.idle), (1, 1, 1));
        // By a policy of three hours it has been idle for two at least.
        let mixed = second_look(&[pair(10_800, 10_800), pair(3000, 2997)]);
        assert_eq!((mixed.alive, mixed.idle), (1, 1));
    }

    #[test]
    fn packets_that_were_counted_are_seen_whatever_remains() {
        let counted = |packets| Look {
            packets: Some(packets),
            fixed: true,
            ..look(0)
        };
        let pair = |second| Pair {
            first: counted(7),
            second: Some(counted(second)),
            ..pair(0, 0)
        };
        let found = second_look(&[pair(8), pair(7)]);
        assert_eq!(found.alive, 1);
    }

    #[test]
    fn what_is_gone_is_neither() {
        let gone = Pair {
            second: None,
            ..pair(86_400, 0)
        };
        let found = second_look(&[gone]);
        assert_eq!((found.looked, found.gone), (0, 1));
    }
}
