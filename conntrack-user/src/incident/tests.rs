//! Staged tables: each kind of incident, and what it must not be mistaken for.

use std::{collections::BTreeMap, net::IpAddr};

use conntrack_ebpf::Reason;

use crate::{
    incident::{
        Census, Confidence, Culprit, Evidence, Incident, Kind, Netns, Pressure, Remedy, Service,
        census::{ESTABLISHED, Heaviest, Overdue},
        filling, judge, remedy, words, worst,
    },
    kernel::counters::Totals,
    table::idle::SecondLook,
};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));
const RESOLVER: Service = Service {
    address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 53)),
    protocol: 17,
    port: 53,
};

fn host() -> Netns {
    Netns {
        inode: Some(4_026_531_840),
        name: "host".to_owned(),
        is_host: true,
        enter: Some(String::new()),
    }
}

fn container() -> Netns {
    Netns {
        inode: Some(4_026_532_000),
        name: "docker/web".to_owned(),
        is_host: false,
        enter: Some("nsenter -t 7 -n ".to_owned()),
    }
}

fn table(entries: u64, drop: u64, insert_failed: u64, chaintoolong: u64) -> Evidence {
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

fn full() -> Evidence {
    table(10_000, 50, 0, 0)
}

fn calm() -> Evidence {
    table(10_000 / 2, 0, 0, 0)
}

fn heaviest<K>(key: K, entries: u64, unreplied: u64, idle: u64) -> Heaviest<K> {
    Heaviest {
        key,
        owner: None,
        entries,
        unreplied,
        idle,
    }
}

/// 10,000 entries of many clients, the busiest with a twentieth.
fn honest() -> Census {
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
fn leaking() -> Census {
    let leak = heaviest(CLIENT, 6_000, 0, 5_900);
    Census {
        idle: 6_400,
        source: Some(leak.clone()),
        idle_source: Some(leak),
        ..honest()
    }
}

fn spoofed() -> Census {
    Census {
        unreplied: 9_000,
        unreplied_sources: 8_700,
        unreplied_service: Some(heaviest(RESOLVER, 8_900, 8_850, 0)),
        ..honest()
    }
}

fn few_sources() -> Census {
    Census {
        unreplied: 9_000,
        unreplied_sources: 40,
        unreplied_source: Some(heaviest(CLIENT, 8_000, 8_000, 0)),
        ..honest()
    }
}

fn second(alive: u64, idle: u64, unknown: u64) -> SecondLook {
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

fn told(incident: &Incident) -> (Kind, Pressure, filling::Kind, Confidence) {
    (
        incident.kind,
        incident.pressure,
        incident.filling.kind,
        incident.confidence,
    )
}

#[test]
fn nothing_is_refused_in_a_table_with_room() {
    use filling::Kind::NotSeen;
    let found = judge(&calm(), None);
    assert_eq!(
        told(&found),
        (Kind::None, Pressure::Calm, NotSeen, Confidence::Certain)
    );
    assert_eq!(found.remedies.list, []);
    // One look shows no counter move.
    let once = Evidence {
        growth: None,
        ..calm()
    };
    assert_eq!(judge(&once, None).confidence, Confidence::Likely);
    assert!(!found.wants_room());
}

#[test]
fn honest_load_in_a_full_table_is_undersized() {
    let found = judge(&full(), Some(&honest()));
    let expected = (
        Kind::Undersized,
        Pressure::Full,
        filling::Kind::HonestLoad,
        Confidence::Likely,
    );
    assert_eq!(told(&found), expected);
    assert_eq!(found.remedies.list, [Remedy::RaiseLimit]);
    assert!(found.wants_room() && !found.fills_any_limit());
    // As good as full, and nothing refused yet.
    let nearly = table(9_500, 0, 0, 0);
    assert_eq!(judge(&nearly, Some(&honest())).kind, Kind::Undersized);
    let room = table(9_499, 0, 0, 0);
    assert_eq!(judge(&room, Some(&honest())).kind, Kind::None);
}

#[test]
fn a_table_that_nobody_has_looked_into_may_be_undersized() {
    let found = judge(&full(), None);
    let expected = (
        Kind::Undersized,
        Pressure::Full,
        filling::Kind::NotSeen,
        Confidence::Possible,
    );
    assert_eq!(told(&found), expected);
    assert_eq!(found.remedies.list, [Remedy::LookWho, Remedy::RaiseLimit]);
}

#[test]
fn idle_connections_of_one_client_are_a_leak() {
    let found = judge(&full(), Some(&leaking()));
    let expected = (
        Kind::Leak,
        Pressure::Full,
        filling::Kind::Leak,
        Confidence::Possible,
    );
    assert_eq!(told(&found), expected);
    let client = Culprit::Source {
        address: CLIENT,
        owner: None,
        entries: 6_000,
    };
    assert_eq!(found.culprit, Some(client));
    assert_eq!((found.filling.entries, found.filling.of), (6_400, 10_000));
    assert!(found.wants_room() && found.fills_any_limit());
    let Some(Remedy::ShortenTimeout { timeout, to, .. }) = found.remedies.list.first() else {
        panic!("{found:?}");
    };
    assert_eq!((*timeout, *to), (ESTABLISHED, 7440));
    // A second look that sees no packet bears it out.
    let again = Census {
        second: Some(second(0, 2_000, 0)),
        ..leaking()
    };
    let found = judge(&full(), Some(&again));
    assert_eq!(
        (found.kind, found.confidence),
        (Kind::Leak, Confidence::Likely)
    );
}

#[test]
fn a_quarter_is_a_leak_only_if_one_client_has_most_of_it() {
    let quarter = Census {
        idle: 2_500,
        idle_source: Some(heaviest(CLIENT, 1_400, 0, 1_250)),
        ..honest()
    };
    assert_eq!(judge(&full(), Some(&quarter)).kind, Kind::Leak);
    let spread = Census {
        idle_source: Some(heaviest(CLIENT, 1_400, 0, 1_249)),
        ..quarter
    };
    assert_eq!(judge(&full(), Some(&spread)).kind, Kind::Undersized);
    // Half of the table is one whoever the clients are; nobody is the culprit.
    let half = Census {
        idle: 5_000,
        ..spread
    };
    let found = judge(&full(), Some(&half));
    assert_eq!((found.kind, found.culprit), (Kind::Leak, None));
    assert_eq!(found.filling.entries, 5_000);
}

#[test]
fn live_connections_under_another_timeout_are_honest_load() {
    // By the sysctl each of them would have been idle for days.
    let live = Census {
        second: Some(second(2_000, 0, 0)),
        ..leaking()
    };
    let found = judge(&full(), Some(&live));
    assert_eq!(
        (found.kind, found.filling.kind),
        (Kind::Undersized, filling::Kind::HonestLoad)
    );
    assert_eq!(judge(&calm(), Some(&live)).kind, Kind::None);
}

#[test]
fn what_may_be_in_use_is_no_leak() {
    // No packet in three seconds, and no knowing which timeout they live by.
    let unknown = Census {
        second: Some(second(100, 0, 1_900)),
        ..leaking()
    };
    let found = judge(&full(), Some(&unknown));
    let expected = (
        Kind::Unknown,
        Pressure::Full,
        filling::Kind::Unknown,
        Confidence::Possible,
    );
    assert_eq!(told(&found), expected);
    assert_eq!(found.culprit, None);
    assert!(found.wants_room(), "packets are lost meanwhile");
    assert_eq!(found.remedies.list, [Remedy::LookWho, Remedy::RaiseLimit]);
    let one_look = Census {
        idle: 0,
        idle_unknown: 6_000,
        idle_source: None,
        ..honest()
    };
    assert_eq!(judge(&full(), Some(&one_look)).kind, Kind::Unknown);
}

#[test]
fn unanswered_packets_from_ever_other_sources_are_a_spoofed_flood() {
    let found = judge(&full(), Some(&spoofed()));
    assert_eq!(found.kind, Kind::SpoofedFlood);
    let resolver = Culprit::Service {
        service: RESOLVER,
        owner: None,
        entries: 8_850,
    };
    assert_eq!(found.culprit, Some(resolver));
    assert_eq!(found.filling.entries, 9_000);
    let expected = [
        Remedy::DoNotTrack {
            service: Some(RESOLVER),
        },
        Remedy::DropForged,
    ];
    assert_eq!(found.remedies.list, expected);
    let web = Service {
        protocol: 6,
        port: 443,
        ..RESOLVER
    };
    let syns = Census {
        unreplied_service: Some(heaviest(web, 9_000, 9_000, 0)),
        ..spoofed()
    };
    let found = judge(&full(), Some(&syns));
    assert!(found.remedies.list.contains(&Remedy::Synproxy));
}

#[test]
fn unanswered_packets_of_one_source_name_it() {
    let found = judge(&full(), Some(&few_sources()));
    assert_eq!(found.kind, Kind::Flood);
    let client = Culprit::Source {
        address: CLIENT,
        owner: None,
        entries: 8_000,
    };
    assert_eq!(found.culprit, Some(client));
    let drop = Remedy::DropSource { source: CLIENT };
    assert_eq!(found.remedies.list.first(), Some(&drop));
}

#[test]
fn a_few_entries_say_nothing() {
    let few = Census {
        entries: 99,
        unreplied: 99,
        ..honest()
    };
    let found = judge(&full(), Some(&few));
    assert_eq!(found.kind, Kind::Undersized);
    assert_eq!(found.filling.kind, filling::Kind::TooFew);
    assert_eq!(found.confidence, Confidence::Possible);
}

#[test]
fn a_part_of_the_table_does_not_explain_the_whole() {
    let part = Census {
        filtered: true,
        ..leaking()
    };
    let found = judge(&full(), Some(&part));
    assert_eq!(
        (found.kind, found.filling.kind),
        (Kind::Undersized, filling::Kind::Leak)
    );
    assert!(found.filling.filtered);
    assert_eq!(found.confidence, Confidence::Possible);
}

#[test]
fn a_table_with_room_can_leak_and_be_no_incident() {
    let found = judge(&calm(), Some(&leaking()));
    assert_eq!(
        (found.kind, found.filling.kind),
        (Kind::None, filling::Kind::Leak)
    );
    assert!(found.culprit.is_some());
    assert!(!found.wants_room());
    assert!(!found.remedies.list.is_empty());
}

#[test]
fn another_namespace_that_is_full_is_noisy() {
    let noisy = |census: Option<Census>| {
        let evidence = Evidence {
            netns: container(),
            ..full()
        };
        judge(&evidence, census.as_ref())
    };
    let found = noisy(Some(honest()));
    assert_eq!(found.kind, Kind::NoisyNamespace);
    assert_eq!(found.culprit, Some(Culprit::Netns(container())));
    assert_eq!(found.confidence, Confidence::Certain);
    let found = noisy(None);
    assert_eq!(found.kind, Kind::NoisyNamespace);
    assert_eq!(found.remedies.list, [Remedy::LookWho, Remedy::RaiseLimit]);
    let look = words::commands(&Remedy::LookWho, &found.netns);
    assert_eq!(look, ["ctdrop who --netns docker/web"]);
    // A leak is one wherever it is.
    assert_eq!(noisy(Some(leaking())).kind, Kind::Leak);
}

#[test]
fn long_chains_need_buckets() {
    let found = judge(&table(10, 0, 9, 9), None);
    assert_eq!(
        (found.kind, found.pressure),
        (Kind::FewBuckets, Pressure::Refusing)
    );
    assert_eq!(found.confidence, Confidence::Certain);
    assert_eq!(found.remedies.list, [Remedy::RaiseBuckets]);
    assert!(!found.wants_room());
    let nearly_full = judge(&table(9_900, 0, 9, 9), Some(&honest()));
    assert_eq!(nearly_full.kind, Kind::FewBuckets);
    let full = judge(&table(10_000, 5, 9, 9), Some(&honest()));
    assert_eq!(full.kind, Kind::Undersized);
}

#[test]
fn lost_races_in_a_table_with_room_are_clashes() {
    let found = judge(&table(10, 7, 7, 0), None);
    assert_eq!(
        (found.kind, found.confidence),
        (Kind::Clash, Confidence::Likely)
    );
    let seen = |reason| {
        let evidence = Evidence {
            refused: BTreeMap::from([(reason, 7)]),
            ..table(10, 7, 7, 0)
        };
        let found = judge(&evidence, None);
        (found.kind, found.confidence)
    };
    assert_eq!(seen(Reason::Clash), (Kind::Clash, Confidence::Certain));
    assert_eq!(
        seen(Reason::NatExhausted),
        (Kind::NatExhausted, Confidence::Certain)
    );
    assert_eq!(seen(Reason::NoMemory), (Kind::Memory, Confidence::Certain));
    assert_eq!(seen(Reason::ChainTooLong).0, Kind::FewBuckets);
    // The table was full when they were refused, be it not now.
    assert_eq!(seen(Reason::TableFull).0, Kind::Undersized);
}

#[test]
fn drops_that_nothing_explains_are_of_unknown_cause() {
    let found = judge(&table(10, 7, 0, 0), None);
    assert_eq!(
        (found.kind, found.pressure),
        (Kind::Unknown, Pressure::Refusing)
    );
    assert!(!found.wants_room(), "there is room");
    assert_eq!(found.remedies.list, [Remedy::LookFlows]);
}

#[test]
fn drops_since_boot_under_the_default_limit_are_undersized() {
    let evidence = Evidence {
        dropped_before: 7,
        growth: None,
        ..table(10, 0, 0, 0)
    };
    let found = judge(&evidence, None);
    let expected = (
        Kind::Undersized,
        Pressure::WasFull,
        filling::Kind::NotSeen,
        Confidence::Possible,
    );
    assert_eq!(told(&found), expected);
    assert!(found.wants_room());
}

#[test]
fn the_hosts_own_full_table_is_judged_first() {
    let noisy = Evidence {
        netns: container(),
        entries: Some(10_001),
        ..full()
    };
    let name = |list: &[Evidence]| worst(list).unwrap().netns.name.clone();
    assert_eq!(name(&[calm(), noisy.clone()]), "docker/web");
    assert_eq!(name(&[noisy.clone(), full()]), "host");
    assert_eq!(name(&[full(), noisy]), "host");
    let idle = Evidence {
        netns: container(),
        ..table(10, 0, 0, 0)
    };
    assert_eq!(name(&[idle, calm()]), "host");
    assert_eq!(worst(&[]), None);
}

#[test]
fn codes_are_stable_and_words_go_with_them() {
    let found = judge(&full(), Some(&leaking()));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["kind"], "leak");
    assert_eq!(json["pressure"], "full");
    assert_eq!(json["filling"]["kind"], "leak");
    assert_eq!(json["confidence"], "possible");
    assert_eq!(json["culprit"]["source"]["address"], "10.0.0.7");
    let first = &json["evidence"][0];
    assert_eq!(
        (&first["code"], &first["entries"]),
        (&"table_use".into(), &10_000.into())
    );
    assert!(
        first["text"]
            .as_str()
            .unwrap()
            .starts_with("10,000 of 10,000 entries")
    );
    let remedy = &json["remedies"][0];
    assert_eq!(remedy["code"], "shorten_timeout");
    assert_eq!(
        remedy["commands"][0],
        "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=7440"
    );
    let json = serde_json::to_value(judge(&full(), Some(&spoofed()))).unwrap();
    let service = &json["culprit"]["service"];
    assert_eq!(
        (&service["protocol"], &service["port"]),
        (&"udp".into(), &53.into())
    );
}

#[test]
fn every_sign_has_a_sentence_of_its_own() {
    let censuses = [honest(), leaking(), spoofed(), few_sources()];
    let seconds = [None, Some(second(9, 1, 1)), Some(second(0, 9, 1))];
    for mut census in censuses {
        for second in seconds {
            census.second = second;
            let found = judge(&full(), Some(&census));
            let sentences: Vec<String> = found.evidence.iter().map(words::sign).collect();
            assert!(sentences.iter().all(|sentence| !sentence.is_empty()));
            let mut different = sentences.clone();
            different.sort();
            different.dedup();
            assert_eq!(different.len(), sentences.len(), "{sentences:?}");
        }
    }
}

#[test]
fn commands_act_on_the_namespace_that_the_table_is_of() {
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let delete = |source| Remedy::DeleteSource {
        source,
        owner: None,
        entries: 3,
    };
    let commands = |remedy: &Remedy, netns: &Netns| words::commands(remedy, netns).join("; ");
    assert_eq!(
        commands(&delete(CLIENT), &host()),
        "conntrack -D -s 10.0.0.7"
    );
    assert_eq!(
        commands(&delete(v6), &container()),
        "nsenter -t 7 -n conntrack -D -f ipv6 -s 2001:db8::1"
    );
    let service = Remedy::DeleteService {
        service: RESOLVER,
        owner: None,
        entries: 3,
    };
    assert_eq!(
        commands(&service, &host()),
        "conntrack -D -d 192.0.2.53 -p udp --dport 53"
    );
    let nameless = Netns {
        enter: None,
        name: "sleep[7] $(reboot)".to_owned(),
        ..container()
    };
    let how = words::how(&delete(CLIENT), &nameless);
    let begin = "conntrack -D -s 10.0.0.7; to be run inside network namespace sleep[7]";
    assert!(how.starts_with(begin), "{how}");
    let look = commands(&Remedy::LookWho, &nameless);
    assert_eq!(
        look, "ctdrop who --netns 4026532000",
        "no shell obeys a name"
    );
}

#[test]
fn what_would_free_most_comes_first() {
    let census = Census {
        owner: Some(("docker/b".to_owned(), 30)),
        ..leaking()
    };
    let freeing = remedy::freeing(&census);
    let entries: Vec<u64> = freeing.iter().filter_map(Remedy::entries).collect();
    assert_eq!(entries, [6_000, 900, 800, 500, 30]);
    // Timeouts that would end nothing are no remedy, nor are those of
    // connections that are in use.
    let live = Census {
        second: Some(second(2_000, 0, 0)),
        ..census
    };
    let freeing = remedy::freeing(&live);
    let shorter = |remedy: &Remedy| matches!(remedy, Remedy::ShortenTimeout { .. });
    assert!(!freeing.iter().any(shorter), "{freeing:?}");
}
