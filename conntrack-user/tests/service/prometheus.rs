//! A real Prometheus scrapes the daemon. It runs on demand:
//!
//! ```text
//! apt install prometheus
//! cargo test -p conntrack-user --test service -- --ignored prometheus
//! ```

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::daemon::{Daemon, free_address, get, is_root};

/// How long Prometheus may take until it knows the metrics.
const PATIENCE: Duration = Duration::from_mins(1);

/// The bodies of its answers are JSON, whole or in chunks of which the first is enough.
fn answered(answer: &str) -> Option<Value> {
    let begin = answer.find('{')?;
    let mut values = serde_json::Deserializer::from_str(&answer[begin..]).into_iter();
    values.next()?.ok()
}

#[test]
#[ignore = "it needs the program prometheus"]
fn prometheus_scrapes_the_daemon_and_takes_the_rules() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start(&["--no-new-privs".to_owned()], 0);
    let directory = tempfile::tempdir().unwrap();
    let rules =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/prometheus/ctdrop.rules.yml");
    let settings = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{rules:?}]\n\
         scrape_configs:\n  \
         - job_name: ctdrop\n    \
         static_configs: [{{targets: [\"{}\"]}}]\n",
        daemon.address
    );
    let file = directory.path().join("prometheus.yml");
    fs::write(&file, settings).unwrap();
    let address = free_address();
    let mut prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.path().display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=error")
        .stdout(Stdio::null())
        .spawn()
        .expect("cannot start prometheus: apt install prometheus");
    let value = |query: &str| {
        let answer = get(address, &format!("/api/v1/query?query={query}")).ok()?;
        let value = &answered(&answer)?["data"]["result"][0]["value"][1];
        value.as_str().map(str::to_owned)
    };
    let began = Instant::now();
    let queries = [
        ("up", "1"),
        ("ctdrop_observing", "1"),
        ("ctdrop_build_info", "1"),
        ("ctdrop_refused_flows_total", "0"),
    ];
    let mut wrong = Vec::new();
    while began.elapsed() < PATIENCE {
        wrong = queries
            .iter()
            .filter_map(|&(query, expected)| {
                let found = value(query);
                (found.as_deref() != Some(expected)).then_some((query, found))
            })
            .collect();
        if wrong.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(500));
    }
    let _ = prometheus.kill();
    let _ = prometheus.wait();
    assert!(wrong.is_empty(), "{wrong:?}");
}
