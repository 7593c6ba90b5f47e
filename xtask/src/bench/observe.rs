//! `cargo xtask bench observe`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Result, ensure};

use super::{aims, figures::Figures, tables};
use crate::{
    build, cargo,
    host::{self, answer, command},
    needs::Purpose,
    section::Section,
    setup,
};

/// The kernel of the virtual machine.
pub(super) const KERNEL: &str = "6.12";

/// Measures in a virtual machine, whose clock counts instructions, and on this
/// machine's own kernel, which needs root.
pub(super) fn bench() -> Result<()> {
    setup::setup(Purpose::Bench)?;
    ensure!(
        host::is_root()?,
        "the bench loads programs into this machine's kernel: run it as root"
    );
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Release)?;
    let bench = Bench { ctdrop, tests };
    eprintln!("bench: measuring instructions for each packet, in a virtual machine");
    let packets = bench.in_vm("bench_packets")?;
    eprintln!("bench: measuring packets per second, in a virtual machine");
    let rates = bench.in_vm("bench_rate")?;
    eprintln!("bench: measuring how long programs run, on this machine");
    let run_times = bench.here("bench_run_time")?;
    eprintln!("bench: measuring time and memory of ctdrop, on this machine");
    let footprint = bench.here("bench_footprint")?;
    let text = [
        context()?,
        tables::packets(&packets)?,
        tables::floor(&packets)?,
        tables::programs(&packets),
        tables::rates(&rates),
        tables::run_times(&run_times),
        aims::table(&packets, &rates, &footprint)?,
    ]
    .join("\n");
    println!("{text}");
    Section::of_bench("observe").write(&text)
}

/// The programs that measure and are measured.
struct Bench {
    ctdrop: PathBuf,
    tests: PathBuf,
}

impl Bench {
    fn here(&self, scenario: &str) -> Result<Figures> {
        Figures::of(&mut self.command(scenario)?)
    }

    fn in_vm(&self, scenario: &str) -> Result<Figures> {
        let mut command = self.command(scenario)?;
        command.args(["--kernel", KERNEL, "--instructions"]);
        command.env("CTDROP_VM_LOGS", cargo::target()?.join("vm-logs"));
        Figures::of(&mut command)
    }

    fn command(&self, scenario: &str) -> Result<Command> {
        let mut bench = command(&self.tests)?;
        bench
            .args(["bench", scenario, "--ctdrop"])
            .arg(&self.ctdrop);
        Ok(bench)
    }
}

/// What it was measured with.
fn context() -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let first_line = |program: &str| -> Result<String> {
        let about = answer(command(program)?.arg("--version"));
        Ok(about.lines().next().unwrap_or(program).trim().to_owned())
    };
    Ok(format!(
        "Virtual machine: Debian's {KERNEL}, {}, `-icount shift=0,sleep=off -smp 1`. \
         This machine: Linux {}, {} processors, load {:.1}. Beside {}.\n",
        first_line("qemu-system-x86_64")?,
        release.trim(),
        std::thread::available_parallelism()?,
        load()?,
        first_line("bpftrace")?,
    ))
}

/// How many tasks wanted to run here, over the last minutes.
fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    let minutes = text.split_whitespace().nth(1).unwrap_or_default();
    Ok(minutes.parse()?)
}
