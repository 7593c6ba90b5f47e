//! ctdrop, and what else people would count refused packets with.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{MapData, PerCpuHashMap, loaded_maps};

use super::{
    batches::{FULL, ROOM},
    empty::Empty,
    scripts::{self, Job},
};
use crate::{
    net::{Fill, Netns},
    stage::{Backend, Machine, setup},
    watch,
    watch::Watch,
};

/// Who watches while packets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observer {
    /// Nobody.
    None,
    /// `ctdrop watch` on a backend, with all its programs or at rest.
    Ctdrop(Backend, Arm),
    /// A script for bpftrace that counts refused packets.
    Bpftrace(Backend, Job),
    /// Programs that do nothing, at the hooks of ctdrop's programs. Every observer that uses
    /// these hooks takes at least that.
    Empty(Backend),
    /// dropwatch, which counts lost packets by the place that drops them.
    Dropwatch,
}

/// Whether what runs for each new flow is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    /// `--arm auto`, before any pressure.
    AtRest,
    /// `--arm auto`, started while a table is full.
    Pressed,
    /// `--arm always`.
    Armed,
}

/// As figures name it.
impl fmt::Display for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Ctdrop(backend, Arm::AtRest) => write!(f, "ctdrop {backend} at rest"),
            Self::Ctdrop(backend, Arm::Pressed) => write!(f, "ctdrop {backend} under pressure"),
            Self::Ctdrop(backend, Arm::Armed) => write!(f, "ctdrop {backend}"),
            Self::Bpftrace(backend, Job::Tuple) => write!(f, "bpftrace {backend}"),
            Self::Bpftrace(backend, Job::Same) => write!(f, "bpftrace {backend}, same job"),
            Self::Empty(backend) => write!(f, "empty programs, {backend}"),
            Self::Dropwatch => f.write_str("dropwatch"),
        }
    }
}

/// An observer at work.
#[derive(Debug)]
pub(super) enum Observing {
    /// Nobody.
    Nobody,
    /// ctdrop.
    Ctdrop(Box<Watch>),
    /// bpftrace.
    Bpftrace(Script),
    /// bpftrace with programs that do nothing.
    EmptyScript(Script),
    /// A program that does nothing.
    Empty(Empty),
    /// dropwatch.
    Dropwatch(Dropwatch),
}

impl Observer {
    /// Whether it can count this many flows.
    pub(super) const fn has_room_for(self, flows: u32) -> bool {
        !matches!(self, Self::Bpftrace(..)) || flows <= MAP_KEYS
    }

    /// Starts it, and waits until it sees what happens.
    pub(super) fn start(self, machine: &Machine) -> Result<Observing> {
        Ok(match self {
            Self::None => Observing::Nobody,
            Self::Ctdrop(backend, arm) => {
                let machine = Machine {
                    backend,
                    forced: true,
                    auto: arm != Arm::Armed,
                    ..machine.clone()
                };
                Observing::Ctdrop(Box::new(Watch::start(&machine, &["--quiet"])?))
            }
            Self::Bpftrace(backend, job) => {
                Observing::Bpftrace(Script::start(&scripts::script(backend, job)?)?)
            }
            Self::Empty(Backend::Tracepoint) => Observing::Empty(Empty::at(c"kfree_skb")?),
            Self::Empty(backend) => {
                Observing::EmptyScript(Script::start(&scripts::empty(backend)?)?)
            }
            Self::Dropwatch => Observing::Dropwatch(Dropwatch::start()?),
        })
    }
}

/// Starts an observer while the table of this namespace is full, then raises the limit.
pub(super) fn start_full(
    netns: &Netns,
    machine: &Machine,
    observer: Observer,
) -> Result<Observing> {
    setup::set_conntrack("max", FULL)?;
    Fill::default().to_the_limit(netns)?;
    let observing = observer.start(machine)?;
    setup::set_conntrack("max", ROOM)?;
    Ok(observing)
}

impl Observing {
    /// The process of ctdrop.
    pub(super) fn ctdrop(&self) -> Option<i32> {
        match self {
            Self::Ctdrop(watch) => Some(watch.pid()),
            _ => None,
        }
    }

    /// Ends it, and demands that it has counted each packet that was refused in
    /// this namespace, if it counts those.
    pub(super) fn finish(self, netns: &Netns, refused: u64) -> Result<()> {
        let netns = netns.inode()?;
        let counted = match self {
            Self::Nobody => return Ok(()),
            Self::Ctdrop(watch) => {
                let summary = watch.finish()?;
                summary.expect_reconciled()?;
                let mut namespaces = summary.namespaces.iter();
                let found = namespaces.find(|found| found.netns == netns);
                // With a flow of their own or without.
                found.map_or(0, |found| found.drops)
            }
            Self::Bpftrace(script) => {
                let counted = counted(netns)?;
                script.finish()?;
                counted
            }
            Self::EmptyScript(script) => return script.finish(),
            Self::Empty(program) => {
                drop(program);
                return Ok(());
            }
            Self::Dropwatch(dropwatch) => return dropwatch.finish(),
        };
        ensure!(
            counted == refused,
            "{counted} of {refused} refusals counted"
        );
        Ok(())
    }
}

/// A script that bpftrace runs.
#[derive(Debug)]
pub(super) struct Script {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// How many flows a script counts: as many as ctdrop counts between two drains.
const MAP_KEYS: u32 = 131_072;

/// bpftrace's name of the map `@refused`.
const MAP: &str = "AT_refused";

impl Script {
    fn start(script: &str) -> Result<Self> {
        let mut child = Command::new("bpftrace")
            .args(["-e", script])
            .env("BPFTRACE_MAP_KEYS_MAX", MAP_KEYS.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bpftrace")?;
        let mut output = BufReader::new(child.stdout.take().context("the output of bpftrace")?);
        let mut line = String::new();
        while line.trim() != scripts::ATTACHED {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                bail!("bpftrace ended with {}", child.wait()?);
            }
        }
        Ok(Self { child, output })
    }

    fn finish(mut self) -> Result<()> {
        watch::signal(self.child.id().cast_signed(), libc::SIGINT)?;
        io::copy(&mut self.output, &mut io::sink())?;
        let status = self.child.wait()?;
        ensure!(status.success(), "bpftrace ended with {status}");
        Ok(())
    }
}

/// Adds up a script's counts in a namespace, which the script cannot do, and does not print:
/// bpftrace 0.17 crashes while it sorts thousands that are equal.
fn counted(netns: u64) -> Result<u64> {
    let maps = loaded_maps().collect::<Result<Vec<_>, _>>()?;
    let map = maps.iter().find(|map| map.name_as_str() == Some(MAP));
    let map = map.with_context(|| format!("bpftrace has no map {MAP}"))?;
    let map = MapData::from_id(map.id())?;
    let key = map.info()?.key_size() as usize;
    let map = aya::maps::Map::PerCpuHashMap(map);
    match key {
        scripts::TUPLE_KEY => counted_by::<{ scripts::TUPLE_KEY }>(map, netns),
        scripts::SAME_KEY => counted_by::<{ scripts::SAME_KEY }>(map, netns),
        _ => bail!("keys of bpftrace's map have {key} bytes"),
    }
}

/// The same, with keys of that many bytes, which begin with the namespace.
fn counted_by<const KEY: usize>(map: aya::maps::Map, netns: u64) -> Result<u64> {
    let flows = PerCpuHashMap::<MapData, [u8; KEY], u64>::try_from(map)?;
    let mut packets = 0;
    for flow in &flows {
        let (key, counts) = flow?;
        if key[..8] == netns.to_ne_bytes() {
            packets += counts.iter().sum::<u64>();
        }
    }
    Ok(packets)
}

/// How long dropwatch is given to begin and to end its monitoring.
const SETTLE: Duration = Duration::from_secs(2);

/// A dropwatch that monitors.
#[derive(Debug)]
pub(super) struct Dropwatch {
    child: Child,
    commands: ChildStdin,
    output: ChildStdout,
}

impl Dropwatch {
    fn start() -> Result<Self> {
        let mut child = Command::new("dropwatch")
            .args(["-l", "kas"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start dropwatch")?;
        let mut commands = child.stdin.take().context("the input of dropwatch")?;
        let output = child.stdout.take().context("the output of dropwatch")?;
        writeln!(commands, "start")?;
        // It says that it monitors, but not before its output is flushed.
        thread::sleep(SETTLE);
        Ok(Self {
            child,
            commands,
            output,
        })
    }

    /// Ends it: the signal ends its monitoring, and lets it read commands again.
    fn finish(mut self) -> Result<()> {
        // The kernel tells it what was lost once a second.
        thread::sleep(SETTLE);
        watch::signal(self.child.id().cast_signed(), libc::SIGINT)?;
        thread::sleep(SETTLE);
        writeln!(self.commands, "exit")?;
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        self.child.wait()?;
        ensure!(
            said.contains(" drops at "),
            "dropwatch saw nothing: {said:?}"
        );
        Ok(())
    }
}
