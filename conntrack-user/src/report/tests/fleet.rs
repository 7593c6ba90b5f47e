//! The reports of several hosts in one.

use std::collections::BTreeMap;

use crate::report::{
    fleet::{Fleet, Merger, copies::Copied},
    markdown::fleet_markdown,
    model::{Census, Host, Incident, Point, Report, Service, Share, Timeline, Victims},
    page::fleet_page,
};

/// A report of a host that refused so many packets, and what had entries in its table.
fn report(host: &str, refused: u64, sources: &[(&str, u64)]) -> Report {
    let drops = BTreeMap::from([("table_full".to_owned(), refused)]);
    let point = |wall, refused| Point {
        wall,
        refused,
        drops: BTreeMap::from([("table_full".to_owned(), refused)]),
        entries: Some(7),
        ..Point::default()
    };
    let row = |&(key, entries): &(&str, u64)| Share {
        key: key.to_owned(),
        entries,
        ..Share::default()
    };
    let look = |sources: Vec<Share>| Census {
        sources,
        ..Census::default()
    };
    Report {
        hosts: vec![Host {
            host: host.to_owned(),
            ..Host::default()
        }],
        incidents: vec![Incident {
            incident: 1,
            since: format!("2026-01-0{}", refused % 9 + 1),
            refused,
            ..Incident::default()
        }],
        timeline: Timeline {
            drops,
            points: vec![point(0, refused - 1), point(1000, 1)],
            ..Timeline::default()
        },
        victims: Victims {
            refused,
            services: vec![Service {
                protocol: "tcp".to_owned(),
                dst: "192.0.2.1".to_owned(),
                dport: 443,
                packets: refused,
                ..Service::default()
            }],
            ..Victims::default()
        },
        // The same source at two looks counts once, with the most of them.
        censuses: vec![
            look(sources.iter().map(row).collect()),
            look(sources.iter().map(row).collect()),
        ],
        ..Report::default()
    }
}

fn fleet() -> Fleet {
    let mut merger = Merger::default();
    merger.add(
        "/a",
        &report("web1", 10, &[("192.0.2.7", 5), ("192.0.2.8", 50)]),
        None,
    );
    merger.add("/b", &report("web2", 30, &[("192.0.2.7", 6)]), None);
    merger.add("/c", &report("web1", 20, &[("192.0.2.9", 1)]), None);
    merger.add_unread("/d", "it is damaged", None);
    let times = ("2026-01-01".to_owned(), "2026-01-09".to_owned());
    merger.finish("2026-01-10", times, false)
}

#[test]
fn sums_are_those_of_all_hosts() {
    let fleet = fleet();
    assert_eq!(fleet.totals.refused, 60);
    assert_eq!((fleet.totals.hosts, fleet.totals.hosts_refusing), (3, 3));
    let refused: Vec<u64> = fleet
        .timeline
        .points
        .iter()
        .map(|one| one.refused)
        .collect();
    assert_eq!(refused, [57, 3]);
    assert_eq!(fleet.timeline.drops["table_full"], 60);
    assert!(
        fleet
            .timeline
            .points
            .iter()
            .all(|point| point.entries.is_none())
    );
    let hosts: Vec<&str> = fleet.hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(hosts, ["web2", "web1 (/c)", "web1"]);
    let since: Vec<&str> = fleet
        .incidents
        .iter()
        .map(|one| one.since.as_str())
        .collect();
    assert!(since.is_sorted(), "{since:?}");
}

#[test]
fn who_was_on_several_hosts_is_named_with_them() {
    let fleet = fleet();
    assert_eq!(fleet.sources.len(), 1, "the others were on one host each");
    let source = &fleet.sources[0];
    assert_eq!(
        (source.key.as_str(), source.on, source.count),
        ("192.0.2.7", 2, 11)
    );
    assert_eq!(source.hosts, ["web1", "web2"]);
    assert_eq!(fleet.refused_services[0].key, "tcp 192.0.2.1:443");
    assert_eq!(fleet.refused_services[0].count, 60);
    let summary = &fleet.summary;
    assert!(summary.what.contains("at least 60 packets"), "{summary:?}");
    assert!(
        summary.what.contains("1 database could not be read"),
        "{summary:?}"
    );
    assert!(summary.who.starts_with("192.0.2.7"), "{summary:?}");
    assert!(summary.now.contains("web2"), "{summary:?}");
}

#[test]
fn two_databases_of_one_host_are_one_host() {
    let mut merger = Merger::default();
    let host = merger.add("/a", &report("web1", 10, &[("192.0.2.7", 5)]), None);
    // The second one still has an incident of the first one, too.
    let mut later = report("web1", 10, &[("192.0.2.7", 6)]);
    later.incidents.push(Incident {
        incident: 2,
        refused: 90,
        kind_text: "flood".to_owned(),
        ..Incident::default()
    });
    merger.add_part(host, "/b", &later, None);
    merger.add_left_out(("/c", "/a"), Copied::Copy { has_more: true }, None);
    let fleet = merger.finish("2026-01-10", (String::new(), String::new()), false);
    assert_eq!((fleet.totals.hosts, fleet.totals.hosts_refusing), (1, 1));
    assert_eq!((fleet.totals.refused, fleet.totals.incidents), (20, 2));
    let host = &fleet.hosts[0];
    assert_eq!(host.from, ["/a", "/b"]);
    assert_eq!((host.refused, host.incidents), (20, 2));
    assert_eq!(host.worst.as_deref(), Some("flood"));
    assert!(fleet.sources.is_empty(), "one host: {:?}", fleet.sources);
    assert!(
        fleet.summary.what.contains("at least"),
        "{:?}",
        fleet.summary
    );
    assert!(
        fleet.summary.what.contains("1 database left out"),
        "{:?}",
        fleet.summary
    );
    for text in [fleet_page(&fleet), fleet_markdown(&fleet)] {
        for part in ["/a, /b", "it is a copy", "have evidence of different times"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn what_is_not_known_is_left_out_or_said() {
    let mut killed = report("web1", 10, &[]);
    killed.incidents[0].closed = Some("2026-01-05T00:00:00Z".to_owned());
    killed.incidents[0].closed_by = Some("killed");
    for point in &mut killed.timeline.points {
        point.entries = None;
    }
    let mut merger = Merger::default();
    merger.add("/a", &killed, None);
    let fleet = merger.finish("2026-01-10", (String::new(), String::new()), false);
    for text in [fleet_page(&fleet), fleet_markdown(&fleet)] {
        assert!(text.contains("end unknown: ctdrop was killed"), "{text}");
        assert!(!text.contains("2026-01-05"), "{text}");
        assert!(!text.contains("most entries"), "{text}");
        assert!(!text.contains("namespace unknown"), "{text}");
    }
}

#[test]
fn each_form_has_all_of_it() {
    let fleet = fleet();
    for text in [fleet_page(&fleet), fleet_markdown(&fleet)] {
        for part in [
            "web2",
            "192.0.2.7",
            "it is damaged",
            "Incidents",
            "Timeline",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
