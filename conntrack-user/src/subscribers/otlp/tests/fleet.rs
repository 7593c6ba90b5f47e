//! A hundred simulated hosts. Another decoder reads their requests, and real engines run the
//! queries of docs/fleet.md. On demand:
//!
//! ```text
//! apt install prometheus
//! python3 -m venv v && v/bin/pip install opentelemetry-proto chdb
//! CTDROP_PYTHON=v/bin/python cargo test -p conntrack-user --lib -- --ignored --nocapture fleet
//! ```

use std::{
    env, fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use conntrack_ebpf::FlowKey;
use flate2::{Compression, write::GzEncoder};
use prost::Message as _;
use serde_json::Value;

use super::super::{
    attributes,
    delivery::nanoseconds,
    points::{self, Span},
    records::{self, Action},
};
use crate::{
    incident::{Culprit, Incident, Kind},
    subscribers::{
        metrics::{
            catalogue::families,
            family::openmetrics,
            numbers::{Named, Numbers, Phase},
        },
        recording::Told,
    },
};

/// Simulated hosts.
const HOSTS: u8 = 100;

/// Made-up numbers of a host. Its table fills; every tenth will be full within an hour.
fn numbers(host: u8) -> Numbers {
    let host = u64::from(host);
    let mut numbers = Numbers {
        phase: Phase::Observing,
        refused_elsewhere: host * 100,
        entries: vec![Named {
            name: "host".to_owned(),
            value: 1000 + host,
        }],
        incidents_opened: 1,
        limit: Some(crate::engine::limit::LimitInForce {
            table: crate::kernel::defaults::Table {
                max: 1100,
                buckets: 1024,
            },
            changed: None,
        }),
        export: Some(crate::subscribers::metrics::export::Export::default()),
        interval_end: Some(1.0),
        ..Numbers::default()
    };
    numbers.figures.drops.insert("table_full", host * 100);
    numbers.incidents.insert(1, Kind::Flood);
    if host.is_multiple_of(10) {
        numbers.full_in = vec![Named {
            name: "host".to_owned(),
            value: 1800.0,
        }];
    }
    numbers
}

/// An incident of a host. The same source fills every fourth host.
fn incident(host: u8) -> Box<Told> {
    let mut told = super::told(1);
    let source = if host.is_multiple_of(4) {
        7
    } else {
        100 + host
    };
    told.refused = u64::from(host) * 100;
    told.incident = Incident {
        kind: if host.is_multiple_of(2) {
            Kind::Leak
        } else {
            Kind::Undersized
        },
        culprit: Some(Culprit::Source {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, source)),
            owner: None,
            entries: 900,
        }),
        ..told.incident
    };
    told
}

/// A refused flow to one of five services.
fn flow(host: u8) -> (FlowKey, u64) {
    let address = |last: u8| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&Ipv4Addr::new(198, 51, 100, last).octets());
        bytes
    };
    let key = FlowKey {
        src: address(host),
        dst: address(host % 5),
        netns: 1,
        sport: 1024,
        dport: 443,
        zone: 0,
        family: 2,
        protocol: 6,
        reason: 0,
        sender: 0,
    };
    (key, u64::from(host) * 100)
}

/// The requests of a host: with metrics, and with the records of an incident, which is still
/// open on every third.
fn requests(host: u8) -> (Vec<u8>, Vec<u8>) {
    let id = format!("{host:032x}");
    let name = format!("web{host}");
    let system = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Debian 13\"\n";
    let resource = attributes::resource(&name, &id, "6.12.41+deb13-amd64", system);
    let now = nanoseconds(SystemTime::now());
    let span = Span {
        start: now - nanoseconds(SystemTime::UNIX_EPOCH + Duration::from_hours(1)),
        now,
    };
    let (metrics, _) = points::request(&families(&numbers(host)), &resource, span);
    let told = incident(host);
    let uid = uuid::Uuid::new_v4().to_string();
    let record = |action: Action| {
        let line = told.line(action.word());
        records::record(action, &told, &[flow(host)], &uid, &line, now).encode_to_vec()
    };
    let mut all = vec![record(Action::Opened)];
    if !host.is_multiple_of(3) {
        all.push(record(Action::Closed));
    }
    let logs = records::request(&all, &resource);
    (metrics.encode_to_vec(), logs.encode_to_vec())
}

fn gzipped(bytes: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

/// Prints the sizes that docs/fleet.md calculates with. They must not grow unnoticed.
#[test]
fn a_host_sends_little() {
    let all = families(&numbers(10));
    let samples = all.iter().map(|family| family.samples.len());
    let series: usize = samples.sum();
    let text = openmetrics(all).len();
    let (metrics, logs) = requests(10);
    eprintln!(
        "{series} series; /metrics: {text} bytes; metrics by OTLP: {} bytes, {} compressed; two \
         records: {} bytes, {} compressed",
        metrics.len(),
        gzipped(&metrics),
        logs.len(),
        gzipped(&logs)
    );
    assert!((50..90).contains(&series), "{series}");
    assert!(text < 12_000, "{text}");
    assert!(metrics.len() < 16_000 && gzipped(&metrics) < 5_000);
    assert!(logs.len() < 8_000 && gzipped(&logs) < 3_000);
}

/// Decodes all with the Python package `opentelemetry-proto`, and runs each query of
/// docs/fleet.md: the SQL in chDB, which is `ClickHouse`, and the `PromQL` in Prometheus.
#[test]
#[ignore = "it needs Python with opentelemetry-proto and chdb, and the program prometheus"]
fn each_query_of_the_documentation_answers() {
    let directory = tempfile::tempdir().unwrap();
    for host in 1..=HOSTS {
        let (metrics, logs) = requests(host);
        let file = |end: &str| directory.path().join(format!("{host}.{end}"));
        fs::write(file("metrics"), metrics).unwrap();
        fs::write(file("logs"), logs).unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os("CTDROP_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(python)
        .arg(root.join("src/subscribers/otlp/tests/fleet.py"))
        .arg(directory.path())
        .arg(root.join("../docs/fleet.md"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    eprintln!("{answers:#}");
    // 100 were opened, 67 closed, and all was put in twice.
    assert_eq!(answers["records"], 167);
    assert_eq!(answers["rows"], 167);
    let sql = answers["sql"].as_array().unwrap();
    assert!(sql.len() >= 5);
    for answer in sql {
        assert!(!answer["rows"].as_array().unwrap().is_empty(), "{answer}");
    }
    // Five services, each of 20 hosts; one source on 25 hosts; 33 incidents are open.
    let rows = |title: &str| {
        let mut found = sql
            .iter()
            .filter(|one| one["title"].as_str().unwrap().contains(title));
        found.next().unwrap()["rows"].as_array().unwrap().clone()
    };
    assert_eq!(rows("service was refused").len(), 5);
    assert_eq!(rows("service was refused")[0]["hosts"], 20);
    assert_eq!(rows("many hosts")[0]["hosts"], 25);
    assert_eq!(rows("open now").len(), 33);
    let promql = answers["promql"].as_array().unwrap();
    assert!(promql.len() >= 5);
    let hosts = |title: &str| {
        let mut found = promql
            .iter()
            .filter(|one| one["title"].as_str().unwrap().contains(title));
        found.next().unwrap()["rows"].as_array().unwrap().len()
    };
    assert_eq!(hosts("full within the next hour"), 10);
}
