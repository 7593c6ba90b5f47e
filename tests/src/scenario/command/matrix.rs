//! The row of this kernel in the table of docs/kernels.md: which backend ctdrop chooses, and
//! for each backend that it counts to the packet, or what it lacks.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    confine::Confinement,
    net::{Flood, Lan, LanOptions},
    stage::{
        Auto,
        Backend::{self, Counters, Fexit, Kprobe, Tracepoint},
        Machine, Scenario, Takes, mount,
        places::{ROW, USER_NAMESPACE},
        setup,
    },
    watch::{Range, Watch},
};

/// On every kernel, in every state that it is booted in.
pub static MATRIX: Scenario = Scenario {
    name: "matrix",
    about: "each backend counts to the packet, or names what it lacks: the kernel's row in docs",
    backends: &[Fexit, Kprobe, Counters],
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Minutes,
    run,
};

/// What was found, a cell for each backend.
#[derive(Debug, Serialize)]
struct Row {
    /// The kernel's release.
    version: String,
    /// The backend that ctdrop chooses.
    chosen: String,
    fexit: String,
    kprobe: String,
    tracepoint: String,
    counters: String,
}

/// What a cell says of a backend that counts to the packet.
const WORKS: &str = "works";

/// What one says that does not, before the reason.
const WRONG: &str = "wrong";

fn run(machine: &Machine) -> Result<()> {
    let place = Place::of(machine)?;
    show_lockdown(&place)?;
    let findings = place.probe()?;
    let cell = |backend| place.cell(&findings, backend);
    let row = Row {
        version: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        chosen: place.chosen()?,
        fexit: cell(Fexit)?,
        kprobe: cell(Kprobe)?,
        tracepoint: cell(Tracepoint)?,
        counters: cell(Counters)?,
    };
    println!("\n{ROW}{}", serde_json::to_string(&row)?);
    for cell in [&row.fexit, &row.kprobe, &row.tracepoint, &row.counters] {
        ensure!(!cell.starts_with(WRONG), "{row:?}");
    }
    ensure!(
        row.chosen == machine.backend.to_string(),
        "ctdrop chooses {}, not {}",
        row.chosen,
        machine.backend
    );
    Ok(())
}

/// Makes the file visible that says whether the kernel is locked down. ctdrop must tell without
/// it, too, that no program may read the kernel.
fn show_lockdown(place: &Place<'_>) -> Result<()> {
    const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
    if Path::new(LOCKDOWN).exists() {
        return Ok(());
    }
    let before = place.probe()?;
    mount("securityfs", "/sys/kernel/security")?;
    if fs::read_to_string(LOCKDOWN)?.contains("[confidentiality]") {
        let told = before.of(Kprobe)?.missing == ["lockdown"];
        ensure!(told, "unseen lockdown is not told: {before:?}");
    }
    Ok(())
}

/// Where ctdrop runs, and a firewall with a full table.
struct Place<'a> {
    machine: &'a Machine,
    lan: Lan,
    /// Whether it is root of a user namespace, and nobody outside.
    confined: bool,
}

impl<'a> Place<'a> {
    fn of(machine: &'a Machine) -> Result<Self> {
        let parameters = fs::read_to_string("/proc/cmdline")?;
        Ok(Self {
            machine,
            lan: setup::full_lan(machine, "matrix", &LanOptions::default())?,
            confined: parameters.split_whitespace().any(|it| it == USER_NAMESPACE),
        })
    }

    /// Runs ctdrop: in a user namespace beside the firewall, or as root of the host.
    fn command(&self) -> Command {
        if !self.confined {
            return Command::new(&self.machine.ctdrop);
        }
        let program = self.machine.ctdrop.display().to_string();
        let mut command = self.lan.firewall.command(&program);
        Confinement::UserNamespace.apply(&mut command);
        command
    }

    fn probe(&self) -> Result<Findings> {
        let output = self.command().args(["probe", "-o", "json"]).output()?;
        ensure!(output.status.success(), "ctdrop probe failed: {output:?}");
        let short = self.command().arg("probe").output()?;
        let text = String::from_utf8_lossy(&short.stdout);
        print!("{text}");
        ensure!(
            !text.contains("verifier:"),
            "the verifier's log was not asked for: {text}"
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// What the table says of a backend.
    fn cell(&self, findings: &Findings, backend: Backend) -> Result<String> {
        let finding = findings.of(backend)?;
        if !finding.works {
            return Ok(format!("no: {}", finding.lacks()));
        }
        Ok(match self.counts(backend) {
            Ok(()) => WORKS.to_owned(),
            Err(error) => format!("{WRONG}: {error:#}"),
        })
    }

    /// Demands that a backend counts each refused packet, by flow if it sees flows.
    fn counts(&self, backend: Backend) -> Result<()> {
        let machine = Machine {
            backend,
            forced: true,
            auto: false,
            ..self.machine.clone()
        };
        let flood = Flood {
            flows: 1_000,
            packets: 10_000,
            ..Flood::default()
        };
        let watch = Watch::start_by(self.command(), &machine, &["--quiet", "--all-flows"])?;
        let sent = flood.send(&self.lan)?;
        let summary = watch.finish()?;
        summary.expect_drops("table_full", sent.delivered)?;
        let netns = self.lan.firewall.inode()?;
        summary.expect_lost_in(netns, sent.delivered)?;
        if backend == Counters {
            let exact = Range {
                at_least: sent.delivered,
                at_most: sent.delivered,
            };
            ensure!(
                summary.drops_range == Some(exact),
                "{} packets, not {:?}",
                sent.delivered,
                summary.drops_range
            );
            return Ok(());
        }
        summary.expect_flows("table_full", netns, &setup::packets_by_flow(&flood))
    }

    /// The backend that ctdrop takes without being told.
    fn chosen(&self) -> Result<String> {
        let output = self
            .command()
            .args(["watch", "--output", "json", "--duration", "300ms"])
            .output()?;
        ensure!(output.status.success(), "ctdrop watch failed: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let start = text.lines().find_map(|line| {
            let start: Start = serde_json::from_str(line).ok()?;
            (start.kind == "start").then_some(start.backend)
        });
        start.with_context(|| format!("ctdrop watch did not say how it began: {text}"))
    }
}

#[derive(Debug, Deserialize)]
struct Start {
    #[serde(rename = "type")]
    kind: String,
    backend: String,
}

#[derive(Debug, Deserialize)]
struct Findings {
    backends: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    backend: String,
    works: bool,
    missing: Vec<String>,
}

impl Findings {
    fn of(&self, backend: Backend) -> Result<&Finding> {
        let backend = backend.to_string();
        let found = self.backends.iter().find(|it| it.backend == backend);
        found.with_context(|| format!("nothing is said of {backend}: {self:?}"))
    }
}

impl Finding {
    /// What it lacks, in a few words.
    fn lacks(&self) -> String {
        let words: Vec<&str> = self.missing.iter().map(|code| few_words(code)).collect();
        words.join(", ")
    }
}

/// A code of `missing` (docs/json.md) in a few words.
fn few_words(code: &str) -> &str {
    match code {
        "kernel" => "the kernel is too old",
        "module_btf" => "the module has no types",
        "btf" => "the kernel has no types",
        "lockdown" => "locked down",
        "user_namespace" => "user namespace",
        "function" => "a function is not there",
        "prototype" => "a function has other arguments",
        "tracing" => "functions cannot be traced",
        other => other,
    }
}
