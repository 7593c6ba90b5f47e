//! The recorder over reports that a test makes up, with a clock of its own.

mod days;
mod faults;
mod kills;
mod warnings;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use conntrack_ebpf::{FlowCount, FlowKey, Reason};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    engine::{
        figures::Figures,
        limit::LimitInForce,
        names::Names,
        report::Report,
        rows::{Row, Rows, Subject},
        update::{Summary, Update},
    },
    incident::{Census, census::Heaviest},
    kernel::{defaults::Table, netns::Namespaces},
    observe::{
        backend::Backend,
        counts::health::{Faults, Missed, RunsByProgram},
    },
    say::clock::Clock,
    store::{
        Reader, Store,
        incident::{CensusRow, ClosedBy},
        keep::Bounds,
        record::{Boot, Record},
    },
    subscribers::{
        Subscriber as _,
        census::Taken,
        recorder::{Recorder, looker::Looker},
        recording::{Recording, What},
    },
};

/// The namespace in which packets are refused.
pub(crate) const NETNS: u32 = 7;

/// When the clock of a test begins, in seconds since 1970.
const BEGIN: u64 = 1_700_000_000;

/// A recorder, its file, and what it says.
pub(crate) struct Stage {
    directory: TempDir,
    pub(crate) recorder: Recorder,
    news: UnboundedReceiver<Recording>,
    /// Seconds since the begin.
    pub(crate) now: u64,
    /// Packets refused so far, and flows.
    refused: u64,
}

fn boot() -> Boot {
    Boot {
        boot_id: "one".to_owned(),
        ..Boot::default()
    }
}

/// A table that one client fills with connections that it does not use.
fn leak() -> Taken {
    let source = IpAddr::from([10, 0, 0, 66]);
    Taken {
        census: Census {
            entries: 1000,
            established: 900,
            idle: 900,
            idle_source: Some(Heaviest {
                key: source,
                owner: Some("pod/leaky".to_owned()),
                entries: 900,
                unreplied: 0,
                idle: 900,
            }),
            ..Census::default()
        },
        rows: vec![CensusRow {
            by: "source".to_owned(),
            key: source.to_string(),
            owner: Some("pod/leaky".to_owned()),
            entries: 900,
            unreplied: 0,
            idle: 900,
        }],
    }
}

impl Stage {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ctdrop.db");
        let store = Store::open(&path, bounds, &boot()).unwrap().store;
        store.without_sync();
        let looker = Looker::by(|_| Ok(leak()));
        let (recorder, news) = Recorder::over(store, bounds, boot(), looker);
        Self {
            directory,
            recorder,
            news,
            now: 0,
            refused: 0,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("ctdrop.db")
    }

    /// So many seconds pass, in which so many packets are refused.
    pub(crate) fn pass(&mut self, seconds: u64, refused: u64) {
        self.now += seconds;
        self.refused += refused;
        let report = report(self.now, Duration::from_secs(seconds), refused);
        self.recorder
            .update(&Update::Interval(Box::new(report)))
            .unwrap();
    }

    pub(crate) fn finish(&mut self, tail: u64) {
        self.now += 1;
        self.refused += tail;
        let length = Duration::from_secs(self.now);
        let summary = Summary {
            report: report(self.now, length, self.refused),
            host: String::new(),
            release: String::new(),
            services: Vec::new(),
            omitted: None,
            warnings: Vec::new(),
        };
        self.recorder
            .update(&Update::Finished(Box::new(summary)))
            .unwrap();
    }

    pub(crate) fn read(&self) -> Record {
        Reader::open(&self.path())
            .unwrap()
            .record(0..=i64::MAX)
            .unwrap()
    }

    /// It ends without a word, and begins again.
    pub(crate) fn kill_and_start_again(&mut self) {
        // Its lock is in the way of the next one.
        self.recorder.store = None;
        self.refused = 0;
        let bounds = Bounds::default();
        let store = Store::open(&self.path(), bounds, &boot()).unwrap().store;
        store.without_sync();
        let looker = Looker::by(|_| Ok(leak()));
        (self.recorder, self.news) = Recorder::over(store, bounds, boot(), looker);
    }

    /// What was told since. Predictions are left out: they depend on this host, and come when
    /// its files are read.
    fn said(&mut self) -> Vec<What> {
        std::iter::from_fn(|| self.news.try_recv().ok())
            .map(|news| news.what)
            .filter(|what| !matches!(what, What::Predicted(_)))
            .collect()
    }
}

/// A report on an interval that ends in that second.
pub(crate) fn report(second: u64, length: Duration, refused: u64) -> Report {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN + second);
    Report {
        time: humantime::format_rfc3339_millis(end).to_string(),
        monotonic: second * 1_000_000_000,
        clock: Clock::now(),
        length,
        intervals: 1,
        top: 10,
        backend: Backend::Fexit,
        armed: true,
        figures: figures(refused),
        flows: flows(refused),
        groups: None,
        names: Names::default(),
        namespaces: Vec::new(),
        namespaces_omitted: 0,
        limit: Some(LimitInForce {
            table: Table {
                max: 1000,
                buckets: 512,
            },
            changed: None,
        }),
        fullest: Vec::new(),
        entries: [(NETNS, if refused > 0 { 1000 } else { 300 })].into(),
        discovered: Arc::new(Namespaces {
            list: Vec::new(),
            hidden: Vec::new(),
            contained: false,
            warnings: Vec::new(),
            is_whole: true,
        }),
        missed: Missed::default(),
        runs: RunsByProgram::default(),
        faults: Faults::default(),
        error_bound: 0,
        logged: None,
    }
}

fn figures(refused: u64) -> Figures {
    Figures {
        drops: [("table_full", refused)].into(),
        by_netns: [(NETNS, refused)].into(),
        counts: [((NETNS, Reason::TableFull), refused)]
            .into_iter()
            .filter(|(_, packets)| *packets > 0)
            .collect(),
        flows: refused.min(30),
        ..Figures::default()
    }
}

/// Thirty flows, of which each has its share.
fn flows(refused: u64) -> Rows {
    let flow = |port: u16| Row {
        subject: Subject::Flow(FlowKey {
            src: [0; 16],
            dst: [0; 16],
            netns: NETNS,
            sport: port,
            dport: 53,
            zone: 0,
            family: 2,
            protocol: 17,
            reason: Reason::TableFull as u32,
            sender: 0,
        }),
        count: FlowCount {
            packets: refused / 30,
            first: 1,
            last: 2,
        },
        total: refused / 30,
    };
    let top = if refused < 30 { 0 } else { 10 };
    Rows {
        top: (0..top).map(flow).collect(),
        more: if refused < 30 { 0 } else { 20 },
    }
}

fn sums(record: &Record) -> (u64, u64) {
    let refused = record
        .intervals
        .iter()
        .map(|interval| interval.refused)
        .sum();
    let length = record
        .intervals
        .iter()
        .map(|interval| interval.length)
        .sum();
    (refused, length)
}

#[test]
fn seconds_are_kept_while_something_happens_and_minutes_else() {
    let mut stage = Stage::new(Bounds::default());
    for _ in 0..130 {
        stage.pass(1, 0);
    }
    for _ in 0..5 {
        stage.pass(1, 300);
    }
    stage.finish(7);
    let record = stage.read();
    let lengths: Vec<u64> = record
        .intervals
        .iter()
        .map(|interval| interval.length / 1000)
        .collect();
    assert_eq!(lengths, [60, 60, 10, 1, 1, 1, 1, 1, 1]);
    assert_eq!(sums(&record), (1507, 136_000), "nothing is lost");
    let second = &record.intervals[3];
    assert_eq!(
        (second.flows.len(), second.rest_flows, second.rest()),
        (10, 20, 200)
    );
    assert_eq!(second.limit, Some((1000, 512)));
    let netns = record
        .namespaces
        .iter()
        .find(|netns| netns.inode == NETNS)
        .unwrap();
    assert_eq!(netns.name, "net:[7]");
    assert_eq!(
        second.drops,
        BTreeMap::from([((netns.netns, "table_full".to_owned()), 300)])
    );
    assert_eq!(second.tables[&netns.netns].entries, Some(1000));
}

#[test]
fn an_incident_that_grows_is_told_again_and_ever_more_rarely() {
    let mut stage = Stage::new(Bounds::default());
    stage.pass(1, 0);
    let mut grown = Vec::new();
    for second in 0..1000 {
        stage.pass(1, 300);
        grown.extend(stage.said().into_iter().filter_map(|what| match what {
            What::Grown(told) => Some((second, told.refused)),
            _ => None,
        }));
    }
    let first_half = grown.iter().filter(|(second, _)| *second < 500).count();
    assert!(first_half >= 4, "{grown:?}");
    assert!(grown.len() - first_half <= 2, "{grown:?}");
    assert!(grown.is_sorted_by(|(_, one), (_, next)| one * 3 < next * 2));
}

#[test]
fn an_incident_is_opened_diagnosed_and_closed() {
    let mut stage = Stage::new(Bounds::default());
    stage.pass(1, 0);
    stage.pass(1, 300);
    // The census comes when it is done.
    let diagnosed = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        stage.pass(1, 300);
        stage.said().into_iter().find_map(|what| match what {
            What::Diagnosed(told) => Some(told),
            _ => None,
        })
    });
    assert!(diagnosed.is_some());
    let reader = Reader::open(&stage.path()).unwrap();
    let incident = reader.incident(1).unwrap().unwrap();
    assert_eq!(incident.kind, "leak");
    assert_eq!(
        incident.culprit.as_deref(),
        Some("from 10.0.0.66 (pod/leaky): 900 entries")
    );
    assert_eq!(incident.closed, None);
    assert_eq!(incident.refused, stage.refused);
    assert_eq!(incident.entries, Some(1000));
    assert_eq!(
        incident.opened.wall / 1000,
        i64::try_from(BEGIN + 2).unwrap()
    );
    assert!(incident.body.contains("\"remedies\""));
    let censuses = reader.censuses(1).unwrap();
    assert_eq!(censuses[0].cause, "opened");
    assert_eq!(censuses[0].rows, leak().rows);
    // It is quiet.
    let last = incident.last;
    for _ in 0..310 {
        stage.pass(1, 0);
    }
    let incident = reader.incident(1).unwrap().unwrap();
    assert!(
        matches!(incident.closed, Some((_, ClosedBy::Quiet))),
        "{incident:?}"
    );
    assert_eq!(incident.last, last);
    let said = stage.said();
    // More were refused than when the table was read.
    let expected = matches!(&said[..], [What::Grown(_), What::Closed(_)]);
    assert!(expected, "{said:?}");
}
