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

/// What has happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Opened,
    Updated,
    Closed,
}

impl Action {
    const fn event(self) -> &'static str {
        match self {
            Self::Opened => "ctdrop.incident.opened",
            Self::Updated => "ctdrop.incident.updated",
            Self::Closed => "ctdrop.incident.closed",
        }
    }

    /// The same as the value of an attribute: not every receiver keeps the name of an event.
    const fn code(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Closed => "closed",
        }
    }

    /// The same in words.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "has a new diagnosis",
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
        named("ctdrop.incident.kind", code(&incident.kind)),
        named("ctdrop.incident.confidence", code(&incident.confidence)),
        named("ctdrop.incident.verdict", text(&incident.headline())),
        named("ctdrop.incident.refused_packets", whole(told.refused)),
        named("ctdrop.netns.name", text(&incident.netns.name)),
    ];
    let inode = incident.netns.inode;
    attributes.extend(inode.map(|inode| named("ctdrop.netns.inode", whole(inode.into()))));
    if let Some(by) = told.closed_by {
        attributes.push(named("ctdrop.incident.closed_by", text(by.as_str())));
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
        Action::Opened | Action::Updated if incident.kind != Kind::None => SeverityNumber::Warn,
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

/// The record that closes an incident of an earlier run, made from its last record.
pub(super) fn interrupted(last: &[u8], now: u64) -> Option<LogRecord> {
    let mut record = LogRecord::decode(last).ok()?;
    record.time_unix_nano = now;
    record.observed_time_unix_nano = now;
    record.severity_number = SeverityNumber::Info.into();
    "INFO".clone_into(&mut record.severity_text);
    Action::Closed.event().clone_into(&mut record.event_name);
    record.body = Some(text(
        "ctdrop ended before this incident did, so its end is not known",
    ));
    record
        .attributes
        .retain(|one| one.key != UID && one.key != ACTION);
    let uid = Uuid::new_v4().to_string();
    record.attributes.extend([
        named(UID, text(&uid)),
        named(ACTION, text(Action::Closed.code())),
        named("ctdrop.incident.closed_by", text("interrupted")),
    ]);
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
