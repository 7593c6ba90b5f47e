//! ctdrop, and what else people would count refused packets with.

use std::{
    fmt, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{MapData, PerCpuHashMap, loaded_maps};

use crate::{
    net::Netns,
    scenario::{Machine, Rung},
    watch::{self, Watch},
};

/// Who watches while packets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observer {
    /// Nobody.
    None,
    /// `ctdrop watch` on a rung, with all its programs or at rest.
    Ctdrop(Rung, Arm),
    /// A script for bpftrace that counts refused packets by flow.
    Bpftrace(Rung),
    /// dropwatch, which counts lost packets by the place that drops them.
    Dropwatch,
}

/// Whether what runs for each new flow is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    /// `--arm auto`, before any pressure.
    AtRest,
    /// `--arm always`.
    Armed,
}

/// As figures name it.
impl fmt::Display for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Ctdrop(rung, Arm::AtRest) => write!(f, "ctdrop {rung} at rest"),
            Self::Ctdrop(rung, Arm::Armed) => write!(f, "ctdrop {rung}"),
            Self::Bpftrace(rung) => write!(f, "bpftrace {rung}"),
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
    /// dropwatch.
    Dropwatch(Dropwatch),
}

impl Observer {
    /// Starts it, and waits until it sees what happens.
    pub(super) fn start(self, machine: &Machine) -> Result<Observing> {
        Ok(match self {
            Self::None => Observing::Nobody,
            Self::Ctdrop(rung, arm) => {
                let standing = Machine {
                    rung,
                    forced: true,
                    auto: arm == Arm::AtRest,
                    ..machine.clone()
                };
                Observing::Ctdrop(Box::new(Watch::start(&standing, &["--quiet"])?))
            }
            Self::Bpftrace(rung) => Observing::Bpftrace(Script::start(&script(rung)?)?),
            Self::Dropwatch => Observing::Dropwatch(Dropwatch::start()?),
        })
    }
}

impl Observing {
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
                // Those of a namespace are those with a flow.
                found.map_or(0, |found| found.drops) + summary.unattributed
            }
            Self::Bpftrace(script) => script.finish(netns)?,
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

/// Printed by scripts once they are attached.
const ATTACHED: &str = "attached";

/// bpftrace's name of the map `@refused`.
const MAP: &str = "AT_refused";

/// The size of its key: eight bytes for each number, 24 for an address.
const KEY: usize = 4 * 8 + 2 * 24;

impl Script {
    fn start(script: &str) -> Result<Self> {
        let mut child = Command::new("bpftrace")
            .args(["-e", script])
            // As many flows as ctdrop counts between two drains.
            .env("BPFTRACE_MAP_KEYS_MAX", "131072")
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start bpftrace")?;
        let mut output = BufReader::new(child.stdout.take().context("the output of bpftrace")?);
        let mut line = String::new();
        while line.trim() != ATTACHED {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                bail!("bpftrace ended with {}", child.wait()?);
            }
        }
        Ok(Self { child, output })
    }

    /// Ends it; the sum of its counts in a namespace.
    fn finish(mut self, netns: u64) -> Result<u64> {
        let counted = counted(netns)?;
        watch::signal(self.child.id().cast_signed(), libc::SIGINT)?;
        io::copy(&mut self.output, &mut io::sink())?;
        let status = self.child.wait()?;
        ensure!(status.success(), "bpftrace ended with {status}");
        Ok(counted)
    }
}

/// Adds up a script's counts, which the script cannot do, and does not print:
/// bpftrace 0.17 crashes while it sorts thousands that are equal.
fn counted(netns: u64) -> Result<u64> {
    let maps = loaded_maps().collect::<Result<Vec<_>, _>>()?;
    let map = maps.iter().find(|map| map.name_as_str() == Some(MAP));
    let map = map.with_context(|| format!("bpftrace has no map {MAP}"))?;
    ensure!(
        map.key_size() as usize == KEY,
        "keys of bpftrace's map have {} bytes, not {KEY}",
        map.key_size()
    );
    let map = aya::maps::Map::PerCpuHashMap(MapData::from_id(map.id())?);
    let flows = PerCpuHashMap::<MapData, [u8; KEY], u64>::try_from(map)?;
    let mut packets = 0;
    for flow in &flows {
        let (key, counts) = flow?;
        // The namespace is the first part of the key.
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

/// The script that counts by flow what ctdrop counts on that rung: only packets
/// refused for a full table, only IPv4, and without first and last time.
fn script(rung: Rung) -> Result<String> {
    let refused = "(int64)retval < 0 && (int64)retval > -4096";
    let (probes, end) = match rung {
        Rung::Fexit => {
            let count = by_tuple("args->net", "args->orig");
            let probe = "kretfunc:nf_conntrack:__nf_conntrack_alloc";
            (format!("{probe} /{refused}/ {{ {count} }}"), "")
        }
        Rung::Kprobe => {
            let count = by_tuple("@net[tid]", "@tuple[tid]");
            let probes = format!(
                "kprobe:__nf_conntrack_alloc {{ @net[tid] = arg0; @tuple[tid] = arg2; }}
                 kretprobe:__nf_conntrack_alloc {{
                     if ({refused}) {{ {count} }}
                     delete(@net[tid]);
                     delete(@tuple[tid]);
                 }}"
            );
            (probes, "clear(@net); clear(@tuple);")
        }
        Rung::Tracepoint => (by_header(netfilter_drop()?), ""),
        Rung::Counters => bail!("no program runs on the rung {rung}"),
    };
    Ok(format!(
        "BEGIN {{ printf(\"{ATTACHED}\\n\"); }}
         END {{ clear(@refused); {end} }}
         {probes}"
    ))
}

/// Counts by the tuple that conntrack made of the packet.
fn by_tuple(net: &str, tuple: &str) -> String {
    format!(
        "$net = (struct net *){net};
         $tuple = (struct nf_conntrack_tuple *){tuple};
         @refused[$net->ns.inum, $tuple->dst.protonum,
                  ntop($tuple->src.u3.ip), $tuple->src.u.all,
                  ntop($tuple->dst.u3.ip), $tuple->dst.u.all] = count();"
    )
}

/// Counts packets that netfilter dropped without an entry, by their headers.
fn by_header(reason: u32) -> String {
    format!(
        "tracepoint:skb:kfree_skb /args->reason == {reason}/ {{
             $skb = (struct sk_buff *)args->skbaddr;
             if (($skb->_nfct >> 3) == 0) {{
                 $net = $skb->sk->__sk_common.skc_net.net;
                 if ((uint64)$skb->dev != 0) {{
                     $net = $skb->dev->nd_net.net;
                 }}
                 $ip = (struct iphdr *)($skb->head + $skb->network_header);
                 $udp = (struct udphdr *)($skb->head + $skb->transport_header);
                 @refused[$net->ns.inum, $ip->protocol,
                          ntop($ip->saddr), $udp->source,
                          ntop($ip->daddr), $udp->dest] = count();
             }}
         }}"
    )
}

/// The number that this kernel has for drops by netfilter, from the description of
/// its tracepoint.
fn netfilter_drop() -> Result<u32> {
    let path = "/sys/kernel/debug/tracing/events/skb/kfree_skb/format";
    let format = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    number_of(&format, "NETFILTER_DROP").with_context(|| format!("no NETFILTER_DROP in {path}"))
}

/// The number that stands before a name, as in `{ 8, "NETFILTER_DROP" }`.
fn number_of(format: &str, name: &str) -> Option<u32> {
    let (before, _) = format.split_once(&format!(", \"{name}\" }}"))?;
    before.rsplit_once("{ ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_read_from_the_format() {
        let format = r#"__print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 8, "NETFILTER_DROP" }, { 9, "OTHERHOST" })"#;
        assert_eq!(number_of(format, "NETFILTER_DROP"), Some(8));
        assert_eq!(number_of(format, "NETFILTER"), None);
    }
}
