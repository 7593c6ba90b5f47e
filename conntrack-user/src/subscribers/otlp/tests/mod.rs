//! Tests of the export by OTLP.

mod certificates;
mod fleet;
mod hostile;
mod kills;
mod outage;
mod waits;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::{StatusCode, Uri};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
    common::v1::any_value,
    logs::v1::LogRecord,
};
use prost::Message as _;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    Otlp,
    answer::Answer,
    attributes,
    delivery::{Delivery, Waiting, nanoseconds},
    post::Transport,
    queue::Queue,
};
use crate::{
    incident::{Evidence, Incident, Kind, judge},
    subscribers::{
        Subscriber as _,
        metrics::{
            export::Counts,
            numbers::{Numbers, Phase},
            shared::Shared,
        },
        recording::{Recording, Told, What},
    },
};

/// A receiver in memory, which decodes what it takes.
#[derive(Debug, Default)]
struct Receiver {
    /// Until then, nobody can connect.
    up: Mutex<Option<Instant>>,
    /// Answers before it takes all.
    answers: Mutex<VecDeque<Answer>>,
    /// The incident whose records it refuses.
    unwanted: Option<i64>,
    records: Mutex<Vec<LogRecord>>,
    metrics: Mutex<Vec<ExportMetricsServiceRequest>>,
    /// When requests came.
    asked: Mutex<Vec<Instant>>,
}

impl Receiver {
    fn down_for(time: Duration) -> Arc<Self> {
        let receiver = Self::default();
        *receiver.up.lock().unwrap() = Some(Instant::now() + time);
        Arc::new(receiver)
    }

    /// The incidents of which it has an event of that name, in order.
    fn incidents(&self, event: &str) -> Vec<i64> {
        let records = self.records.lock().unwrap();
        let of = records.iter().filter(|record| record.event_name == event);
        of.map(incident).collect()
    }

    /// How many records it has, and how many of them differ.
    fn all_and_different(&self) -> (usize, usize) {
        let records = self.records.lock().unwrap();
        let uids = records.iter().map(|one| string(one, "log.record.uid"));
        let different: std::collections::BTreeSet<String> = uids.collect();
        (records.len(), different.len())
    }
}

impl Transport for Arc<Receiver> {
    async fn post(&self, to: &Uri, body: Bytes) -> Result<Answer> {
        self.asked.lock().unwrap().push(Instant::now());
        if self
            .up
            .lock()
            .unwrap()
            .is_some_and(|up| Instant::now() < up)
        {
            bail!("connection refused");
        }
        if let Some(answer) = self.answers.lock().unwrap().pop_front() {
            return Ok(answer);
        }
        if to.path() == "/v1/metrics" {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            self.metrics.lock().unwrap().push(request);
        } else {
            assert_eq!(to.path(), "/v1/logs");
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            let scopes = request.resource_logs.into_iter();
            let scopes = scopes.flat_map(|resource| resource.scope_logs);
            let records: Vec<LogRecord> = scopes.flat_map(|scope| scope.log_records).collect();
            if records
                .iter()
                .any(|one| Some(incident(one)) == self.unwanted)
            {
                return Ok(answered(400));
            }
            self.records.lock().unwrap().extend(records);
        }
        Ok(answered(200))
    }
}

fn answered(status: u16) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        body: Some(Bytes::new()),
        ..Answer::default()
    }
}

fn attribute(record: &LogRecord, key: &str) -> Option<any_value::Value> {
    let found = record.attributes.iter().find(|one| one.key == key)?;
    found.value.clone()?.value
}

fn incident(record: &LogRecord) -> i64 {
    match attribute(record, "ctdrop.incident.id") {
        Some(any_value::Value::IntValue(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn string(record: &LogRecord, key: &str) -> String {
    match attribute(record, key) {
        Some(any_value::Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

/// An exporter that runs.
struct Run {
    otlp: Otlp,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
    name: &'static str,
}

impl Run {
    fn start(directory: &Path, bound: u64, receiver: &Arc<Receiver>, run: &'static str) -> Self {
        let counts = Arc::new(Counts::default());
        let queue = Queue::open(directory, bound, Arc::clone(&counts)).unwrap();
        let waiting = Arc::new(Waiting::new(queue));
        let shared = Arc::new(Shared::default());
        shared.put(&Numbers {
            phase: Phase::Observing,
            incidents_opened: 7,
            ..Numbers::default()
        });
        let to = |path: &str| Some(format!("http://receiver{path}").parse().unwrap());
        let delivery = Delivery {
            transport: Arc::clone(receiver),
            metrics_to: to("/v1/metrics"),
            logs_to: to("/v1/logs"),
            interval: Duration::from_mins(1),
            waiting: Arc::clone(&waiting),
            shared,
            counts: Arc::clone(&counts),
            resource: attributes::resource("web1", "0123", "6.12", ""),
            run: run.to_owned(),
            start: nanoseconds(SystemTime::now()),
            now: SystemTime::now,
            random: || 1.0,
        };
        let task = tokio::spawn(async move {
            delivery.run(std::future::pending()).await;
        });
        Self {
            otlp: Otlp::new(waiting, true, |_| None).unwrap(),
            counts,
            task,
            name: run,
        }
    }

    fn open(&mut self, id: i64) {
        self.tell(What::Opened(told(id)));
    }

    fn close(&mut self, id: i64) {
        self.tell(What::Closed(told(id)));
    }

    fn tell(&mut self, what: What) {
        self.otlp.recording(&Recording::now(what)).unwrap();
    }

    /// Ends without a chance to do anything more: what it holds is never dropped.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        std::mem::forget(self.otlp);
        eprintln!("killed {}", self.name);
    }
}

fn told(id: i64) -> Box<Told> {
    Box::new(Told {
        id,
        refused: 5,
        incident: Incident {
            kind: Kind::Undersized,
            ..judge(&Evidence::default(), None)
        },
        closed_by: None,
    })
}
