//! `cargo xtask bench who`: ctdrop beside `conntrack -L`, on the same table.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    net::{Conntrack, Entry, Netns, Tuple},
    stage::{
        Auto, Machine, Scenario, Takes,
        console::{SHOW_BEGIN, SHOW_END},
        setup,
    },
    watch::wait,
};

/// Part of no test run: it only measures.
pub static BENCH_WHO: Scenario = Scenario {
    name: "bench_who",
    about: "a million entries: ctdrop who beside conntrack -L and a counting awk",
    backends: &[],
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// How often each is run, in turns.
const ROUNDS: usize = 3;

/// Entries in all.
const ENTRIES: u32 = 1_000_000;

/// The established connections of a table: those that look idle are looked at a
/// second time by ctdrop, seconds later.
#[derive(Clone, Copy, Debug)]
enum Established {
    /// Their timeouts are as after a packet.
    Busy,
    /// They have had no packet for four days of the five that the kernel keeps them.
    Idle,
}

impl Established {
    /// What remains of the timeout, in seconds, of
    /// `nf_conntrack_tcp_timeout_established`, 432,000 by default.
    const fn timeout(self) -> u32 {
        match self {
            Self::Busy => 432_000,
            Self::Idle => 86_400,
        }
    }

    /// How many entries look idle, as the table in docs/benchmarks.md has it.
    const fn looks_idle(self) -> &'static str {
        match self {
            Self::Busy => "none",
            Self::Idle => "half",
        }
    }
}

/// Counts by source what `conntrack -L` prints.
const COUNT: &str = "{ for (i = 1; i <= NF; i++) if ($i ~ /^src=/) { n[$i]++; break } } \
                     END { for (s in n) { k++; t += n[s] } print t, k }";

/// What a run cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Wall-clock seconds.
    seconds: f64,
    /// Seconds of processor time of all processes, the kernel's included.
    processor: f64,
    /// Most memory of one process, in bytes.
    memory: u64,
}

fn run(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    // The limit of a namespace is the host's, and is left alone there.
    let (namespaces, place) = if machine.guest {
        setup::set_conntrack("buckets", 262_144)?;
        setup::set_conntrack("max", ENTRIES + 100_000)?;
        (1, "virtual machine (software emulation)")
    } else {
        (4, "this machine")
    };
    for established in [Established::Busy, Established::Idle] {
        let (ours, theirs) = measure(machine, namespaces, established)?;
        report(place, namespaces, established, &ours, &theirs)?;
    }
    Ok(())
}

/// What ctdrop costs, and what `conntrack -L`, each once a round.
fn measure(
    machine: &Machine,
    namespaces: u32,
    established: Established,
) -> Result<(Vec<Cost>, Vec<Cost>)> {
    let each = ENTRIES / namespaces;
    let names: Vec<String> = (0..namespaces).map(|n| format!("bench-who-{n}")).collect();
    let staged = names
        .iter()
        .map(|name| stage(name, each, established))
        .collect::<Result<Vec<_>>>()?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..ROUNDS {
        theirs.push(conntrack(&staged, each)?);
        ours.push(who(machine, &staged, each)?);
    }
    Ok((ours, theirs))
}

/// A namespace with so many entries: half of them connections of 5,000 clients,
/// half queries from ever other sources.
fn stage(name: &str, entries: u32, established: Established) -> Result<Netns> {
    let netns = Netns::create(name)?;
    let made =
        Conntrack::open(&netns)?.insert((0..entries).map(|number| entry(number, established)))?;
    ensure!(made.refused.is_empty(), "not all were made: {made:?}");
    Ok(netns)
}

fn entry(number: u32, established: Established) -> Entry {
    let web = number.is_multiple_of(2);
    let half = number / 2;
    let first = if web {
        Ipv4Addr::new(10, 0, 0, 0)
    } else {
        Ipv4Addr::new(11, 0, 0, 0)
    };
    let (client, port) = if web {
        (half % 5_000, 1024 + half / 5_000)
    } else {
        (half, 53_000)
    };
    let [.., high, low] = port.to_be_bytes();
    Entry {
        tuple: Tuple {
            protocol: if web { 6 } else { 17 },
            source: IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + client)),
            source_port: u16::from_be_bytes([high, low]),
            destination: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)),
            destination_port: if web { 443 } else { 53 },
        },
        zone: 0,
        assured: web,
        timeout: if web { established.timeout() } else { 86_400 },
        state: web.then_some(3),
    }
}

/// Runs ctdrop on all namespaces, at once: also those that were there before, whose
/// tables are empty or nearly so.
fn who(machine: &Machine, staged: &[Netns], each: u32) -> Result<Cost> {
    let before = processor()?;
    let file = tempfile::NamedTempFile::new()?;
    // Not the console, on which it would show its progress.
    let said = tempfile::NamedTempFile::new()?;
    let started = Instant::now();
    let child = Command::new(&machine.ctdrop)
        .args(["who", "-o", "json"])
        .stdout(file.reopen()?)
        .stderr(said.reopen()?)
        .spawn()
        .with_context(|| format!("cannot run {}", machine.ctdrop.display()))?;
    let (code, memory) = wait(child.id().cast_signed())?;
    let seconds = started.elapsed().as_secs_f64();
    let text = fs::read_to_string(file.path())?;
    let whole = format!("\"entries\":{each},\"incident\"");
    ensure!(
        code == 0 && text.matches(&whole).count() == staged.len(),
        "ctdrop did not see all entries: {text}{}",
        fs::read_to_string(said.path())?
    );
    Ok(Cost {
        seconds,
        processor: processor()? - before,
        memory,
    })
}

/// Runs `conntrack -L` into awk on all namespaces.
fn conntrack(staged: &[Netns], each: u32) -> Result<Cost> {
    let before = processor()?;
    let started = Instant::now();
    for netns in staged {
        let mut list = netns
            .command("conntrack")
            .arg("-L")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run conntrack")?;
        let lines = list.stdout.take().context("no output of conntrack")?;
        let output = Command::new("awk").arg(COUNT).stdin(lines).output()?;
        ensure!(list.wait()?.success(), "conntrack -L failed");
        let text = String::from_utf8(output.stdout)?;
        ensure!(
            text.starts_with(&format!("{each} ")),
            "awk did not count all entries: {text}"
        );
    }
    Ok(Cost {
        seconds: started.elapsed().as_secs_f64(),
        processor: processor()? - before,
        memory: 0,
    })
}

/// Processor time of all children that have been waited for, in seconds.
fn processor() -> Result<f64> {
    // SAFETY: integers only; all zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local that outlives the call.
    let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    ensure!(result == 0, "cannot read the processor time of children");
    let seconds = |time: libc::timeval| -> Result<f64> {
        Ok(f64::from(u32::try_from(time.tv_sec)?) + f64::from(u32::try_from(time.tv_usec)?) / 1e6)
    };
    Ok(seconds(usage.ru_utime)? + seconds(usage.ru_stime)?)
}

/// Prints a row of the table in docs/benchmarks.md.
fn report(
    place: &str,
    namespaces: u32,
    established: Established,
    ours: &[Cost],
    theirs: &[Cost],
) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let seconds = |costs: &[Cost]| median(costs.iter().map(|cost| cost.seconds).collect());
    let processor = |costs: &[Cost]| median(costs.iter().map(|cost| cost.processor).collect());
    let of_processor = processor(ours) / processor(theirs);
    let memory = ours.iter().map(|cost| cost.memory).max().unwrap_or(0);
    let memory = f64::from(u32::try_from(memory >> 10)?) / 1024.0;
    let (ours, theirs) = (seconds(ours), seconds(theirs));
    println!("{SHOW_BEGIN}");
    println!(
        "| {place}, Linux {} | {namespaces} × {} | {} | {ours:.2} s | {theirs:.2} s | {:.3} | {of_processor:.3} | {memory:.1} MiB |",
        release.trim(),
        ENTRIES / namespaces,
        established.looks_idle(),
        ours / theirs,
    );
    println!("{SHOW_END}");
    Ok(())
}

/// The middle one.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
