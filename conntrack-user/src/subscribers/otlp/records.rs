//! Incidents as OTLP log records.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};
use prost::Message as _;
use uuid::Uuid;

use crate::{
    incident::{Culprit, Kind, words},
    say::{
        protocol::{address, protocol_name},
        reason::reason_text,
    },
    store::incident::{ClosedBy, Incident},
    subscribers::{
        otlp::{
            attributes::{SCHEMA, list, named, object, scope, text, whole},
            flows::Flow,
        },
        recording::Told,
    },
};

/// Identifies a record: if it arrives twice, both copies have the same.
const UID: &str = "log.record.uid";

/// What has happened to the incident.
const ACTION: &str = "ctdrop.incident.action";

/// Packets refused so far.
const REFUSED: &str = "ctdrop.incident.refused_packets";

/// The kind of the diagnosis.
const KIND: &str = "ctdrop.incident.kind";

/// How sure the diagnosis is.
const CONFIDENCE: &str = "ctdrop.incident.confidence";

/// Why the incident was closed.
const CLOSED_BY: &str = "ctdrop.incident.closed_by";

/// What has happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Opened,
    /// It has another cause or culprit than was sent.
    Diagnosed,
    /// The figures are higher.
    Grown,
    Closed,
}

impl Action {
    const fn event(self) -> &'static str {
        match self {
            Self::Opened => "ctdrop.incident.opened",
            Self::Diagnosed | Self::Grown => "ctdrop.incident.updated",
            Self::Closed => "ctdrop.incident.closed",
        }
    }

    /// The same as the value of an attribute: not every receiver keeps the name of an event.
    const fn code(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Diagnosed | Self::Grown => "updated",
            Self::Closed => "closed",
        }
    }

    /// The same in words.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Diagnosed => "has a new diagnosis",
            Self::Grown => "continues",
            Self::Closed => "closed",
        }
    }
}

/// A record of an incident; `uid` identifies the incident.
pub(super) fn record(
    action: Action,
    told: &Told,
    flows: &[Flow],
    uid: &str,
    line: &str,
    now: u64,
) -> LogRecord {
    let incident = &told.incident;
    let sentences = |lines: Vec<String>| list(lines.iter().map(|line| text(line)).collect());
    let mut attributes = vec![
        named(UID, text(&Uuid::new_v4().to_string())),
        named(ACTION, text(action.code())),
        named("ctdrop.incident.uid", text(uid)),
        named("ctdrop.incident.id", whole(told.id.unsigned_abs())),
        named(KIND, code(&incident.kind)),
        named(CONFIDENCE, code(&incident.confidence)),
        named("ctdrop.incident.verdict", text(&incident.headline())),
        named(REFUSED, whole(told.refused)),
        named("ctdrop.netns.name", text(&incident.netns.name)),
    ];
    let inode = incident.netns.inode;
    attributes.extend(inode.map(|inode| named("ctdrop.netns.inode", whole(inode.into()))));
    if let Some(by) = told.closed_by {
        attributes.push(named(CLOSED_BY, text(by.as_str())));
    }
    if let Some(culprit) = &incident.culprit {
        attributes.extend(accused(culprit));
    }
    attributes.extend([
        named("ctdrop.incident.evidence", sentences(incident.sentences())),
        named("ctdrop.incident.remedies", sentences(incident.advice())),
        named(
            "ctdrop.incident.top_flows",
            list(flows.iter().map(flow).collect()),
        ),
    ]);
    let severity = match action {
        Action::Opened | Action::Diagnosed | Action::Grown if incident.kind != Kind::None => {
            SeverityNumber::Warn
        }
        _ => SeverityNumber::Info,
    };
    LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        severity_number: severity.into(),
        severity_text: if severity == SeverityNumber::Warn {
            "WARN"
        } else {
            "INFO"
        }
        .to_owned(),
        event_name: action.event().to_owned(),
        body: Some(text(line)),
        attributes,
        ..LogRecord::default()
    }
}

/// The record that closes an incident of an earlier run: its last record, with the figures of the
/// evidence, which was written until ctdrop ended. `kept` is the incident of that number in the
/// evidence, if there is one.
pub(super) fn interrupted(last: &[u8], kept: Option<Incident>, now: u64) -> Option<LogRecord> {
    let mut record = LogRecord::decode(last).ok()?;
    // Evidence that was begun anew gives its numbers to other incidents.
    let told = i64::try_from(record.time_unix_nano / 1_000_000).unwrap_or(i64::MAX);
    let kept = kept.filter(|kept| kept.opened.wall <= told);
    record.time_unix_nano = now;
    record.observed_time_unix_nano = now;
    record.severity_number = SeverityNumber::Info.into();
    "INFO".clone_into(&mut record.severity_text);
    Action::Closed.event().clone_into(&mut record.event_name);
    record.body = Some(text(
        "ctdrop ended before this incident did, so its end is not known",
    ));
    let closed = kept.as_ref().and_then(|kept| kept.closed);
    let by = closed.map_or(ClosedBy::Killed, |(_, by)| by);
    let mut now_so = vec![
        named(UID, text(&Uuid::new_v4().to_string())),
        named(ACTION, text(Action::Closed.code())),
        named(CLOSED_BY, text(by.as_str())),
    ];
    if let Some(kept) = kept {
        now_so.extend([
            named(REFUSED, whole(kept.refused)),
            named(KIND, text(&kept.kind)),
            named(CONFIDENCE, text(&kept.confidence)),
        ]);
    }
    let is_old = |one: &KeyValue| now_so.iter().all(|new| new.key != one.key);
    record.attributes.retain(is_old);
    record.attributes.extend(now_so);
    Some(record)
}

fn code(name: &impl serde::Serialize) -> AnyValue {
    let name = serde_json::to_value(name).unwrap_or_default();
    text(name.as_str().unwrap_or_default())
}

/// Attributes of the culprit.
fn accused(culprit: &Culprit) -> Vec<KeyValue> {
    let mut attributes = vec![named(
        "ctdrop.culprit.name",
        text(&words::culprit_name(culprit)),
    )];
    let mut add = |key: &str, value: AnyValue| attributes.push(named(key, value));
    let (kind, owner) = match culprit {
        Culprit::Source {
            address,
            owner,
            entries,
        } => {
            add("ctdrop.culprit.address", text(&address.to_string()));
            add("ctdrop.culprit.entries", whole(*entries));
            ("source", owner.as_deref())
        }
        Culprit::Service {
            service,
            owner,
            entries,
        } => {
            add("ctdrop.culprit.address", text(&service.address.to_string()));
            add("ctdrop.culprit.port", whole(service.port.into()));
            add(
                "ctdrop.culprit.protocol",
                text(&protocol_name(service.protocol)),
            );
            add("ctdrop.culprit.entries", whole(*entries));
            ("service", owner.as_deref())
        }
        Culprit::Netns(netns) => ("netns", Some(netns.name.as_str())),
    };
    add("ctdrop.culprit.type", text(kind));
    if let Some(owner) = owner {
        add("ctdrop.culprit.owner", text(owner));
    }
    attributes
}

fn flow((key, packets): &Flow) -> AnyValue {
    let side = |it| text(&address(key.family, it).to_string());
    object(vec![
        named("reason", text(&reason_text(key.reason))),
        named("network.transport", text(&protocol_name(key.protocol))),
        named("source.address", side(key.src)),
        named("source.port", whole(key.sport.into())),
        named("destination.address", side(key.dst)),
        named("destination.port", whole(key.dport.into())),
        named("packets", whole(*packets)),
    ])
}

/// A request with these records. Bytes that are not a record are left out: ctdrop did not write
/// them.
pub(super) fn request(records: &[Vec<u8>], resource: &Resource) -> ExportLogsServiceRequest {
    let records = records.iter();
    let log_records = records.filter_map(|one| LogRecord::decode(one.as_slice()).ok());
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource.clone()),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records: log_records.collect(),
                schema_url: SCHEMA.to_owned(),
            }],
            schema_url: SCHEMA.to_owned(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        incident::{Evidence, judge},
        store::moment::Moment,
    };

    /// When the incident was opened, in milliseconds since 1970.
    const OPENED: i64 = 1_700_000_000_000;

    /// The value of an attribute in a record of ours.
    fn value(record: &LogRecord, key: &str) -> String {
        let mut found = record.attributes.iter().filter(|one| one.key == key);
        let one = found.next().unwrap();
        assert!(found.next().is_none(), "{key} twice");
        format!("{:?}", one.value)
    }

    #[test]
    fn who_was_killed_closes_with_the_figures_of_the_evidence() {
        let told = Told {
            id: 7,
            refused: 0,
            incident: judge(&Evidence::default(), None),
            closed_by: None,
        };
        let at = OPENED.unsigned_abs() * 1_000_000;
        let opened = record(Action::Opened, &told, &[], "u", "opened", at).encode_to_vec();
        let kept = |wall| Incident {
            id: 7,
            opened: Moment {
                wall,
                ..Moment::default()
            },
            refused: 2_000,
            kind: "undersized".to_owned(),
            closed: Some((Moment::default(), ClosedBy::Reboot)),
            ..Incident::default()
        };
        let closed = interrupted(&opened, Some(kept(OPENED - 5)), at + 1).unwrap();
        assert!(value(&closed, REFUSED).contains("2000"));
        assert!(value(&closed, KIND).contains("undersized"));
        assert!(value(&closed, CLOSED_BY).contains("reboot"));
        assert!(value(&closed, ACTION).contains("closed"));
        for of_another in [Some(kept(OPENED + 5)), None] {
            let closed = interrupted(&opened, of_another, at + 1).unwrap();
            assert!(value(&closed, REFUSED).contains("IntValue(0)"));
            assert!(value(&closed, CLOSED_BY).contains("killed"));
        }
    }
}
