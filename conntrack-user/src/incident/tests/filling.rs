//! What fills the table.

use crate::incident::{
    Census, Confidence, Culprit, FillingKind, Kind, Pressure, Remedy, Service,
    census::ESTABLISHED,
    judge,
    tests::{
        CLIENT, RESOLVER, calm, few_sources, full, heaviest, honest, leaking, second, spoofed,
        table, verdict,
    },
};

#[test]
fn honest_load_in_a_full_table_is_undersized() {
    let found = judge(&full(), Some(&honest()));
    let expected = (
        Kind::Undersized,
        Pressure::Full,
        FillingKind::HonestLoad,
        Confidence::Likely,
    );
    assert_eq!(verdict(&found), expected);
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
        FillingKind::NotSeen,
        Confidence::Possible,
    );
    assert_eq!(verdict(&found), expected);
    assert_eq!(found.remedies.list, [Remedy::LookWho, Remedy::RaiseLimit]);
}

#[test]
fn idle_connections_of_one_client_are_a_leak() {
    let found = judge(&full(), Some(&leaking()));
    let expected = (
        Kind::Leak,
        Pressure::Full,
        FillingKind::Leak,
        Confidence::Possible,
    );
    assert_eq!(verdict(&found), expected);
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
        (Kind::Undersized, FillingKind::HonestLoad)
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
        FillingKind::Unknown,
        Confidence::Possible,
    );
    assert_eq!(verdict(&found), expected);
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
    assert_eq!(found.filling.kind, FillingKind::TooFew);
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
        (Kind::Undersized, FillingKind::Leak)
    );
    assert!(found.filling.filtered);
    assert_eq!(found.confidence, Confidence::Possible);
}

#[test]
fn a_table_with_room_can_leak_and_be_no_incident() {
    let found = judge(&calm(), Some(&leaking()));
    assert_eq!(
        (found.kind, found.filling.kind),
        (Kind::None, FillingKind::Leak)
    );
    assert!(found.culprit.is_some());
    assert!(!found.wants_room());
    assert!(!found.remedies.list.is_empty());
}
