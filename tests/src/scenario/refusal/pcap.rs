//! `watch --pcap`: what is in the file, and what is not and why.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::table_full::every_protocol;
use crate::{
    capture::{self, Packet},
    net::{Flood, Lan, LanOptions, Protocol, ZoneClash},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
    watch::{Summary, Watch},
};

/// Packets as they were sent.
pub static PCAP: Scenario = Scenario {
    name: "pcap",
    about: "refused packets in a file for Wireshark, byte by byte; what is missing is counted",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: |machine| {
        table_full(machine)?;
        refuses_what_is_there(machine)
    },
};

/// Packets that only programs inside conntrack see with their reason.
pub static PCAP_CLASH: Scenario = Scenario {
    name: "pcap_clash",
    about: "packets refused when they were to be inserted are captured as well",
    backends: Backend::INSIDE,
    alone: false,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run: clash,
};

/// Where a capture is kept, for a test that has another program read it.
pub const KEEP: &str = "CTDROP_KEEP_PCAP";

/// A little less than the budget of one window.
const FLOWS: u32 = 10;
const PACKETS: u64 = 60;

/// Longer than a window (`conntrack_ebpf::capture::Budget`).
const WINDOW: Duration = Duration::from_millis(150);

/// Of the last line about a capture.
#[derive(Debug, Deserialize)]
struct Outcome {
    refused: u64,
    captured: u64,
    not_captured: BTreeMap<String, u64>,
}

fn table_full(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "pcap", &LanOptions::default())?;
    let begin = SystemTime::now();
    let capturing = Capturing::start(machine)?;
    let mut expected = BTreeMap::new();
    let mut sent = 0;
    for flood in every_protocol() {
        let flood = Flood {
            flows: FLOWS,
            packets: PACKETS,
            ..flood
        };
        sent += flood.send(&lan)?.delivered;
        expected.extend(packets_by_bytes(&flood));
        // The next one has a budget of its own.
        thread::sleep(WINDOW);
    }
    let small = sent;
    let burst = Flood {
        flows: 2_000,
        packets: 40_000,
        destination_port: 53,
        ..Flood::default()
    };
    let burst_sent = burst.send(&lan)?;
    sent += burst_sent.delivered;
    expected.extend(packets_by_bytes(&burst));
    let (summary, outcome, packets) = capturing.finish()?;
    summary.expect_drops("table_full", sent)?;
    accounted_for(&summary, &outcome, sent)?;
    let unseen = outcome.not_captured["unseen"];
    ensure!(unseen <= summary.tolerance(), "{outcome:?}");
    let netns = lan.firewall.inode()?;
    let end = SystemTime::now();
    let mut of_burst = 0;
    let mut by_bytes = BTreeMap::<&[u8], u64>::new();
    for packet in &packets {
        let begins = format!(
            "refused: table_full; network namespace {} ({netns}); packet ",
            lan.firewall.name()
        );
        ensure!(packet.comment.starts_with(&begins), "{packet:?}");
        ensure!(begin <= packet.at && packet.at <= end, "{packet:?}");
        ensure!(packet.length == packet.bytes.len(), "{packet:?}");
        let flow = expected.get(&packet.bytes);
        let flow = flow.with_context(|| format!("nobody has sent {packet:?}"))?;
        of_burst += u64::from(flow.of_burst(&burst));
        *by_bytes.entry(&packet.bytes).or_default() += 1;
    }
    ensure!(by_bytes.values().all(|&packets| packets <= 8), "of a flow");
    let of_small = packets.len() as u64 - of_burst;
    println!(
        "{of_small} of {small}, {of_burst} of {} in a burst",
        burst.packets
    );
    ensure!(of_small + summary.tolerance() >= small, "{outcome:?}");
    let windows = burst_sent.elapsed.as_nanos() / (1 << 26) + 2;
    ensure!(
        of_burst > 0 && u128::from(of_burst) <= windows * 67 + 16,
        "{of_burst} in {windows} windows"
    );
    for why in ["flow_bound", "rate_bound"] {
        println!("{why}: {}", outcome.not_captured[why]);
    }
    ensure!(outcome.not_captured["rate_bound"] > 0, "{outcome:?}");
    Ok(())
}

/// A flow of a flood, by its tuple.
struct FlowOf(String);

impl FlowOf {
    fn of_burst(&self, burst: &Flood) -> bool {
        self.0.ends_with(&format!(":{}", burst.destination_port))
    }
}

/// Each packet of a flood from its IP header on.
fn packets_by_bytes(flood: &Flood) -> BTreeMap<Vec<u8>, FlowOf> {
    flood
        .flow_numbers()
        .map(|number| {
            (
                flood.packet(number),
                FlowOf(flood.tuple(number).to_string()),
            )
        })
        .collect()
}

/// Every refused packet is in the file, or is counted.
fn accounted_for(summary: &Summary, outcome: &Outcome, sent: u64) -> Result<()> {
    let not_captured: u64 = outcome.not_captured.values().sum();
    ensure!(
        outcome.captured + not_captured == outcome.refused,
        "{outcome:?}"
    );
    ensure!(
        outcome.refused == sent && summary.kernel("drop") == sent,
        "{sent} sent, {} refused by the kernel's counter, {outcome:?}",
        summary.kernel("drop")
    );
    Ok(())
}

fn clash(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    setup::set_conntrack("max", 20_000)?;
    let lan = Lan::create("pcapclash", &LanOptions::default())?;
    let flood = Flood {
        protocol: Protocol::TCP_SYN,
        flows: FLOWS,
        packets: PACKETS,
        ..Flood::default()
    };
    let capturing = Capturing::start(machine)?;
    ZoneClash { flood }.provoke(&lan)?;
    let (summary, outcome, packets) = capturing.finish()?;
    summary.expect_drops("clash", flood.packets)?;
    accounted_for(&summary, &outcome, flood.packets)?;
    ensure!(
        outcome.captured + summary.tolerance() >= flood.packets,
        "{outcome:?}"
    );
    let expected: Vec<Vec<u8>> = flood
        .flow_numbers()
        .map(|number| forwarded(flood.packet(number)))
        .collect();
    for packet in packets {
        ensure!(packet.comment.starts_with("refused: clash; "), "{packet:?}");
        let bytes = forwarded(packet.bytes.clone());
        ensure!(expected.contains(&bytes), "nobody has sent {packet:?}");
    }
    Ok(())
}

/// An IPv4 packet without what changes when it is forwarded: its hops, and the checksum
/// of its header.
fn forwarded(mut packet: Vec<u8>) -> Vec<u8> {
    for at in [8, 10, 11] {
        packet[at] = 0;
    }
    packet
}

/// What was captured before is not overwritten, and nothing is observed then.
fn refuses_what_is_there(machine: &Machine) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("there.pcapng");
    fs::write(&file, "mine")?;
    let mut watch = Command::new(&machine.ctdrop);
    let watch = watch.arg("watch").args(machine.arguments());
    let output = watch.arg("--pcap").arg(&file).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && error.contains("--pcap does not overwrite files"),
        "{error}"
    );
    ensure!(fs::read(&file)? == b"mine", "it was overwritten");
    Ok(())
}

/// A `ctdrop watch --pcap`.
struct Capturing {
    watch: Watch,
    file: PathBuf,
    /// Removes the file, if nobody wants to keep it.
    _directory: tempfile::TempDir,
}

impl Capturing {
    fn start(machine: &Machine) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = match env::var_os(KEEP) {
            Some(kept) => kept.into(),
            None => directory.path().join("refused.pcapng"),
        };
        let path = file.to_str().context("the path of a capture")?;
        let watch = Watch::start(machine, &["--quiet", "--all-flows", "--pcap", path])?;
        Ok(Self {
            watch,
            file,
            _directory: directory,
        })
    }

    fn finish(self) -> Result<(Summary, Outcome, Vec<Packet>)> {
        let (summary, lines) = self.watch.finish_with_lines("capture")?;
        let last = lines.last().context("no word of the capture")?;
        let outcome: Outcome = serde_json::from_str(last).with_context(|| last.clone())?;
        println!("{last}");
        let packets = read(&self.file)?;
        ensure!(packets.len() as u64 == outcome.captured, "{outcome:?}");
        Ok((summary, outcome, packets))
    }
}

/// The packets of a file that only its owner can read.
fn read(file: &Path) -> Result<Vec<Packet>> {
    let mode = fs::metadata(file)?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    capture::read(file)
}
