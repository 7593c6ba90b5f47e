//! What goes in comes out, hostile or not; and the file is as docs/evidence.md says.

use proptest::{collection::vec, prelude::*};

use super::{Place, host, moment, second};
use crate::store::{
    Reader,
    incident::{Census, CensusRow, ClosedBy, Incident},
    record::{Event, Fix, Gap, LimitChange, LogLine, Record, Survival},
    schema::SCHEMA,
};

#[test]
fn the_document_has_the_schema_of_the_code() {
    let document = include_str!("../../../../docs/evidence.md");
    let (_, rest) = document.split_once("```sql\n").unwrap();
    let (schema, _) = rest.split_once("```").unwrap();
    assert_eq!(schema, SCHEMA);
}

/// Texts as whoever chooses the name of a process, a namespace or a container may write
/// them.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("'; DROP TABLE incidents; --".to_owned()),
        Just("\u{1b}[2J<script>alert(1)</script>".to_owned()),
        Just(String::new()),
        Just("\0before and after\0".to_owned()),
        any::<String>(),
    ]
}

fn record(texts: &[String]) -> Record {
    let text = |place: usize| texts[place].clone();
    let mut interval = second(moment(1, 5), 3);
    interval.range = Some((1, u64::from(u32::MAX)));
    interval.flows[0].key.sender = Some(text(0));
    interval.flows[1].key.src = text(1);
    interval.drops.insert((1, text(2)), 7);
    interval.refused += 7;
    let at = moment(1, 4);
    Record {
        intervals: vec![interval],
        limits: vec![LimitChange {
            at,
            max: 2,
            made_by: Some(text(3)),
            ..LimitChange::default()
        }],
        survivals: vec![Survival {
            at,
            cause: text(8),
            in_force: Some((1000, 512)),
            boot: Some(2000),
            body: text(9),
            ..Survival::default()
        }],
        events: vec![Event {
            at,
            event: text(4),
            detail: Some(text(5)),
        }],
        log_lines: vec![LogLine { at, text: text(6) }],
        fixes: vec![Fix {
            at,
            action: text(7),
            body: text(8),
        }],
        gaps: vec![Gap {
            at,
            from: moment(1, 1),
            why: text(9),
            lost: 3,
            detail: Some(text(10)),
        }],
        incidents: vec![Incident {
            id: 1,
            netns: 1,
            netns_name: text(15),
            opened: at,
            last: moment(1, 5),
            closed: Some((moment(1, 6), ClosedBy::NetnsGone)),
            refused: 22,
            kind: text(11),
            culprit: Some(text(12)),
            body: text(13),
            ..Incident::default()
        }],
        censuses: vec![Census {
            incident: 1,
            at,
            cause: "opened".to_owned(),
            entries: 9,
            rows: vec![CensusRow {
                by: "source".to_owned(),
                key: text(14),
                owner: Some(text(0)),
                entries: 9,
                ..CensusRow::default()
            }],
            ..Census::default()
        }],
        ..Record::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_goes_in_comes_out(texts in vec(hostile(), 16)) {
        let place = Place::new();
        let mut store = place.store();
        let mut written = record(&texts);
        written.namespaces = host(&store).namespaces;
        written.namespaces[0].name = texts[15].clone();
        store.write(&written).unwrap();
        let read = Reader::open(&place.path()).unwrap().record(0..=i64::MAX).unwrap();
        prop_assert_eq!(read, written);
    }
}

#[test]
fn an_incident_that_is_written_again_is_revised() {
    let place = Place::new();
    let mut store = place.store();
    let mut record = host(&store);
    let mut incident = Incident {
        id: 1,
        netns: 1,
        opened: moment(1, 1),
        last: moment(1, 1),
        refused: 1,
        ..Incident::default()
    };
    record.incidents = vec![incident.clone()];
    store.write(&record).unwrap();
    incident.refused = 100;
    incident.last = moment(1, 9);
    incident.kind = "leak".to_owned();
    record.namespaces[0].name = "renamed".to_owned();
    record.incidents = vec![incident.clone()];
    store.write(&record).unwrap();
    let read = Reader::open(&place.path()).unwrap().incidents().unwrap();
    incident.netns_name = "renamed".to_owned();
    assert_eq!(read, [incident]);
}
