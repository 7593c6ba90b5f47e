//! Staged tables: each kind of incident, and what it must not be mistaken for.

mod filling;
mod forecast;
mod refusal;
mod told;

use std::net::IpAddr;

use crate::{
    incident::{
        Census, Confidence, Evidence, FillingKind, Incident, Kind, Netns, Pressure, Service,
        census::{ESTABLISHED, Heaviest, Overdue},
    },
    kernel::counters::Totals,
    table::idle::SecondLook,
};

pub(super) const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));
pub(super) const RESOLVER: Service = Service {
    address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 53)),
    protocol: 17,
    port: 53,
};

pub(super) fn host() -> Netns {
    Netns {
        inode: Some(4_026_531_840),
        name: "host".to_owned(),
        is_host: true,
        enter: Some(String::new()),
        ..Netns::default()
    }
}

pub(super) fn container() -> Netns {
    Netns {
        inode: Some(4_026_532_000),
        name: "docker/web".to_owned(),
        is_host: false,
        enter: Some("nsenter -t 7 -n ".to_owned()),
        ..Netns::default()
    }
}

pub(super) fn table(entries: u64, drop: u64, insert_failed: u64, chaintoolong: u64) -> Evidence {
    Evidence {
        netns: host(),
        entries: Some(entries),
        max: Some(10_000),
        growth: Some(Totals {
            drop: Some(drop),
            insert_failed: Some(insert_failed),
            chaintoolong: Some(chaintoolong),
            ..Totals::default()
        }),
        ..Evidence::default()
    }
}

pub(super) fn full() -> Evidence {
    table(10_000, 50, 0, 0)
}

pub(super) fn calm() -> Evidence {
    table(10_000 / 2, 0, 0, 0)
}

pub(super) fn heaviest<K>(key: K, entries: u64, unreplied: u64, idle: u64) -> Heaviest<K> {
    Heaviest {
        key,
        owner: None,
        entries,
        unreplied,
        idle,
    }
}

/// 10,000 entries of many clients, the busiest with a twentieth.
pub(super) fn honest() -> Census {
    Census {
        entries: 10_000,
        unreplied: 900,
        unreplied_sources: 300,
        established: 8_000,
        idle: 600,
        source: Some(heaviest(CLIENT, 500, 10, 30)),
        idle_source: Some(heaviest(CLIENT, 500, 10, 30)),
        unreplied_source: Some(heaviest(CLIENT, 10, 10, 0)),
        service: Some(heaviest(RESOLVER, 800, 100, 0)),
        unreplied_service: Some(heaviest(RESOLVER, 800, 100, 0)),
        overdue: vec![Overdue {
            timeout: ESTABLISHED,
            now: 432_000,
            shortest: 7440,
            entries: 500,
        }],
        ..Census::default()
    }
}

/// One client has 6,000 entries, 5,900 of them idle.
pub(super) fn leaking() -> Census {
    let leak = heaviest(CLIENT, 6_000, 0, 5_900);
    Census {
        idle: 6_400,
        source: Some(leak.clone()),
        idle_source: Some(leak),
        ..honest()
    }
}

pub(super) fn spoofed() -> Census {
    Census {
        unreplied: 9_000,
        unreplied_sources: 8_700,
        unreplied_service: Some(heaviest(RESOLVER, 8_900, 8_850, 0)),
        ..honest()
    }
}

pub(super) fn few_sources() -> Census {
    Census {
        unreplied: 9_000,
        unreplied_sources: 40,
        unreplied_source: Some(heaviest(CLIENT, 8_000, 8_000, 0)),
        ..honest()
    }
}

pub(super) fn second(alive: u64, idle: u64, unknown: u64) -> SecondLook {
    SecondLook {
        looked: alive + idle + unknown,
        alive,
        idle,
        unknown,
        seconds: 3,
        idle_source: (idle > 0).then_some((CLIENT, idle)),
        ..SecondLook::default()
    }
}

pub(super) fn verdict(incident: &Incident) -> (Kind, Pressure, FillingKind, Confidence) {
    (
        incident.kind,
        incident.pressure,
        incident.filling.kind,
        incident.confidence,
    )
}
