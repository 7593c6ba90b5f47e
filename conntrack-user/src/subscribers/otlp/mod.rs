//! Sends metrics and records of incidents by OTLP over HTTP; docs/fleet.md.
//!
//! The subscriber only puts records of incidents into a queue on the disk (`queue`), so it does
//! not delay others. Another thread sends them (`delivery`), and the metrics that the subscriber
//! for metrics provides. `post` bounds the time and the memory of each request.

mod answer;
mod attributes;
mod delivery;
mod flows;
mod points;
mod post;
mod queue;
mod queue_file;
mod records;
pub mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod trouble;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::SystemTime,
};

use anyhow::{Context as _, Result};
use prost::Message as _;
use tokio::{runtime, sync::oneshot};
use uuid::Uuid;

use crate::{
    engine::update::Update,
    store::{Reader, incident::Incident},
    subscribers::{
        Subscriber,
        capabilities::renounce,
        metrics::{export::Counts, shared::Shared},
        otlp::{
            delivery::{Delivery, Waiting, nanoseconds},
            flows::Flows,
            post::Http,
            queue::{Put, Queue},
            records::Action,
            settings::Settings,
        },
        recording::{Recording, Told, What},
    },
};

/// The subscriber: makes records of incidents, and puts them into the queue.
pub struct Otlp {
    waiting: Arc<Waiting>,
    flows: Flows,
    /// The uid of each open incident.
    open: BTreeMap<i64, String>,
    /// Whether records are sent at all.
    sends_records: bool,
}

/// The thread that sends. Dropping this value ends the thread.
#[derive(Debug)]
pub struct Sender {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the export, with a queue in this directory. `evidence` is the file of the evidence, which
/// the run before has written.
///
/// # Errors
///
/// The queue cannot be opened, or the thread not started.
pub fn start(
    settings: &Settings,
    directory: &Path,
    evidence: &Path,
    shared: Arc<Shared>,
    counts: Arc<Counts>,
) -> Result<(Otlp, Sender)> {
    const WHAT: &str = "cannot start the thread that sends by OTLP";
    let queue = Queue::open(directory, settings.queue_size, Arc::clone(&counts))?;
    let waiting = Arc::new(Waiting::new(queue));
    // Without evidence, the last record has the figures.
    let evidence = Reader::open(evidence).ok();
    let kept = |id| evidence.as_ref()?.incident(id).ok().flatten();
    let otlp = Otlp::new(Arc::clone(&waiting), settings.logs_to().is_some(), kept)?;
    let delivery = Delivery {
        transport: Http::new(settings.clone()),
        metrics_to: settings.metrics_to(),
        logs_to: settings.logs_to(),
        interval: settings.interval,
        waiting,
        shared,
        counts,
        resource: attributes::of_host(),
        run: Uuid::new_v4().to_string(),
        start: nanoseconds(SystemTime::now()),
        now: SystemTime::now,
        random,
    };
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context(WHAT)?;
    let (end, ended) = oneshot::channel();
    let thread = thread::Builder::new().name("otlp-http".to_owned());
    let thread = thread
        .spawn(move || {
            renounce("sends by OTLP");
            runtime.block_on(delivery.run(async {
                // Ends when the sending half is dropped.
                let _ = ended.await;
            }));
        })
        .context(WHAT)?;
    let sender = Sender {
        end: Some(end),
        thread: Some(thread),
    };
    Ok((otlp, sender))
}

/// A number from 0 to 1.
fn random() -> f64 {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    f64::from(u32::try_from(high >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

impl Drop for Sender {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic was printed.
            let _ = thread.join();
        }
    }
}

impl Otlp {
    /// Puts records into this queue. First come the records that close the incidents which an
    /// earlier run left open; `kept` finds an incident in the evidence.
    fn new(
        waiting: Arc<Waiting>,
        sends_records: bool,
        kept: impl Fn(i64) -> Option<Incident>,
    ) -> Result<Self> {
        {
            let mut queue = waiting.queue();
            for left in queue.unfinished()? {
                let now = nanoseconds(SystemTime::now());
                let record = records::interrupted(&left.body, kept(left.incident), now);
                if let Some(record) = record {
                    queue.put(Put {
                        body: record.encode_to_vec(),
                        incident: left.incident,
                        open: None,
                    });
                }
            }
        }
        Ok(Self {
            waiting,
            flows: Flows::default(),
            open: BTreeMap::new(),
            sends_records,
        })
    }

    fn tell(&mut self, action: Action, told: &Told, recording: &Recording) {
        if !self.sends_records {
            return;
        }
        if action == Action::Opened {
            let inode = told.incident.netns.inode.unwrap_or(0);
            self.flows.open(told.id, inode);
        }
        let new = || Uuid::new_v4().to_string();
        let uid = self.open.entry(told.id).or_insert_with(new).clone();
        let at = humantime::parse_rfc3339(&recording.time);
        let at = nanoseconds(at.unwrap_or_else(|_| SystemTime::now()));
        let flows = self.flows.of(told.id);
        let line = told.line(action.word());
        let record = records::record(action, told, &flows, &uid, &line, at);
        let is_open = action != Action::Closed;
        if !is_open {
            self.open.remove(&told.id);
            self.flows.close(told.id);
        }
        self.waiting.queue().put(Put {
            body: record.encode_to_vec(),
            incident: told.id,
            open: is_open.then_some(uid),
        });
        self.waiting.more.notify_one();
    }
}

impl Subscriber for Otlp {
    fn update(&mut self, update: &Update) -> Result<()> {
        if let Update::Interval(report) = update {
            self.flows.add(report);
        }
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        match &recording.what {
            What::Opened(told) => self.tell(Action::Opened, told, recording),
            What::Diagnosed(told) => self.tell(Action::Diagnosed, told, recording),
            What::Grown(told) => self.tell(Action::Grown, told, recording),
            What::Closed(told) => self.tell(Action::Closed, told, recording),
            _ => {}
        }
        Ok(())
    }
}
