//! The network library on this machine's kernel: what it provokes is what
//! conntrack counts, to the packet. Needs root; changes only its own namespaces.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result};
use ctdrop_tests::net::{
    Conntrack, Counters, Family, Fill, Flood, Lan, LanOptions, LocalFlood, Protocol, Twins,
    ZoneClash,
};

/// One test at a time, for the sake of the rates that they print.
static TURN: Mutex<()> = Mutex::new(());

/// Waits for its turn; `None`, with the reason printed, if the test cannot run.
fn turn() -> Option<MutexGuard<'static, ()>> {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: network namespaces need root");
        return None;
    }
    // A failed test leaves nothing behind that could disturb the next.
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The counters that moved, as a literal of `expected` has them.
fn moved(counters: Counters) -> BTreeMap<String, u64> {
    let mut counters = counters.nonzero().into_map();
    // Lookups for a NAT port that found it taken, and lookups that met a
    // concurrent change and were done again: no refusals.
    counters.remove("found");
    counters.remove("search_restart");
    counters
}

fn expected<const N: usize>(counters: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counters
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// A firewall whose table is full of assured entries.
fn full(name: &str) -> Result<Lan> {
    let lan = Lan::create(name, &LanOptions::default())?;
    let start = Instant::now();
    let inserted = Fill::default().to_the_limit(&lan.firewall)?;
    println!(
        "filled with {inserted} assured entries in {:?}",
        start.elapsed()
    );
    Ok(lan)
}

/// Sends `flood` and says how conntrack's counters moved.
fn send(lan: &Lan, flood: &Flood) -> Result<BTreeMap<String, u64>> {
    let before = Counters::read(&lan.firewall)?;
    let sent = flood.send(lan)?;
    let counters = Counters::read(&lan.firewall)?.since(&before);
    println!(
        "{:?} over {:?}: {} packets, {} flows: {:.0} packets/s, {:?}",
        flood.protocol,
        flood.family,
        sent.delivered,
        flood.flows,
        sent.rate(),
        counters.clone().nonzero().into_map(),
    );
    Ok(moved(counters))
}

#[test]
fn a_full_table_refuses_every_received_packet() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let lan = full("nettest-full")?;
    let limit = lan.firewall.limit()?;
    for family in [Family::V4, Family::V6] {
        for protocol in [
            Protocol::Udp,
            Protocol::TCP_SYN,
            Protocol::Echo,
            Protocol::Sctp,
            Protocol::Gre,
            Protocol::Other(253),
        ] {
            let flood = Flood {
                protocol,
                family,
                flows: 10_000,
                packets: 100_000,
                ..Flood::default()
            };
            assert_eq!(send(&lan, &flood)?, expected([("drop", 100_000)]));
        }
    }
    assert_eq!(lan.firewall.entries()?, limit);
    Ok(())
}

#[test]
fn a_flood_can_have_two_million_flows() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let lan = full("nettest-flows")?;
    let flood = Flood {
        flows: 2_000_000,
        packets: 2_000_000,
        ..Flood::default()
    };
    assert_eq!(send(&lan, &flood)?, expected([("drop", 2_000_000)]));
    Ok(())
}

#[test]
fn every_flow_of_a_flood_becomes_its_own_entry() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let options = LanOptions {
        zone: Some(7),
        masquerade: None,
    };
    let lan = Lan::create("nettest-entries", &options)?;
    let conntrack = Conntrack::open(&lan.firewall)?;
    for family in [Family::V4, Family::V6] {
        for protocol in [
            Protocol::Udp,
            Protocol::TCP_SYN,
            Protocol::Echo,
            Protocol::Sctp,
            Protocol::Gre,
            Protocol::Other(253),
        ] {
            let flood = Flood {
                protocol,
                family,
                flows: 1_000,
                packets: 1_000,
                ..Flood::default()
            };
            // One packet of a flow at a time: two of one that is new would clash.
            for _ in 0..2 {
                let counters = send(&lan, &flood)?;
                assert_eq!(
                    counters.get("invalid"),
                    None,
                    "the kernel dislikes the packets"
                );
                assert_eq!(counters.get("drop"), None);
                assert_eq!(lan.firewall.entries()?, 1_000);
            }
            if matches!(protocol, Protocol::Udp | Protocol::TCP_SYN) {
                let in_zone_7 = flood.tuple(999);
                conntrack.delete(&in_zone_7, 7)?;
                assert_eq!(lan.firewall.entries()?, 999);
            }
            conntrack.flush()?;
        }
    }
    Ok(())
}

#[test]
fn a_local_sender_is_told_of_every_refusal() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let lan = full("nettest-local")?;
    for family in [Family::V4, Family::V6] {
        let flood = LocalFlood {
            family,
            threads: 4,
            flows: 1_000,
            packets: 25_000,
        };
        let before = Counters::read(&lan.firewall)?;
        let sent = flood.send(&lan.firewall)?;
        let counters = moved(Counters::read(&lan.firewall)?.since(&before));
        println!("local UDP over {family:?}: {sent:?}, {counters:?}");
        assert_eq!(sent.refused, 100_000);
        assert_eq!(counters, expected([("drop", sent.refused)]));
    }
    Ok(())
}

#[test]
fn refusals_of_ctnetlink_are_no_packets() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let lan = full("nettest-netlink")?;
    let before = Counters::read(&lan.firewall)?;
    let limit = u32::try_from(lan.firewall.limit()?)?;
    let fill = Fill::default();
    let more = (limit..limit + 1_000).map(|number| fill.entry(number));
    let outcome = Conntrack::open(&lan.firewall)?.insert(more)?;
    println!("beyond the limit: {outcome:?}");
    assert_eq!(outcome.inserted, 0);
    assert_eq!(outcome.refused, [(libc::ENOMEM, 1_000)].into());
    let after = Counters::read(&lan.firewall)?;
    assert_eq!(moved(after.since(&before)), expected([]));
    Ok(())
}

#[test]
fn room_is_made_at_the_cost_of_unassured_entries() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let lan = Lan::create("nettest-evict", &LanOptions::default())?;
    let fill = Fill {
        assured: false,
        ..Fill::default()
    };
    fill.to_the_limit(&lan.firewall)?;
    let flood = Flood {
        flows: 20_000,
        packets: 20_000,
        ..Flood::default()
    };
    let counters = send(&lan, &flood)?;
    let dropped = counters.get("drop").copied().unwrap_or(0);
    let evicted = counters.get("early_drop").copied().unwrap_or(0);
    assert!(evicted > 0, "nothing was evicted");
    assert!(
        dropped * 10 < flood.packets,
        "{dropped} packets were refused"
    );
    assert!(lan.firewall.entries()? <= lan.firewall.limit()?);
    Ok(())
}

#[test]
fn zones_make_clashes_that_refuse_every_packet() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let lan = Lan::create("nettest-zones", &LanOptions::default())?;
    for family in [Family::V4, Family::V6] {
        for protocol in [Protocol::Udp, Protocol::TCP_SYN] {
            let flood = Flood {
                protocol,
                family,
                flows: 1_000,
                packets: 10_500,
                ..Flood::default()
            };
            let before = Counters::read(&lan.firewall)?;
            let sent = ZoneClash { flood }.provoke(&lan)?;
            let counters = moved(Counters::read(&lan.firewall)?.since(&before));
            println!(
                "{protocol:?} over {family:?} clashing by zone: {:.0} packets/s, {counters:?}",
                sent.rate()
            );
            let refused = flood.packets;
            assert_eq!(
                counters,
                expected([("drop", refused), ("insert_failed", refused)])
            );
        }
    }
    Ok(())
}

#[test]
fn twins_clash_once_a_pair() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let lan = Lan::create("nettest-twins", &LanOptions::default())?;
    for family in [Family::V4, Family::V6] {
        for (protocol, counters) in [
            (
                Protocol::TCP_SYN,
                expected([("drop", 1_000), ("insert_failed", 1_000)]),
            ),
            (Protocol::Udp, expected([("clashres", 1_000)])),
        ] {
            let flows = Flood {
                protocol,
                family,
                flows: 1_000,
                ..Flood::default()
            };
            let start = Instant::now();
            let outcome = Twins { flows }.provoke(&lan)?;
            println!(
                "{protocol:?} twins over {family:?}: {:?} in {:?}",
                outcome.counters,
                start.elapsed()
            );
            assert_eq!(outcome.tuples.len(), 1_000);
            assert_eq!(moved(outcome.counters), counters);
            Conntrack::open(&lan.firewall)?.flush()?;
        }
    }
    Ok(())
}

#[test]
fn flows_without_a_free_nat_port_are_refused() -> Result<()> {
    let Some(_turn) = turn() else { return Ok(()) };
    let options = LanOptions {
        zone: None,
        masquerade: Some(2_000..=2_099),
    };
    let lan = Lan::create("nettest-nat", &options)?;
    for protocol in [Protocol::Udp, Protocol::TCP_SYN] {
        let flood = Flood {
            protocol,
            flows: 100,
            // The kernel tries a limited number of ports for each packet, so a
            // flow may need more than one to find a free port.
            packets: 10_000,
            ..Flood::default()
        };
        flood.send(&lan)?;
        assert_eq!(lan.firewall.entries()?, 100, "not every port is taken");
        let flood = Flood {
            first_flow: 100,
            flows: 500,
            packets: 2_200,
            ..flood
        };
        let refused = flood.packets;
        assert_eq!(
            send(&lan, &flood)?,
            expected([("drop", refused), ("insert_failed", refused)])
        );
        Conntrack::open(&lan.firewall)?
            .flush()
            .context("between two protocols")?;
    }
    Ok(())
}
