//! Coming and going: nothing is left behind, and no edge of the window looks
//! like a loss.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aya::{
    maps::loaded_maps,
    programs::{loaded_links, loaded_programs},
};

use crate::{
    net::{Flood, LanOptions},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Watch, signal},
};

/// However it ends, it is gone.
pub static LEAVES_NOTHING: Scenario = Scenario {
    name: "leaves_nothing",
    about: "kill -9, 100 times on and off (in guests 20), a reader that goes away: nothing stays",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Minutes,
    run: leaves_nothing,
};

/// Start and end in the middle of a flood.
pub static EDGES: Scenario = Scenario {
    name: "edges",
    about: "attaching and detaching under flood raises no false alarm, and never overcounts",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::OneBackend,
    once: false,
    takes: Takes::AMinute,
    run: edges,
};

/// fexit holds the module.
pub static PINS_MODULE: Scenario = Scenario {
    name: "pins_module",
    about: "while fexit programs are attached the module stays, and the header says so",
    backends: &[Backend::Fexit],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: pins_module,
};

fn leaves_nothing(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    let before = Loaded::now()?;

    let watch = Watch::all_flows(machine)?;
    ensure!(!Loaded::now()?.is_within(&before), "ctdrop loaded nothing");
    signal(watch.pid(), libc::SIGKILL)?;
    ensure!(watch.finish().is_err(), "a killed ctdrop prints no totals");
    before.wait("kill -9")?;

    // Five side by side: the kernel waits a lot for each, and they must not
    // get in each other's way. An emulated processor needs two seconds for each,
    // most of them for the verifier and for clearing maps.
    let rounds = if machine.guest { 4 } else { 20 };
    for _ in 0..rounds {
        let observers: Vec<Watch> = (0..5)
            .map(|_| Watch::all_flows(machine))
            .collect::<Result<_>>()?;
        observers
            .into_iter()
            .try_for_each(|observer| observer.finish().map(drop))?;
    }
    before.wait("many times on and off")?;

    let mut child = Command::new(&machine.ctdrop)
        .args(["watch", "--interval", "100ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(child.stdout.take().context("the output of ctdrop")?);
    output.read_line(&mut String::new())?;
    drop(output);
    let ended = child.wait_with_output()?;
    ensure!(
        ended.status.success() && ended.stderr.is_empty(),
        "a reader that goes away is no error: {ended:?}"
    );
    before.wait("a reader that went away")
}

/// What is loaded into the kernel's eBPF machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    programs: BTreeSet<u32>,
    maps: BTreeSet<u32>,
    links: BTreeSet<u32>,
}

impl Loaded {
    /// What is loaded at this moment.
    pub(crate) fn now() -> Result<Self> {
        let programs = loaded_programs()
            .map(|program| Ok(program?.id()))
            .collect::<Result<_>>()
            .context("cannot list eBPF programs")?;
        let maps = loaded_maps()
            .map(|map| Ok(map?.id()))
            .collect::<Result<_>>()
            .context("cannot list eBPF maps")?;
        let links = loaded_links()
            .map(|link| Ok(link?.id()))
            .collect::<Result<_>>()
            .context("cannot list eBPF links")?;
        Ok(Self {
            programs,
            maps,
            links,
        })
    }

    /// Whether all of this was there before. The kernel frees things only after
    /// a grace period, so some of what was there may have been on its way out.
    fn is_within(&self, before: &Self) -> bool {
        self.programs.is_subset(&before.programs)
            && self.maps.is_subset(&before.maps)
            && self.links.is_subset(&before.links)
    }

    /// Waits until nothing is there that was not there before.
    pub(crate) fn wait(&self, after: &str) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            // Fails while something goes away between being named and opened.
            let now = Self::now();
            if now.as_ref().is_ok_and(|now| now.is_within(self)) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("after {after} something is left: {now:?}, was {self:?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn edges(machine: &Machine) -> Result<()> {
    const WINDOWS: u32 = 3;
    let lan = setup::full_lan(machine, "edges", &LanOptions::default())?;
    let flood = Flood {
        flows: 5_000,
        packets: 50_000,
        ..Flood::default()
    };
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            // Bounded, whatever becomes of the windows.
            for _ in 0..500 {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                flood.send(&lan)?;
            }
            anyhow::Ok(())
        });
        let windows = (0..WINDOWS)
            .try_for_each(|number| window(machine).with_context(|| format!("window {number}")));
        enough.store(true, Ordering::Relaxed);
        sender
            .join()
            .map_err(|_| anyhow!("the sender panicked"))??;
        windows
    })
}

/// Watches for a moment in the middle of a flood.
fn window(machine: &Machine) -> Result<()> {
    let watch = Watch::all_flows(machine)?;
    thread::sleep(Duration::from_millis(500));
    let summary = watch.finish()?;
    // What is refused after the last look is held against nothing, and said so.
    ensure!(
        summary.reconciled && summary.unexplained == 0,
        "{} unexplained: drops {:?}, kernel {:?}",
        summary.unexplained,
        summary.drops,
        summary.kernel
    );
    let lost = summary.total();
    ensure!(lost > 0, "the flood was over");
    ensure!(
        summary.drops["table_full"] == lost,
        "an edge looks like another reason: {:?}",
        summary.drops
    );
    println!("{lost} refused, {} without a flow", summary.unattributed);
    // Only packets that were under way when the counting began or ended.
    ensure!(
        summary.unattributed < 16,
        "{} of {lost} without a flow",
        summary.unattributed
    );
    Ok(())
}

fn pins_module(machine: &Machine) -> Result<()> {
    let loaded = Command::new("modprobe").arg("nf_conntrack").status()?;
    ensure!(loaded.success(), "cannot load nf_conntrack");
    let watch = Watch::all_flows(machine)?;
    ensure!(
        watch.start.pins_module,
        "the header does not say that the module stays"
    );
    let refused = remove("nf_conntrack");
    ensure!(
        refused.is_err(),
        "the module went away under attached programs"
    );
    watch.finish()?;
    let end = Instant::now() + Duration::from_secs(10);
    while let Err(error) = remove("nf_conntrack") {
        ensure!(
            Instant::now() < end,
            "the module stays after ctdrop has ended: {error}"
        );
        thread::sleep(Duration::from_millis(100));
    }
    let loaded = fs::read_to_string("/proc/modules")?;
    ensure!(
        !loaded.contains("nf_conntrack "),
        "the module is still loaded"
    );
    Ok(())
}

fn remove(module: &str) -> Result<()> {
    let output = Command::new("modprobe").args(["-r", module]).output()?;
    ensure!(
        output.status.success(),
        "modprobe -r {module}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
