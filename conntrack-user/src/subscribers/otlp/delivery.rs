//! Delivers what waits: records of incidents one after the other, metrics at intervals.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hyper::Uri;
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse},
    resource::v1::Resource,
};
use prost::Message as _;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    say::journal::{self, Level},
    subscribers::{
        metrics::{export::Counts, shared::Shared},
        otlp::{
            answer::{Answer, Backoff, Verdict, judge, repeated},
            points::{self, Span},
            post::Transport,
            queue::{Batch, Earlier, Queue},
            records,
            trouble::{Signal, Trouble, dropped_earlier},
        },
    },
};

/// Records of a request.
const RECORDS: usize = 64;

/// Bytes of the records of a request.
const BYTES: usize = 512 << 10;

/// How long the last requests may take when ctdrop ends.
const LAST: Duration = Duration::from_secs(5);

/// The queue, and the signal that it has more records.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: Mutex<Queue>,
    pub(super) more: Notify,
}

impl Waiting {
    pub(super) fn new(queue: Queue) -> Self {
        Self {
            queue: Mutex::new(queue),
            more: Notify::new(),
        }
    }

    /// The queue, locked.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is delivered, where, and by whom.
pub(super) struct Delivery<T> {
    pub(super) transport: T,
    pub(super) metrics_to: Option<Uri>,
    pub(super) logs_to: Option<Uri>,
    pub(super) interval: Duration,
    pub(super) waiting: Arc<Waiting>,
    pub(super) shared: Arc<Shared>,
    pub(super) counts: Arc<Counts>,
    pub(super) resource: Resource,
    /// This start of ctdrop.
    pub(super) run: String,
    /// When it was, in nanoseconds since 1970.
    pub(super) start: u64,
    /// The clock of the host.
    pub(super) now: fn() -> SystemTime,
    /// A number from 0 to 1.
    pub(super) random: fn() -> f64,
}

impl<T: Transport> Delivery<T> {
    /// Delivers until the end is asked for; then sends what it can within seconds.
    pub(super) async fn run(&self, end: impl Future<Output = ()>) {
        tokio::select! {
            () = self.deliver_records() => {}
            () = self.deliver_metrics() => {}
            () = end => {}
        }
        // The remaining records wait on the disk for the next start.
        if timeout(LAST, self.deliver_last()).await.is_err() {
            self.keep_metrics();
        }
    }

    async fn deliver_last(&self) {
        if let Some(to) = &self.metrics_to
            && !matches!(self.send_metrics(to).await, Verdict::Taken)
        {
            self.keep_metrics();
        }
        let Some(to) = &self.logs_to else {
            return;
        };
        let mut trouble = Trouble::of(Signal::Logs);
        while !self.waiting.queue().is_empty() {
            if self.send_records(to, RECORDS, &mut trouble).await != Verdict::Taken {
                return;
            }
        }
    }

    async fn deliver_records(&self) {
        let Some(to) = &self.logs_to else {
            return std::future::pending().await;
        };
        let (mut backoff, mut most) = (Backoff::default(), RECORDS);
        let mut trouble = Trouble::of(Signal::Logs);
        loop {
            if self.waiting.queue().is_empty() {
                self.waiting.more.notified().await;
                continue;
            }
            let after = match self.send_records(to, most, &mut trouble).await {
                Verdict::Taken => {
                    backoff.succeed();
                    most = (most * 2).min(RECORDS);
                    continue;
                }
                Verdict::Again { after, .. } => after,
                Verdict::Refused { .. } => {
                    // One by one, only the records that the receiver refuses are dropped.
                    most = 1;
                    None
                }
            };
            sleep(backoff.fail(after, (self.random)())).await;
        }
    }

    /// Sends the oldest records. It removes them if they were accepted. If a request with a single
    /// record is refused, it drops that record.
    async fn send_records(&self, to: &Uri, most: usize, trouble: &mut Trouble) -> Verdict {
        let batch = self.waiting.queue().next(most, BYTES);
        let (verdict, sent) = match batch {
            Ok(batch) => (
                self.send_batch(to, &batch).await,
                batch.records.len() as u64,
            ),
            Err(error) => (unusable(&error), 0),
        };
        trouble.tell(to, &verdict, sent);
        verdict
    }

    async fn send_batch(&self, to: &Uri, batch: &Batch) -> Verdict {
        let request = records::request(&batch.records, &self.resource);
        let (verdict, answer) = self.send(Signal::Logs, to, request.encode_to_vec()).await;
        let sent = batch.records.len() as u64;
        match &verdict {
            Verdict::Taken => {
                let refused = refused_records(answer.as_ref(), to).min(sent);
                self.counts.change(|export| {
                    export.sent += sent - refused;
                    export.dropped.refused += refused;
                });
                self.remove(batch)
            }
            Verdict::Refused { .. } if sent == 1 => match self.remove(batch) {
                Verdict::Taken => {
                    self.counts.change(|export| export.dropped.refused += 1);
                    verdict
                }
                unusable => unusable,
            },
            _ => {
                self.waiting.queue().put_back();
                verdict
            }
        }
    }

    fn remove(&self, batch: &Batch) -> Verdict {
        let removed = self.waiting.queue().remove(batch);
        removed.map_or_else(|error| unusable(&error), |()| Verdict::Taken)
    }

    async fn deliver_metrics(&self) {
        let Some(to) = &self.metrics_to else {
            return std::future::pending().await;
        };
        let mut backoff = Backoff::default();
        let mut trouble = Trouble::of(Signal::Metrics);
        // Hosts that start at the same time do not send at the same time.
        let mut next = Instant::now() + self.interval.mul_f64((self.random)());
        loop {
            sleep_until(next).await;
            let began = Instant::now();
            let verdict = self.send_all_metrics(to).await;
            trouble.tell(to, &verdict, 0);
            let after = match verdict {
                Verdict::Taken => {
                    backoff.succeed();
                    next = (next + self.interval).max(began);
                    continue;
                }
                Verdict::Again { after, .. } => after,
                Verdict::Refused { .. } => None,
            };
            let pause = backoff.fail(after, (self.random)());
            self.keep_metrics();
            next = began + pause.max(self.interval.min(Duration::from_secs(10)));
        }
    }

    /// Sends the last metrics of earlier runs, then the current ones.
    async fn send_all_metrics(&self, to: &Uri) -> Verdict {
        loop {
            let earlier = self.waiting.queue().earlier_metrics(&self.run);
            let earlier = match earlier {
                Ok(Some(earlier)) => earlier,
                Ok(None) => return self.send_metrics(to).await,
                Err(error) => return unusable(&error),
            };
            let (verdict, answer) = self.send(Signal::Metrics, to, earlier.body.clone()).await;
            let dropped = match &verdict {
                Verdict::Taken => refused_points(answer.as_ref(), to).min(earlier.points),
                Verdict::Refused { why } => {
                    let what = dropped_earlier(to, why, earlier.points);
                    journal::complain(Level::Error, what);
                    earlier.points
                }
                Verdict::Again { .. } => return verdict,
            };
            self.counts
                .change(|export| export.dropped_points += dropped);
            if let Err(error) = self.waiting.queue().forget_metrics(&earlier.run) {
                return unusable(&error);
            }
        }
    }

    /// Sends the current metrics. If they are refused, the next request has their next values.
    async fn send_metrics(&self, to: &Uri) -> Verdict {
        let (request, points) = self.metrics();
        let (verdict, answer) = self.send(Signal::Metrics, to, request).await;
        if verdict == Verdict::Taken {
            let refused = refused_points(answer.as_ref(), to).min(points);
            self.counts
                .change(|export| export.dropped_points += refused);
            if let Err(error) = self.waiting.queue().forget_metrics(&self.run) {
                return unusable(&error);
            }
        }
        verdict
    }

    fn metrics(&self) -> (Vec<u8>, u64) {
        let span = Span {
            start: self.start,
            now: nanoseconds((self.now)()),
        };
        let families = self.shared.families();
        let (request, points) = points::request(&families, &self.resource, span);
        (request.encode_to_vec(), points)
    }

    /// Keeps the current metrics on the disk, in case this run ends before it can send them.
    fn keep_metrics(&self) {
        let (body, points) = self.metrics();
        let earlier = Earlier {
            run: self.run.clone(),
            points,
            body,
        };
        let at = i64::try_from(nanoseconds((self.now)()) / 1_000_000).unwrap_or(i64::MAX);
        match self.waiting.queue().keep_metrics(&earlier, at) {
            Ok(lost) => self.counts.change(|export| export.dropped_points += lost),
            Err(error) => {
                journal::complain(
                    Level::Warning,
                    format!("cannot keep the last metrics on the disk: {error:#}"),
                );
            }
        }
    }

    async fn send(&self, signal: Signal, to: &Uri, body: Vec<u8>) -> (Verdict, Option<Answer>) {
        let answered = self.transport.post(to, Bytes::from(body)).await;
        let now = (self.now)();
        let (verdict, answer) = match answered {
            Ok(answer) => (judge(&answer, now), Some(answer)),
            Err(error) => {
                let why = format!("{error:#}");
                (Verdict::Again { after: None, why }, None)
            }
        };
        self.counts.change(|export| {
            let requests = match signal {
                Signal::Metrics => &mut export.metrics,
                Signal::Logs => &mut export.logs,
            };
            if verdict == Verdict::Taken {
                let since = now.duration_since(SystemTime::UNIX_EPOCH);
                requests.last_success = since.ok().map(|since| since.as_secs_f64());
            } else {
                requests.failed += 1;
            }
        });
        (verdict, answer)
    }
}

/// The queue cannot be used.
fn unusable(error: &anyhow::Error) -> Verdict {
    Verdict::Again {
        after: None,
        why: format!("cannot use the queue: {error:#}"),
    }
}

/// A moment in nanoseconds since 1970.
pub(super) fn nanoseconds(at: SystemTime) -> u64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Records that a receiver refused in a request that it accepted.
fn refused_records(answer: Option<&Answer>, from: &Uri) -> u64 {
    let said: Option<ExportLogsServiceResponse> = decoded(answer);
    let partial = said.and_then(|said| said.partial_success);
    partial.map_or(0, |partial| {
        let refused = partial.rejected_log_records;
        partly(
            refused,
            "records of incidents",
            &partial.error_message,
            from,
        )
    })
}

/// Data points that a receiver refused in a request that it accepted.
fn refused_points(answer: Option<&Answer>, from: &Uri) -> u64 {
    let said: Option<ExportMetricsServiceResponse> = decoded(answer);
    let partial = said.and_then(|said| said.partial_success);
    partial.map_or(0, |partial| {
        let refused = partial.rejected_data_points;
        partly(refused, "data points", &partial.error_message, from)
    })
}

/// The body of an answer to a request that was accepted, if there is one.
fn decoded<M: prost::Message + Default>(answer: Option<&Answer>) -> Option<M> {
    let answer = answer?;
    let kind = answer.content_type.as_deref()?;
    let is_protobuf = kind.starts_with("application/x-protobuf");
    let body = answer.body.clone().filter(|_| is_protobuf)?;
    M::decode(body).ok()
}

fn partly(refused: i64, what: &str, message: &str, from: &Uri) -> u64 {
    let refused = u64::try_from(refused).unwrap_or(0);
    if refused > 0 || !message.is_empty() {
        let message = repeated(message);
        let what = format!("{from} refuses {refused} {what}: {message}");
        journal::complain(Level::Warning, what);
    }
    refused
}
