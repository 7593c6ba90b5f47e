//! Why packets are refused.

use std::collections::BTreeMap;

use conntrack_ebpf::Reason;

use crate::incident::{
    Census, Confidence, Culprit, Evidence, FillingKind, Kind, Pressure, Remedy, commands, judge,
    tests::{calm, container, full, honest, leaking, table, verdict},
    worst,
};

#[test]
fn nothing_is_refused_in_a_table_with_room() {
    use FillingKind::NotSeen;
    let found = judge(&calm(), None);
    assert_eq!(
        verdict(&found),
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
fn a_tree_without_counters_does_not_say_that_nothing_is_refused() {
    let tree = Evidence {
        lacks_counters: true,
        ..Evidence::default()
    };
    let found = judge(&tree, None);
    assert_eq!(found.kind, Kind::None);
    assert_eq!(
        found.sentences(),
        ["there are no counters, so whether packets are refused is unknown"]
    );
    let counted = judge(&calm(), None);
    assert_eq!(counted.sentences(), ["no packets are refused"]);
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
    let look = commands::commands(&Remedy::LookWho, &found.netns);
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
        FillingKind::NotSeen,
        Confidence::Possible,
    );
    assert_eq!(verdict(&found), expected);
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
