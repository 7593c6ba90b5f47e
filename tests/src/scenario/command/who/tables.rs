//! The staged tables.

use std::net::{IpAddr, Ipv4Addr};

use crate::net::{Entry, Tuple};

/// Seconds that an established TCP connection lives without packets, by default.
pub(super) const FIVE_DAYS: u32 = 432_000;
pub(super) const DAY: u32 = 86_400;
pub(super) const ESTABLISHED: u8 = 3;
pub(super) const TIME_WAIT: u8 = 7;

/// An entry from `source` port `port` to `destination` port `service`.
pub(super) fn entry(
    protocol: u8,
    source: impl Into<IpAddr>,
    port: u16,
    destination: impl Into<IpAddr>,
    service: u16,
) -> Entry {
    Entry {
        tuple: Tuple {
            protocol,
            source: source.into(),
            source_port: port,
            destination: destination.into(),
            destination_port: service,
        },
        zone: 0,
        assured: false,
        timeout: 30,
        state: None,
    }
}

/// A TCP connection in use, or not for a while.
pub(super) fn connection(source: Ipv4Addr, port: u16, state: u8, timeout: u32) -> Entry {
    Entry {
        assured: true,
        timeout,
        state: Some(state),
        ..entry(6, source, port, WEB, 443)
    }
}

pub(super) const WEB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
pub(super) const LEAKING: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 66);

pub(super) fn client(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

/// 50 clients with 30 connections, 6 answered queries and 4 unanswered each.
pub(super) fn honest() -> impl Iterator<Item = Entry> {
    (1..=50).flat_map(|number| {
        let web =
            (0..30).map(move |n| connection(client(number), 2000 + n, ESTABLISHED, FIVE_DAYS));
        let answered = (0..6).map(move |n| Entry {
            assured: true,
            timeout: 120,
            ..entry(17, client(number), 3000 + n, RESOLVER, 53)
        });
        let not = (0..4).map(move |n| entry(17, client(number), 4000 + n, RESOLVER, 53));
        web.chain(answered).chain(not)
    })
}

/// 300 connections in use of ten clients; one client has 1,500 that have been
/// idle for four days, and 300 that are closing; 20 queries go unanswered.
pub fn leak() -> impl Iterator<Item = Entry> {
    let used = (1..=10).flat_map(|number| {
        (0..30).map(move |n| connection(client(number), 2000 + n, ESTABLISHED, FIVE_DAYS))
    });
    let idle = (0..1500).map(|n| connection(LEAKING, 2000 + n, ESTABLISHED, DAY));
    let closing = (0..300).map(|n| connection(LEAKING, 4000 + n, TIME_WAIT, 120));
    let queries = (0..20).map(|n| entry(17, client(1), 5000 + n, RESOLVER, 53));
    used.chain(idle).chain(closing).chain(queries)
}

/// 3,000 queries from as many sources; 200 connections in use.
pub(super) fn flood() -> impl Iterator<Item = Entry> {
    let queries = (0..3000).map(|n| {
        let source = Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + n);
        entry(17, source, 53_000, RESOLVER, 53)
    });
    let used = (0..200).map(|n| connection(client(9), 2000 + n, ESTABLISHED, FIVE_DAYS));
    queries.chain(used)
}
