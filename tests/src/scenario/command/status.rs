//! `ctdrop status` tells what is so, and foretells what becomes of the limit.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Deserialize;

use crate::{
    confine::Confinement,
    net::{Flood, LanOptions},
    scenario::life::lifecycle::Loaded,
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Numbers.
pub static STATUS: Scenario = Scenario {
    name: "status",
    about: "status: a full table is critical, what is refused is counted, nothing is left behind",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: numbers,
};

/// Foretold, and done.
pub static MODULE: Scenario = Scenario {
    name: "status_module",
    about: "status: default, module option and reload are foretold as the kernel then does it",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: module,
};

#[derive(Debug, Deserialize)]
struct Report {
    state: String,
    conntrack: Form,
    limit: Limit,
    namespaces: Vec<Namespace>,
    refused: Option<Refused>,
    memory: Memory,
    survives: Survives,
    expected_backend: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Form {
    form: String,
}

#[derive(Debug, Deserialize)]
struct Limit {
    max: Option<u64>,
    default: Option<Table>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Table {
    max: u64,
    buckets: u64,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    netns: u64,
    entries: Option<u64>,
    max: Option<u64>,
    counters: Option<Counters>,
}

#[derive(Debug, Deserialize)]
struct Counters {
    drop: u64,
}

#[derive(Debug, Deserialize)]
struct Refused {
    at_least: u64,
    at_most: u64,
}

#[derive(Debug, Deserialize)]
struct Memory {
    measured: bool,
}

#[derive(Debug, Deserialize)]
struct Survives {
    boot: Outcome,
    module_reload: Outcome,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    value: Option<u64>,
    buckets: Option<u64>,
    because: Because,
}

#[derive(Debug, Deserialize)]
struct Because {
    file: Option<String>,
    line: Option<u32>,
}

impl Report {
    fn take(machine: &Machine, interval: &str) -> Result<(Self, Output)> {
        let output = Command::new(&machine.ctdrop)
            .args(["status", "-o", "json", "--interval", interval])
            .output()?;
        let report = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no report: {output:?}"))?;
        Ok((report, output))
    }
}

fn numbers(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "status", &LanOptions::default())?;
    let before = Loaded::now()?;
    let inode = lan.firewall.inode()?;
    let at_rest = |report: &Report| -> Result<u64> {
        let namespace = report.namespaces.iter().find(|it| it.netns == inode);
        let namespace = namespace.context("the namespace is not there")?;
        ensure!(
            namespace.entries == namespace.max && namespace.entries.is_some(),
            "the table is full: {namespace:?}"
        );
        Ok(namespace.counters.as_ref().context("no counters")?.drop)
    };
    let (first, output) = Report::take(machine, "200ms")?;
    ensure!(output.status.code() == Some(2), "a full table: {output:?}");
    ensure!(first.state == "critical", "{first:?}");
    ensure!(first.memory.measured, "root may read /proc/slabinfo");
    let refused = first.refused.as_ref().context("two looks")?;
    ensure!(refused.at_most == 0, "nothing is sent: {refused:?}");
    // Outside of guests a policy that no file shows can forbid the best backend.
    if machine.guest && !machine.forced {
        ensure!(
            first.expected_backend == Some(machine.backend.to_string()),
            "{:?} is not the backend here",
            first.expected_backend
        );
    }
    loads_nothing(machine, &first)?;
    let drops = at_rest(&first)?;

    let flood = Flood {
        flows: 1_000,
        packets: 2_000,
        ..Flood::default()
    };
    let (during, delivered) = thread::scope(|scope| -> Result<_> {
        let status = scope.spawn(|| Report::take(machine, "1s"));
        let mut delivered = 0;
        // Bounded, whatever becomes of it.
        for _ in 0..2_000 {
            if status.is_finished() {
                break;
            }
            delivered += flood.send(&lan)?.delivered;
        }
        let (report, _) = status.join().map_err(|_| anyhow!("status panicked"))??;
        Ok((report, delivered))
    })?;
    let refused = during.refused.context("two looks")?;
    ensure!(
        (1..=delivered).contains(&refused.at_least) && refused.at_least == refused.at_most,
        "of {delivered} packets, {refused:?}"
    );
    let (last, _) = Report::take(machine, "200ms")?;
    let counted = at_rest(&last)? - drops;
    ensure!(counted == delivered, "{counted} of {delivered} packets");
    println!("{delivered} packets, {refused:?} during the looks");
    before.wait("ctdrop status")
}

/// Demands the same report of a status that any call of `bpf(2)` ends.
fn loads_nothing(machine: &Machine, report: &Report) -> Result<()> {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&machine.ctdrop);
        let command = Confinement::KilledByBpf.apply(command.args(arguments));
        command.output().context("cannot confine ctdrop")
    };
    let output = run(&["status", "-o", "json", "--interval", "100ms"])?;
    ensure!(output.status.code() == Some(2), "a full table: {output:?}");
    let confined: Report = serde_json::from_slice(&output.stdout)?;
    ensure!(
        confined.expected_backend == report.expected_backend,
        "{confined:?}"
    );
    let probe = run(&["probe"])?;
    ensure!(
        probe.status.signal() == Some(libc::SIGSYS),
        "what does load programs is ended: {probe:?}"
    );
    Ok(())
}

/// What the kernel has at this moment.
fn in_force() -> Result<Table> {
    let read = |name: &str| -> Result<u64> {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        Ok(text.trim().parse()?)
    };
    Ok(Table {
        max: read("max")?,
        buckets: read("buckets")?,
    })
}

fn foretold(outcome: &Outcome) -> Option<Table> {
    Some(Table {
        max: outcome.value?,
        buckets: outcome.buckets?,
    })
}

fn module(machine: &Machine) -> Result<()> {
    let (absent, output) = Report::take(machine, "100ms")?;
    ensure!(absent.conntrack.form == "absent", "{absent:?}");
    ensure!(output.status.success(), "nothing is refused: {output:?}");
    ensure!(absent.limit.max.is_none(), "{absent:?}");
    let default = absent
        .limit
        .default
        .context("release and memory are known")?;
    ensure!(foretold(&absent.survives.boot).as_ref() == Some(&default));

    setup::modprobe("nf_conntrack")?;
    ensure!(in_force()? == default, "{:?}, not {default:?}", in_force()?);

    setup::set_conntrack("max", 12_345)?;
    let (set, _) = Report::take(machine, "100ms")?;
    ensure!(set.limit.max == Some(12_345), "{set:?}");
    reload(&set.survives.module_reload)?;
    ensure!(in_force()? == default, "the reload has no memory");

    let options = "/etc/modprobe.d/conntrack.conf";
    fs::write(options, "# more\noptions nf_conntrack hashsize=3000\n")?;
    setup::set_conntrack("max", 12_345)?;
    let (sized, _) = Report::take(machine, "100ms")?;
    let outcome = &sized.survives.module_reload;
    ensure!(
        outcome.because.file.as_deref() == Some(options) && outcome.because.line == Some(2),
        "{outcome:?}"
    );
    reload(outcome)?;
    fs::remove_file(options)?;
    println!("default {default:?}; with hashsize=3000 {:?}", in_force()?);
    Ok(())
}

/// Loads the module again, and looks whether it becomes what was foretold.
fn reload(outcome: &Outcome) -> Result<()> {
    let status = Command::new("modprobe")
        .args(["-r", "nf_conntrack"])
        .status()?;
    ensure!(status.success(), "cannot unload nf_conntrack");
    setup::modprobe("nf_conntrack")?;
    let now = in_force()?;
    ensure!(
        foretold(outcome).as_ref() == Some(&now),
        "{outcome:?} was foretold, and it is {now:?}"
    );
    Ok(())
}
