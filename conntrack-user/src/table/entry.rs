//! An entry of the conntrack table, and what it means: its state by name, who
//! may evict it, how long it has been idle.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use serde::{Serialize, Serializer};

use crate::table::{early_drop::Search, idle::Look};

// `enum ip_conntrack_status`, `linux/netfilter/nf_conntrack_common.h`.
pub(super) const SEEN_REPLY: u32 = 1 << 1;
pub(super) const ASSURED: u32 = 1 << 2;
const DYING: u32 = 1 << 9;
const FIXED_TIMEOUT: u32 = 1 << 10;
pub(super) const OFFLOAD: u32 = 1 << 14;

/// `IPPROTO_TCP`.
pub const TCP: u8 = 6;
/// `IPPROTO_UDP`.
pub const UDP: u8 = 17;
pub(super) const ICMP: u8 = 1;
pub(super) const DCCP: u8 = 33;
const GRE: u8 = 47;
const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// `TCP_CONNTRACK_ESTABLISHED`.
pub const TCP_ESTABLISHED: u8 = 3;

/// Names of `enum tcp_conntrack`, `linux/netfilter/nf_conntrack_tcp.h`, as
/// `conntrack -L` writes them.
const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// Names of `enum sctp_conntrack`, `linux/netfilter/nf_conntrack_sctp.h`.
const SCTP_STATES: [&str; 10] = [
    "NONE",
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
    "HEARTBEAT_SENT",
    "HEARTBEAT_ACKED",
];

/// Names of `enum ct_dccp_states`, `linux/netfilter/nf_conntrack_dccp.h`.
const DCCP_STATES: [&str; 10] = [
    "NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE",
    "INVALID",
];

/// The number of the state of that name, of protocols that have states. Linux 2.4
/// and 2.6 up to 2.6.30 have `LISTEN` where later ones have `SYN_SENT2`
/// (`ip_conntrack_proto_tcp.c: tcp_conntrack_names`).
pub(super) fn state_number(protocol: u8, name: &[u8]) -> Option<u8> {
    let name = match name {
        b"LISTEN" => b"SYN_SENT2",
        name => name,
    };
    let names = state_names(protocol)?;
    let place = names.iter().position(|state| state.as_bytes() == name)?;
    u8::try_from(place).ok()
}

/// The names of the states of a protocol that has some.
const fn state_names(protocol: u8) -> Option<&'static [&'static str; 10]> {
    match protocol {
        TCP => Some(&TCP_STATES),
        SCTP => Some(&SCTP_STATES),
        DCCP => Some(&DCCP_STATES),
        _ => None,
    }
}

/// An address of either family; an IPv4 one is mapped (`::ffff:192.0.2.1`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u128);

impl Address {
    /// An IPv4 address from its four bytes.
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self(0xffff_0000_0000 | u32::from_be_bytes(bytes) as u128)
    }

    /// An IPv6 address from its sixteen bytes.
    pub const fn v6(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The same as the standard library has it.
    pub const fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.0).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets()),
            IpAddr::V6(address) => Self::v6(address.octets()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a dump says of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// IP protocol.
    pub protocol: u8,
    /// Source of the original direction.
    pub src: Address,
    /// Destination of the original direction, before any NAT.
    pub dst: Address,
    /// Source port, or ICMP id; 0 for protocols without.
    pub sport: u16,
    /// Destination port, or ICMP type × 256 + code.
    pub dport: u16,
    /// Source of the reply direction: who answers in fact, after NAT.
    pub reply_src: Address,
    /// Zone of the original direction.
    pub zone: u16,
    /// Mark; 0 if it has none.
    pub mark: u32,
    /// Bits of `enum ip_conntrack_status`.
    pub status: u32,
    /// Seconds until it expires; unknown for one that hardware forwards.
    pub timeout: Option<u32>,
    /// State of TCP, SCTP or DCCP, as a number of that protocol.
    pub state: Option<u8>,
    /// When it was made, in nanoseconds since 1970; only where
    /// `nf_conntrack_timestamp` was on at that time.
    pub start: Option<u64>,
    /// Packets of both directions; only where `nf_conntrack_acct` was on when it
    /// was made.
    pub packets: Option<u64>,
}

/// How far a flow has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// Nothing has come back.
    Unreplied,
    /// Something has, but the flow may still be evicted.
    Replied,
    /// The flow is safe from `early_drop`.
    Assured,
}

/// Who may make an entry leave before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Eviction {
    /// `early_drop`, when a new flow finds the table full.
    EarlyDrop,
    /// Not `early_drop`, but the garbage collector, once the table has been
    /// full, while it is 95 % full (`gc_worker`, 4.12+): a closing connection.
    Collector,
    /// Nobody: it stays until its timeout.
    Nobody,
}

/// Rules that differ between kernels.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether the garbage collector takes closing connections of a table that
    /// has been full (since 4.12).
    pub collector: bool,
    /// Whether `early_drop` spares entries that a flowtable forwards (up to 6.1).
    pub spares_offloaded: bool,
    /// What `early_drop` looks at.
    pub search: Search,
}

impl Rules {
    /// Those of a kernel release, by its first two numbers.
    pub fn of(release: (u32, u32)) -> Self {
        Self {
            collector: release >= (4, 12),
            spares_offloaded: release <= (6, 1),
            search: Search::of(release),
        }
    }
}

impl Entry {
    /// How far the flow has come.
    pub const fn progress(&self) -> Progress {
        if self.status & ASSURED != 0 {
            Progress::Assured
        } else if self.status & SEEN_REPLY != 0 {
            Progress::Replied
        } else {
            Progress::Unreplied
        }
    }

    /// Who may evict it: `early_drop_list` and `gc_worker_can_early_drop`
    /// (`nf_conntrack_core.c`), `tcp_can_early_drop` and its like
    /// (`nf_conntrack_proto_*.c`), 4.12 to 7.3.
    pub fn eviction(&self, rules: Rules) -> Eviction {
        if self.status & DYING != 0 {
            return Eviction::Nobody;
        }
        let offloaded = self.status & OFFLOAD != 0;
        if self.status & ASSURED == 0 && !(offloaded && rules.spares_offloaded) {
            return Eviction::EarlyDrop;
        }
        if rules.collector && !offloaded && self.is_closing() {
            return Eviction::Collector;
        }
        Eviction::Nobody
    }

    /// Whether the connection is being closed.
    fn is_closing(&self) -> bool {
        match (self.protocol, self.state) {
            (TCP, Some(state)) => (4..=8).contains(&state),
            (SCTP | DCCP, Some(state)) => (5..=7).contains(&state),
            _ => false,
        }
    }

    /// Whether it is of the same flow as another one.
    pub fn is_same_flow(&self, other: &Self) -> bool {
        let flow = |it: &Self| (it.protocol, it.src, it.dst, it.sport, it.dport);
        flow(self) == flow(other)
    }

    /// Whether it is an established TCP connection.
    pub fn is_established(&self) -> bool {
        self.protocol == TCP && self.state == Some(TCP_ESTABLISHED)
    }

    /// Seconds since it was made, at that time in nanoseconds since 1970.
    pub fn age(&self, now: u64) -> Option<u32> {
        let age = now.saturating_sub(self.start?) / 1_000_000_000;
        Some(u32::try_from(age).unwrap_or(u32::MAX))
    }

    /// What tells whether it is idle, at that time in nanoseconds since 1970.
    pub fn look(&self, now: u64) -> Look {
        Look {
            remaining: self.timeout,
            age: self.age(now),
            packets: self.packets,
            fixed: self.status & FIXED_TIMEOUT != 0,
        }
    }

    /// The timeout that the kernel gave it with its last packet.
    pub fn class(&self) -> Class {
        let assured = self.status & ASSURED != 0;
        match (self.protocol, self.state) {
            (TCP, state) => Class::Tcp(state.unwrap_or(0)),
            (UDP, _) if assured => Class::UdpStream,
            (UDP, _) => Class::Udp,
            (ICMP, _) => Class::Icmp,
            (ICMPV6, _) => Class::Icmpv6,
            (GRE, _) if assured => Class::GreStream,
            (GRE, _) => Class::Gre,
            (SCTP | DCCP, _) => Class::Other,
            _ => Class::Generic,
        }
    }

    /// Name of the state, of protocols that have states.
    pub fn state_name(protocol: u8, state: Option<u8>) -> Option<&'static str> {
        let name = state_names(protocol)?.get(usize::from(state?));
        Some(name.copied().unwrap_or("UNKNOWN"))
    }
}

/// Which of the kernel's timeouts an entry lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Of TCP, by state.
    Tcp(u8),
    /// UDP that went one way, or both once.
    Udp,
    /// UDP both ways, lasting.
    UdpStream,
    /// ICMP.
    Icmp,
    /// `ICMPv6`.
    Icmpv6,
    /// GRE one way.
    Gre,
    /// GRE both ways.
    GreStream,
    /// A protocol that conntrack does not know.
    Generic,
    /// SCTP and DCCP, whose timeouts are short but for established ones.
    Other,
}

impl Class {
    /// The sysctl of its timeout, below `net.netfilter.nf_conntrack_`.
    pub const fn sysctl(self) -> Option<&'static str> {
        Some(match self {
            Self::Tcp(1 | 9) => "tcp_timeout_syn_sent",
            Self::Tcp(2) => "tcp_timeout_syn_recv",
            Self::Tcp(3) => "tcp_timeout_established",
            Self::Tcp(4) => "tcp_timeout_fin_wait",
            Self::Tcp(5) => "tcp_timeout_close_wait",
            Self::Tcp(6) => "tcp_timeout_last_ack",
            Self::Tcp(7) => "tcp_timeout_time_wait",
            Self::Tcp(8) => "tcp_timeout_close",
            Self::Udp => "udp_timeout",
            Self::UdpStream => "udp_timeout_stream",
            Self::Icmp => "icmp_timeout",
            Self::Icmpv6 => "icmpv6_timeout",
            Self::Gre => "gre_timeout",
            Self::GreStream => "gre_timeout_stream",
            Self::Generic => "generic_timeout",
            Self::Tcp(_) | Self::Other => return None,
        })
    }

    /// The shortest timeout, in seconds, that can be advised without breaking
    /// flows that only rest: RFC 5382 (REQ-5) for established TCP, RFC 4787
    /// (REQ-5) for UDP both ways; else the kernel's default
    /// (`nf_conntrack_proto_*.c`, the same from 4.12 to 7.3).
    pub const fn shortest(self) -> Option<u32> {
        Some(match self {
            Self::Tcp(3) => 7440,
            Self::Tcp(1 | 9 | 4 | 7) | Self::UdpStream => 120,
            Self::Tcp(2 | 5) => 60,
            Self::Tcp(6) | Self::Udp | Self::Icmp | Self::Icmpv6 | Self::Gre => 30,
            Self::Tcp(8) => 10,
            Self::GreStream => 180,
            Self::Generic => 600,
            Self::Tcp(_) | Self::Other => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        collector: true,
        spares_offloaded: false,
        search: Search::Buckets(8),
    };

    fn tcp(state: u8, status: u32) -> Entry {
        Entry {
            protocol: TCP,
            state: Some(state),
            status,
            ..Entry::default()
        }
    }

    #[test]
    fn only_what_is_not_assured_may_be_dropped_early() {
        assert_eq!(tcp(3, SEEN_REPLY).eviction(RULES), Eviction::EarlyDrop);
        assert_eq!(
            tcp(3, SEEN_REPLY | ASSURED).eviction(RULES),
            Eviction::Nobody
        );
        assert_eq!(tcp(1, DYING).eviction(RULES), Eviction::Nobody);
    }

    #[test]
    fn closing_connections_are_for_the_collector_since_4_12() {
        let closing: Vec<u8> = (0..10)
            .filter(|&state| tcp(state, ASSURED).eviction(RULES) == Eviction::Collector)
            .collect();
        let names = closing.iter().map(|&state| TCP_STATES[usize::from(state)]);
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE"]
        );
        let old = Rules::of((4, 9));
        assert_eq!(tcp(7, ASSURED).eviction(old), Eviction::Nobody);
    }

    #[test]
    fn offloaded_entries_are_spared_up_to_6_1() {
        let entry = tcp(3, OFFLOAD);
        assert_eq!(entry.eviction(Rules::of((6, 1))), Eviction::Nobody);
        assert_eq!(entry.eviction(Rules::of((6, 12))), Eviction::EarlyDrop);
    }

    #[test]
    fn addresses_read_as_people_write_them() {
        assert_eq!(Address::v4([192, 0, 2, 1]).to_string(), "192.0.2.1");
        let mut bytes = [0; 16];
        bytes[0] = 0xfd;
        bytes[15] = 1;
        assert_eq!(Address::v6(bytes).to_string(), "fd00::1");
        let parsed: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(Address::from(parsed), Address::v4([192, 0, 2, 1]));
    }
}
