//! conntrack comes and goes while ctdrop runs.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{
    net::{Counters, Fill, Flood, Lan, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// ctdrop first, conntrack then.
pub static WAITS: Scenario = Scenario {
    name: "waits",
    about: "started before conntrack is loaded it waits, attaches, and is exact from then on",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: waits,
};

/// conntrack again and again.
pub static RELOADS: Scenario = Scenario {
    name: "reloads",
    about: "the module unloaded and loaded ten times under flood: no count lost, none invented",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Minutes,
    run: reloads,
};

/// The same where ctdrop does not hold the module.
pub static RELOADS_SEEN: Scenario = Scenario {
    name: "reloads_seen",
    about: "on the tracepoint, too, the module may come and go under flood",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: reloads_seen,
};

/// How often the module is unloaded and loaded.
const TIMES: usize = 10;
/// The same, on the tracepoint.
const TIMES_SEEN: usize = 3;

fn waits(machine: &Machine) -> Result<()> {
    let watch = thread::scope(|scope| {
        let watch = scope.spawn(|| Watch::all_flows(machine));
        thread::sleep(Duration::from_secs(1));
        ensure!(!watch.is_finished(), "it began without conntrack");
        setup::load_conntrack(machine)?;
        watch.join().map_err(|_| anyhow!("ctdrop panicked"))?
    })?;
    ensure!(watch.waited, "it does not say that it waits");
    let lan = setup::full_lan(machine, "waits", &LanOptions::default())?;
    let flood = Flood {
        flows: 100,
        packets: 10_000,
        ..Flood::default()
    };
    let sent = flood.send(&lan)?;
    let summary = watch.finish()?;
    summary.expect_drops("table_full", sent.delivered)?;
    ensure!(
        summary.unattributed <= summary.tolerance(),
        "{} without a flow",
        summary.unattributed
    );
    let flows = setup::packets_by_flow(&flood);
    summary.expect_flows("table_full", lan.firewall.inode()?, &flows)
}

/// What the kernel has counted in all the lives of the module.
#[derive(Debug, Default)]
struct Witness {
    drop: u64,
    early_drop: u64,
}

impl Witness {
    /// Adds what the kernel has counted in this life of the module.
    fn add(&mut self, lan: &Lan) -> Result<()> {
        let counters = Counters::read(&lan.firewall)?;
        self.drop += counters.get("drop");
        self.early_drop += counters.get("early_drop");
        Ok(())
    }
}

fn reloads(machine: &Machine) -> Result<()> {
    let (summary, witness) = reloaded(machine, TIMES)?;
    exact(&summary, &witness)
}

fn reloads_seen(machine: &Machine) -> Result<()> {
    let Some(machine) = setup::with_the_tracepoint(machine)? else {
        return Ok(());
    };
    let (summary, witness) = reloaded(&machine, TIMES_SEEN)?;
    // The first packet on each CPU that the program sees after a load.
    let undecided = summary.dropped_by_rule_or_refused;
    let cpus = thread::available_parallelism()?.get();
    ensure!(
        usize::try_from(undecided)? <= TIMES_SEEN * cpus,
        "{undecided} packets are undecided"
    );
    exact(&summary, &witness)
}

/// What ctdrop has counted while the module was unloaded and loaded so many times
/// under flood, and what the kernel has.
fn reloaded(machine: &Machine, times: usize) -> Result<(Summary, Witness)> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", 100)?;
    let lan = Lan::create("reloads", &LanOptions::default())?;
    let mut watch = Watch::start(
        machine,
        &["--all-flows", "--interval", "200ms", "--release-module"],
    )?;
    let enough = AtomicBool::new(false);
    let mut witness = Witness::default();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            // Bounded, whatever becomes of the cycles.
            for number in 0..2_000 {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                let flood = Flood {
                    first_flow: number * 1_000,
                    flows: 1_000,
                    packets: 2_000,
                    ..Flood::default()
                };
                flood.send(&lan)?;
            }
            anyhow::Ok(())
        });
        let cycles = (0..times).try_for_each(|number| {
            cycle(machine, &lan, &mut watch, &mut witness)
                .with_context(|| format!("cycle {number}"))
        });
        enough.store(true, Ordering::Relaxed);
        sender
            .join()
            .map_err(|_| anyhow!("the sender panicked"))??;
        cycles
    })?;
    witness.add(&lan)?;
    Ok((watch.finish()?, witness))
}

/// Under flood: a full table for a while, then no rule, no module, the module
/// again, the rules, and ctdrop at its place.
fn cycle(machine: &Machine, lan: &Lan, watch: &mut Watch, witness: &mut Witness) -> Result<()> {
    Fill::default().insert(&lan.firewall, 90)?;
    thread::sleep(Duration::from_secs(1));
    lan.forget_rules()?;
    // Time for a look at the counters, which the module takes with it.
    thread::sleep(Duration::from_millis(600));
    witness.add(lan)?;
    unload()?;
    ensure!(
        !Path::new("/sys/module/nf_conntrack").exists(),
        "conntrack is still loaded"
    );
    // fexit lets go before, kprobes lose their functions.
    let gone = match machine.backend {
        Backend::Fexit => "released",
        _ => "unloaded",
    };
    let event = watch.next_event()?;
    ensure!(event == gone, "{event} instead of {gone}");
    for module in ["nf_conntrack", "nf_conntrack_netlink"] {
        modprobe(&[module])?;
    }
    setup::set_conntrack("max", 100)?;
    lan.make_rules()?;
    let event = watch.next_event()?;
    ensure!(event == "attached", "{event} instead of attached");
    Ok(())
}

/// Unloads conntrack and what depends on it. ctdrop lets go of it when it is
/// not needed any more, which may take it a moment.
fn unload() -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let done = modprobe(&["-r", "nft_ct", "nf_conntrack_netlink", "nf_conntrack"]);
        match done {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error).context(users()?),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Who needs conntrack, as `lsmod` shows it.
fn users() -> Result<String> {
    let modules = fs::read_to_string("/proc/modules")?;
    let lines = modules.lines().filter(|line| line.contains("nf_conntrack"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

fn modprobe(arguments: &[&str]) -> Result<()> {
    let output = Command::new("modprobe").args(arguments).output()?;
    if !output.status.success() {
        bail!(
            "modprobe {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn exact(summary: &Summary, witness: &Witness) -> Result<()> {
    let lost: BTreeMap<_, _> = summary
        .drops
        .iter()
        .filter(|&(_, &lost)| lost > 0)
        .collect();
    println!(
        "{lost:?}, evicted {}, unchecked {}, unattributed {}; {witness:?}",
        summary.evicted, summary.unchecked, summary.unattributed
    );
    ensure!(
        summary.reconciled && summary.unexplained == 0,
        "{summary:?}"
    );
    let counted = summary.total() + summary.dropped_by_rule_or_refused;
    ensure!(
        counted == witness.drop,
        "{counted} packets counted, {} by the kernel",
        witness.drop
    );
    ensure!(
        summary.evicted == witness.early_drop,
        "{} evictions counted, {} by the kernel",
        summary.evicted,
        witness.early_drop
    );
    ensure!(
        witness.drop > 0 && witness.early_drop > 0,
        "nothing happened"
    );
    ensure!(
        summary.flows.iter().any(|flow| flow.reason == "table_full"),
        "no refused flow was seen"
    );
    Ok(())
}
