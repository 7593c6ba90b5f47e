//! Reports over evidence that a test makes up.

mod fleet;
mod hostile;
mod redaction;
mod whole;

use std::collections::BTreeMap;

use crate::{
    report::Evidence,
    store::{
        digest::{Digest, FlowSum, Point, Sums},
        incident::{Census, CensusRow, ClosedBy, Incident},
        interval::FlowKey,
        moment::Moment,
        record::{
            Boot, Event, Fix, Gap, LimitChange, LogLine, Namespace, PastRun, Record, Run, Survival,
        },
    },
};

/// When the evidence begins, in milliseconds since 1970.
const BEGIN: i64 = 1_700_000_000_000;

fn at(seconds: i64) -> Moment {
    Moment {
        boot: 1,
        wall: BEGIN + seconds * 1000,
        mono: seconds * 1000,
    }
}

/// The strings of a record, in the order in which they are asked for.
struct Texts<'a> {
    texts: &'a [String],
    next: usize,
}

impl<'a> Texts<'a> {
    fn new(texts: &'a [String]) -> Self {
        Self { texts, next: 0 }
    }

    fn next(&mut self) -> String {
        self.next += 1;
        self.texts[(self.next - 1) % self.texts.len()].clone()
    }
}

/// Evidence of an incident with these texts in each place that has text.
fn evidence(texts: &[String]) -> Evidence {
    let mut text = Texts::new(texts);
    let record = Record {
        namespaces: vec![Namespace {
            netns: 1,
            inode: 7,
            name: text.next(),
            since: at(0),
            ..Namespace::default()
        }],
        incidents: vec![incident(&mut text)],
        censuses: vec![census(&mut text)],
        limits: vec![LimitChange {
            at: at(20),
            max_before: 1000,
            buckets_before: 512,
            max: 2000,
            buckets: 1024,
            made_by: Some(text.next()),
        }],
        survivals: vec![survival(&mut text, 1), survival(&mut text, 30)],
        events: vec![Event {
            at: at(21),
            event: text.next(),
            detail: Some(text.next()),
        }],
        log_lines: vec![
            LogLine {
                at: at(11),
                text: "nf_conntrack: nf_conntrack: table full, dropping packet".to_owned(),
            },
            LogLine {
                at: at(12),
                text: text.next(),
            },
        ],
        fixes: vec![fix(&mut text)],
        gaps: vec![Gap {
            from: at(40),
            at: at(50),
            why: text.next(),
            lost: 2,
            detail: Some(text.next()),
        }],
        ..Record::default()
    };
    Evidence {
        now: "2023-11-14T23:00:00.000Z".to_owned(),
        incident: Some(1),
        wall: (BEGIN, BEGIN + 60_000),
        width: 1000,
        digest: digest(&mut text),
        record,
        runs: vec![run(&mut text)],
    }
}

/// What a container is called.
fn names(text: &mut Texts<'_>) -> serde_json::Value {
    serde_json::json!({
        "container": text.next(), "image": text.next(), "pod": text.next(),
        "namespace": text.next(), "project": text.next(), "service": text.next(),
        "workload": {"kind": text.next(), "name": text.next(), "basis": "pod_name"},
        "file": text.next(),
    })
}

fn incident(text: &mut Texts<'_>) -> Incident {
    let body = serde_json::json!({
        "netns": {"container": {"names": names(text)}},
        "evidence": [
            {"code": "table_use", "text": text.next()},
            {"code": "one_look", "text": text.next()},
        ],
        "remedies": [{"what": text.next(), "how": text.next(), "commands": [text.next()]}],
    });
    Incident {
        id: 1,
        netns: 1,
        netns_name: text.next(),
        opened: at(10),
        last: at(39),
        closed: Some((at(39), ClosedBy::Killed)),
        refused: 3000,
        drops: serde_json::json!({"table_full": 2000, text.next(): 1000}).to_string(),
        flows: 30,
        entries: Some(1000),
        max: Some(1000),
        kind: text.next(),
        confidence: text.next(),
        culprit: Some(text.next()),
        body: body.to_string(),
    }
}

fn census(text: &mut Texts<'_>) -> Census {
    let row = |by: &str, text: &mut Texts<'_>| CensusRow {
        by: by.to_owned(),
        key: text.next(),
        owner: Some(text.next()),
        entries: 900,
        unreplied: 800,
        idle: 700,
    };
    Census {
        incident: 1,
        at: at(11),
        cause: text.next(),
        entries: 1000,
        unreplied: 800,
        rows: ["source", "destination", "service", "owner"]
            .map(|by| row(by, text))
            .to_vec(),
        ..Census::default()
    }
}

fn survival(text: &mut Texts<'_>, seconds: i64) -> Survival {
    let outcome = |text: &mut Texts<'_>| serde_json::json!({"because": text.next()});
    let body = serde_json::json!({
        "boot": outcome(text),
        "service_restart": outcome(text),
        "module_reload": outcome(text),
        "caveats": [text.next()],
    });
    Survival {
        at: at(seconds),
        cause: "limit".to_owned(),
        in_force: Some((1000, 512)),
        boot: Some(500),
        body: body.to_string(),
        ..Survival::default()
    }
}

fn fix(text: &mut Texts<'_>) -> Fix {
    let body = serde_json::json!({
        "id": text.next(),
        "error": text.next(),
        "steps": [
            {"kind": "live", "path": text.next(), "before": text.next(), "after": text.next(),
             "why": text.next()},
            {"kind": text.next(), "path": text.next(), "diff": format!("-{}\n+{}", text.next(), text.next()),
             "why": ""},
        ],
    });
    Fix {
        at: at(22),
        action: text.next(),
        body: body.to_string(),
    }
}

fn digest(text: &mut Texts<'_>) -> Digest {
    let other = text.next();
    let point = |second: i64| Point {
        wall: BEGIN + second * 1000,
        refused: BTreeMap::from([("table_full".to_owned(), 60), (other.clone(), 40)]),
        evicted: 3,
        entries: Some(1000),
        max: Some(1000),
    };
    let sender = serde_json::json!({
        "pid": 123, "comm": text.next(), "unit": text.next(),
        "container": {"runtime": "docker", "id": text.next(), "pod": text.next(),
            "names": names(text)},
    });
    Digest {
        points: (10..40).map(point).collect(),
        table: Some(1),
        sums: Sums {
            intervals: 30,
            covered: 30_000,
            refused: 3000,
            unattributed: 5,
            new_flows: 30,
            ..Sums::default()
        },
        by_netns: BTreeMap::from([(1, 3000)]),
        flows: vec![FlowSum {
            key: FlowKey {
                netns: 1,
                reason: text.next(),
                protocol: text.next(),
                src: text.next(),
                dst: text.next(),
                dport: 53,
                sender: Some(sender.to_string()),
                ..FlowKey::default()
            },
            packets: 100,
            first: BEGIN + 10_000,
            last: BEGIN + 39_000,
        }],
        flows_in_part: false,
    }
}

fn run(text: &mut Texts<'_>) -> PastRun {
    PastRun {
        run: 1,
        began: at(0),
        version: text.next(),
        known: Run {
            backend: Some(text.next()),
            start: Some(serde_json::json!({"warnings": [text.next()]}).to_string()),
            losses: Some("{\"missed\":{},\"faults\":{},\"error_bound\":0}".to_owned()),
            ended: None,
        },
        boot: Boot {
            boot_id: text.next(),
            host: text.next(),
            kernel: text.next(),
            facts:
                serde_json::json!({"distribution": text.next(), "processors": 2, "memory": 1 << 30})
                    .to_string(),
        },
    }
}
