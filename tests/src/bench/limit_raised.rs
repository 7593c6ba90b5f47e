//! How long it takes from the first refused packet until the limit is raised, and
//! what is lost meanwhile.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};

use super::Figure;
use crate::{
    net::{Conntrack, Fill, Flood, Lan, LanOptions},
    stage::{Auto, Machine, Scenario, Takes, setup},
    watch::Watch,
};

/// Part of no test run: it only measures.
pub static LIMIT_RAISED: Scenario = Scenario {
    name: "bench_fix",
    about: "from the first refused packet to the raised limit, under flood",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// How often it is measured.
const RUNS: usize = 100;

/// The limit that is raised.
const LIMIT: u32 = 2_000;

/// What meets the full table.
const FLOOD: Flood = Flood {
    protocol: crate::net::Protocol::Udp,
    family: crate::net::Family::V4,
    first_flow: 0,
    flows: 1_500,
    packets: 20_000,
    destination_port: 9,
    spoofed: false,
};

/// How often the limit is looked at; it is found raised that much too late at
/// the most.
const LOOK: Duration = Duration::from_micros(200);

const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// What was measured once.
struct Run {
    /// Milliseconds from the time that the kernel's program saw the first refused
    /// packet at, until this program saw the limit raised.
    latency: f64,
    /// Packets that the kernel dropped, by its own counter.
    lost: f64,
    /// Packets each second that were sent.
    rate: f64,
}

fn run(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", LIMIT)?;
    let buckets = number("/proc/sys/net/netfilter/nf_conntrack_buckets")?;
    let lan = Lan::create("raised", &LanOptions::default())?;
    let runs: Vec<Run> = (0..RUNS)
        .map(|run| once(machine, &lan).with_context(|| format!("run {run}")))
        .collect::<Result<_>>()?;
    ensure!(
        number("/proc/sys/net/netfilter/nf_conntrack_buckets")? == buckets,
        "buckets were not put back"
    );
    let observer = machine.backend.to_string();
    for (what, of) in [
        (
            "first_refused_to_raised_ms",
            (|run| run.latency) as fn(&Run) -> f64,
        ),
        ("lost_packets", |run| run.lost),
        ("sent_per_second", |run| run.rate),
    ] {
        let mut numbers: Vec<f64> = runs.iter().map(of).collect();
        numbers.sort_by(f64::total_cmp);
        for (name, number) in [
            ("p50", numbers[RUNS / 2 - 1]),
            ("p99", numbers[RUNS * 99 / 100 - 1]),
            ("most", numbers[RUNS - 1]),
        ] {
            Figure::state(&format!("{what}_{name}"), &observer, number)?;
        }
    }
    Ok(())
}

fn number(path: &str) -> Result<u32> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().parse()?)
}

fn once(machine: &Machine, lan: &Lan) -> Result<Run> {
    Conntrack::open(&lan.firewall)?.flush()?;
    setup::set_conntrack("max", LIMIT)?;
    Fill::default().to_the_limit(&lan.firewall)?;
    let mut watch = Watch::start(
        machine,
        &["--fix", "auto", "--all-flows", "--interval", "1s"],
    )?;
    let over = AtomicBool::new(false);
    let (sent, raised) = thread::scope(|scope| {
        let seen = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if number(MAX).is_ok_and(|max| max > LIMIT) {
                    return Some(SystemTime::now());
                }
                thread::sleep(LOOK);
            }
            None
        });
        let sent = FLOOD.send(lan);
        // It is raised by then, or while the flood goes on it is not.
        over.store(true, Ordering::Relaxed);
        (sent, seen.join())
    });
    let (sent, raised) = (
        sent?,
        raised.map_err(|_| anyhow::anyhow!("the look panicked"))?,
    );
    let raised = raised.context("the limit was not raised during the flood")?;
    let event = watch.next_fix()?;
    ensure!(event["action"] == "raised", "{event}");
    let kept = watch.next_fix()?;
    ensure!(kept["action"] == "kept", "{kept}");
    let summary = watch.finish()?;
    let first = summary
        .flows
        .iter()
        .filter(|flow| flow.reason == "table_full")
        .map(|flow| flow.first.as_str())
        .min()
        .context("no flow was refused")?;
    let latency = raised
        .duration_since(humantime::parse_rfc3339(first)?)
        .context("raised before the first was refused")?;
    let id = kept["id"].as_str().context("no id")?;
    let undone = Command::new(&machine.ctdrop).args(["undo", id]).output()?;
    ensure!(undone.status.success(), "undo: {undone:?}");
    let lost = summary.kernel("drop");
    println!("{:.2} ms, {lost} lost", latency.as_secs_f64() * 1e3);
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^53")]
    let lost = lost as f64;
    Ok(Run {
        latency: latency.as_secs_f64() * 1e3,
        lost,
        rate: sent.rate(),
    })
}
