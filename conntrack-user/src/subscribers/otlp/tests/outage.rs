//! A receiver is away for an hour. When it is back, it gets every record once.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse},
    metrics::v1::metric::Data,
};
use prost::Message as _;
use tempfile::tempdir;
use tokio::time::{Instant, sleep};

use super::{Answer, Receiver, Run, answered, string};
use crate::subscribers::metrics::export::Dropped;

const BOUND: u64 = 4 << 20;

const OPENED: &str = "ctdrop.incident.opened";

const CLOSED: &str = "ctdrop.incident.closed";

#[tokio::test(start_paused = true)]
async fn an_hour_without_a_receiver_and_a_kill_lose_and_repeat_nothing() {
    let directory = tempdir().unwrap();
    let receiver = Receiver::down_for(Duration::from_hours(1));
    let mut first = Run::start(directory.path(), BOUND, &receiver, "first");
    for id in 1..=100 {
        first.open(id);
        sleep(Duration::from_secs(15)).await;
        first.close(id);
    }
    first.open(101);
    sleep(Duration::from_mins(5)).await;
    assert_eq!(receiver.all_and_different(), (0, 0));
    assert_eq!(first.counts.now().queued, 201);
    assert!(first.counts.now().logs.failed > 5);
    first.kill().await;

    let mut second = Run::start(directory.path(), BOUND, &receiver, "second");
    second.open(102);
    sleep(Duration::from_hours(1)).await;
    second.close(102);
    sleep(Duration::from_mins(1)).await;
    let all: Vec<i64> = (1..=102).collect();
    assert_eq!(receiver.incidents(OPENED), all);
    assert_eq!(receiver.incidents(CLOSED), all);
    assert_eq!(receiver.all_and_different(), (204, 204));
    let counts = second.counts.now();
    assert_eq!((counts.queued, counts.sent), (0, 204));
    assert_eq!(counts.dropped, Dropped::default());
    interrupted_is_said(&receiver);

    // The last numbers of the first run came, then those of the second, each with its start.
    let metrics = receiver.metrics.lock().unwrap();
    let starts: Vec<u64> = metrics.iter().map(started).collect();
    let first = starts.iter().filter(|&&start| start == starts[0]);
    assert_eq!(first.count(), 1);
    assert!(
        starts[1..]
            .iter()
            .all(|&start| start == starts[1] && start > starts[0])
    );
    assert!(starts.len() > 25, "{}", starts.len());
}

/// Of the incident that was open when ctdrop was killed.
fn interrupted_is_said(receiver: &Receiver) {
    let records = receiver.records.lock().unwrap();
    let of: Vec<_> = records
        .iter()
        .filter(|one| super::incident(one) == 101)
        .collect();
    assert_eq!(string(of[1], "ctdrop.incident.closed_by"), "killed");
    let uid = |index: usize| string(of[index], "ctdrop.incident.uid");
    assert_eq!(uid(0), uid(1));
}

fn started(request: &super::ExportMetricsServiceRequest) -> u64 {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let mut named = metrics
        .iter()
        .filter(|one| one.name == "ctdrop_incidents_opened");
    match &named.next().unwrap().data {
        Some(Data::Sum(sum)) => sum.data_points[0].start_time_unix_nano,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_one_that_is_refused_is_found_and_the_others_arrive() {
    let directory = tempdir().unwrap();
    let receiver = std::sync::Arc::new(Receiver {
        unwanted: Some(5),
        ..Receiver::default()
    });
    let mut run = Run::start(directory.path(), BOUND, &receiver, "run");
    for id in 1..=20 {
        run.open(id);
    }
    sleep(Duration::from_hours(1)).await;
    let expected: Vec<i64> = (1..=20).filter(|&id| id != 5).collect();
    assert_eq!(receiver.incidents(OPENED), expected);
    let counts = run.counts.now();
    assert_eq!(
        (counts.queued, counts.sent, counts.dropped.refused),
        (0, 19, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_gets_the_pause_that_it_asks_for() {
    let directory = tempdir().unwrap();
    let receiver = Receiver::down_for(Duration::ZERO);
    let mut run = Run::start(directory.path(), BOUND, &receiver, "run");
    receiver.answers.lock().unwrap().push_back(Answer {
        retry_after: Some("20".to_owned()),
        ..answered(503)
    });
    let began = Instant::now();
    run.open(1);
    sleep(Duration::from_secs(50)).await;
    let asked = receiver.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1] - began >= Duration::from_secs(20));
    assert_eq!(receiver.incidents(OPENED), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_in_part_is_counted_and_not_sent_again() {
    let directory = tempdir().unwrap();
    let receiver = Receiver::down_for(Duration::ZERO);
    let mut run = Run::start(directory.path(), BOUND, &receiver, "run");
    let response = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 2,
            error_message: "too old".to_owned(),
        }),
    };
    receiver.answers.lock().unwrap().push_back(Answer {
        content_type: Some("application/x-protobuf".to_owned()),
        body: Some(response.encode_to_vec().into()),
        ..answered(200)
    });
    for id in 1..=3 {
        run.open(id);
    }
    sleep(Duration::from_secs(30)).await;
    let counts = run.counts.now();
    assert_eq!(
        (counts.queued, counts.sent, counts.dropped.refused),
        (0, 1, 2)
    );
    assert_eq!(receiver.asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_the_end_is_sent_or_kept() {
    let directory = tempdir().unwrap();
    let receiver = Receiver::down_for(Duration::from_mins(10));
    let run = |name| Run::start(directory.path(), BOUND, &receiver, name);
    let mut first = run("first");
    first.open(1);
    first.close(1);
    first.kill().await;
    sleep(Duration::from_mins(11)).await;
    let second = run("second");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.incidents(CLOSED), [1]);
    assert_eq!(second.counts.now().queued, 0);
}
