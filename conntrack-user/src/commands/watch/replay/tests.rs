//! What the recorder has written, played back.

use std::{
    future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::{
    auto::{
        event::{Event as Fix, What as Fixed},
        guard::Mode,
    },
    commands::watch::{
        options::{Options, Replay, Speed},
        replay::run,
        said::Said,
    },
    engine::{
        self,
        limit::{LimitChange, Maker},
        update::Update,
        watched_netns::{Change, NetnsChange},
    },
    kernel::defaults::Table,
    observe::observer::event::Event,
    say::output::Output,
    store::keep::Bounds,
    subscribers::{
        Printed, Subscriber,
        json::line_of,
        recorder::tests::{NETNS, Stage},
        recording::Recording,
        worker::Worker,
    },
};

/// Keeps what it is told, as JSON, and text.
#[derive(Clone, Default)]
struct Collector {
    lines: Arc<Mutex<Vec<Value>>>,
    text: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn lines(&self) -> Vec<Value> {
        let lines = self.lines.lock();
        lines.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn of(&self, kind: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["type"] == kind);
        lines
    }
}

impl Subscriber for Collector {
    fn update(&mut self, update: &Update) -> anyhow::Result<()> {
        self.lines.lock().unwrap().push(line_of(update));
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> anyhow::Result<()> {
        self.lines.lock().unwrap().push(recording.json());
        self.text.lock().unwrap().extend(recording.lines());
        Ok(())
    }
}

fn options(file: &Path, speed: Speed) -> (Replay, Options) {
    let replay = Replay {
        file: file.to_owned(),
        speed,
        since: None,
        until: None,
    };
    let options = Options {
        engine: engine::options::Options::default(),
        output: Output::Json,
        service_names: false,
        fix: Mode::Off,
        ceiling: None,
        printed: Printed::All,
        screen: false,
        record: None,
        hook: None,
        pcap: None,
        replay: Some(replay.clone()),
    };
    (replay, options)
}

async fn played(replay: &Replay, options: &Options) -> Collector {
    let collector = Collector::default();
    let told = collector.clone();
    let output = move || Worker::start("the test", told).map(Said::by);
    run(replay, options, output, future::pending())
        .await
        .unwrap();
    collector
}

/// A quiet minute, three seconds with refusals, and a rest.
fn stage() -> Stage {
    let mut stage = Stage::new(Bounds::default());
    for _ in 0..60 {
        stage.pass(1, 0);
    }
    for refused in [300, 900, 30] {
        stage.pass(1, refused);
    }
    stage.finish(7);
    stage
}

#[tokio::test]
async fn each_interval_and_the_totals_are_those_of_the_file() {
    let stage = stage();
    let (replay, options) = options(&stage.path(), Speed::Max);
    let played = played(&replay, &options).await;
    let recorded = stage.read().intervals;
    let intervals = played.of("interval");
    assert_eq!(intervals.len(), recorded.len());
    for (line, interval) in intervals.iter().zip(&recorded) {
        let drops: u64 = line["drops"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_u64)
            .sum();
        assert_eq!(drops, interval.refused, "{line}");
        assert_eq!(line["drops"]["table_full"], interval.refused);
        assert_eq!(line["time"], interval.at.time());
        let seconds = Duration::from_millis(interval.length).as_secs_f64();
        assert_eq!(line["seconds"], seconds);
        assert_eq!(line["unattributed"], interval.unattributed);
        assert_eq!(line["limit"]["max"], 1000);
        let flows = line["flows"].as_array().unwrap();
        let packets = flows.iter().map(|flow| flow["packets"].as_u64().unwrap());
        let kept = interval.flows.iter().map(|flow| flow.packets);
        assert_eq!(packets.collect::<Vec<_>>(), kept.collect::<Vec<_>>());
        assert!(line.get("intervals").is_none(), "one by one: {line}");
    }
    let summaries = played.of("summary");
    let [summary] = &summaries[..] else {
        panic!("{summaries:?}")
    };
    let refused: u64 = recorded.iter().map(|interval| interval.refused).sum();
    assert_eq!(refused, 1237);
    assert_eq!(summary["drops"]["table_full"], refused);
    assert_eq!(summary["seconds"], 64.0);
    let flow = &summary["flows"][0];
    assert_eq!(
        (
            &flow["packets"],
            &flow["netns"],
            &flow["dport"],
            &flow["protocol"]
        ),
        (
            &(300 / 30 + 900 / 30 + 1).into(),
            &NETNS.into(),
            &53.into(),
            &"udp".into()
        )
    );
    assert_eq!(played.lines()[0]["type"], "start");
    let said = played.lines()[0]["warnings"].to_string();
    assert!(said.contains("20 flows with the most packets"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn it_takes_as_long_as_it_took_at_the_speed_that_is_asked_for() {
    let stage = stage();
    for (speed, seconds) in [(Speed::Times(1.0), 64.0), (Speed::Times(16.0), 4.0)] {
        let began = tokio::time::Instant::now();
        let (replay, options) = options(&stage.path(), speed);
        played(&replay, &options).await;
        let took = began.elapsed().as_secs_f64();
        assert!((took - seconds).abs() < 0.5, "{speed:?}: {took}");
    }
}

#[tokio::test]
async fn an_end_before_the_end_has_the_totals_so_far() {
    let stage = stage();
    let (replay, options) = options(&stage.path(), Speed::Times(100.0));
    let collector = Collector::default();
    let told = collector.clone();
    let output = move || Worker::start("the test", told).map(Said::by);
    let seen = collector.clone();
    let shutdown = async move {
        while seen.of("interval").len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    run(&replay, &options, output, shutdown).await.unwrap();
    assert_eq!(collector.of("interval").len(), 2);
    assert_eq!(collector.of("summary")[0]["drops"]["table_full"], 300);
}

#[tokio::test]
async fn what_happened_comes_in_between_and_gaps_are_told() {
    let mut stage = Stage::new(Bounds::default());
    stage.pass(1, 300);
    let time = "2023-11-14T22:13:22Z".to_owned();
    let table = |max| Table { max, buckets: 512 };
    let recorder = &mut stage.recorder;
    for update in [
        Update::Limit(LimitChange {
            time: time.clone(),
            before: table(1000),
            after: table(2000),
            made_by: Some(Maker::Recorded("sysctl[7]".to_owned())),
        }),
        Update::Observer {
            time: time.clone(),
            event: Event::Armed,
        },
        Update::Netns(NetnsChange {
            time: time.clone(),
            netns: NETNS,
            name: "net:[7]".to_owned(),
            change: Change::Gone,
        }),
    ] {
        recorder.update(&update).unwrap();
    }
    let what = Fixed::Failed("no plan".to_owned());
    recorder.fix(&Fix { time, what }).unwrap();
    stage.pass(1, 300);
    stage.kill_and_start_again();
    stage.pass(1, 300);
    stage.finish(0);
    let (replay, options) = options(&stage.path(), Speed::Max);
    let played = played(&replay, &options).await;
    let events = played.of("event");
    let events: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    for event in ["limit_changed", "armed", "netns_gone"] {
        assert!(events.contains(&&Value::from(event)), "{event}: {events:?}");
    }
    let limit = played.of("event");
    let limit = limit.iter().find(|event| event["event"] == "limit_changed");
    assert_eq!(limit.unwrap()["made_by"], "sysctl[7]", "{events:?}");
    let gone = played.of("event");
    let gone = gone.iter().find(|event| event["event"] == "netns_gone");
    assert_eq!(gone.unwrap()["netns"], NETNS);
    let fixes = played.of("fix");
    assert_eq!(fixes[0]["action"], "failed", "{fixes:?}");
    assert!(fixes[0].get("text").is_none(), "{fixes:?}");
    let gaps = played.of("gap");
    assert_eq!(gaps[0]["why"], "killed", "{gaps:?}");
    let text = played.text.lock().unwrap().join("\n");
    assert!(text.contains("fix: no plan"), "{text}");
    assert!(
        text.contains("ctdrop recorded nothing, because ctdrop was killed"),
        "{text}"
    );
    assert_eq!(played.of("summary")[0]["drops"]["table_full"], 900);
}

#[tokio::test]
async fn only_the_time_that_is_asked_for_is_played() {
    let stage = stage();
    let (mut replay, options) = options(&stage.path(), Speed::Max);
    // The begin of a test is 22:13:20.
    replay.since = crate::logs::time::When::parse("2023-11-14T22:14:22Z").ok();
    let part = played(&replay, &options).await;
    assert_eq!(part.of("interval").len(), 3);
    assert_eq!(part.of("summary")[0]["drops"]["table_full"], 937);
    replay.until = replay.since;
    let output = || Worker::start("the test", Collector::default()).map(Said::by);
    let error = run(&replay, &options, output, future::pending())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("earlier than --until"),
        "{error}"
    );
    replay.until = None;
    replay.since = crate::logs::time::When::parse("2030-01-01T00:00:00Z").ok();
    let error = run(&replay, &options, output, future::pending())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("nothing to replay in"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("its evidence ends at 2023-11-14"),
        "{error}"
    );
}
