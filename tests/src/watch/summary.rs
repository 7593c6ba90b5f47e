//! The last line of `ctdrop watch -o json`, and what tests demand of it.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::net::Tuple;

/// A process that sent packets, as far as tests read it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Sender {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: Option<String>,
    /// Path of its control group.
    pub cgroup: Option<String>,
    /// The systemd unit.
    pub unit: Option<String>,
}

/// The last line, as far as tests read it.
#[derive(Debug, Deserialize)]
pub struct Summary {
    /// Lost packets by reason.
    pub drops: BTreeMap<String, u64>,
    /// Entries killed to make room.
    pub evicted: u64,
    /// Clashes without a loss.
    pub clash_resolved: u64,
    /// Entries refused that no packet wanted.
    pub non_packet: u64,
    /// Packets that a rule dropped or conntrack refused.
    pub dropped_by_rule_or_refused: u64,
    /// Lost packets whose flow has no count of its own.
    pub unattributed: u64,
    /// Flows.
    pub flows: Vec<Flow>,
    /// Flows left out.
    pub flows_omitted: u64,
    /// Growth of the kernel's counters.
    pub kernel: BTreeMap<String, u64>,
    /// Increments that nothing accounts for.
    pub unexplained: u64,
    /// Packets held against nothing.
    pub unchecked: u64,
    /// Whether nothing is unexplained.
    pub reconciled: bool,
    /// Program runs that the kernel skipped.
    pub missed: BTreeMap<String, u64>,
    /// Errors inside the programs.
    pub faults: BTreeMap<String, u64>,
    /// By how much a flow's count can be too low.
    pub error_bound: u64,
    /// How many packets were lost, where only counters tell.
    pub drops_range: Option<Range>,
    /// What the kernel log said, where it is read.
    pub log: Option<Log>,
    /// Namespaces in which packets were lost.
    pub namespaces: Vec<Namespace>,
    /// Fixes that were made by itself, with `--fix`.
    pub fixes: Option<Vec<Fixed>>,
    /// Most memory that the process had, in bytes; not in the line.
    #[serde(skip)]
    pub memory: u64,
    /// Whether the kernel may skip programs here, so that packets may have no
    /// flow, as many as it says it has skipped; not in the line.
    #[serde(skip)]
    pub skips_runs: bool,
}

/// Bounds on the packets that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Range {
    /// No fewer.
    pub at_least: u64,
    /// No more.
    pub at_most: u64,
}

/// What the kernel log said.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Log {
    /// Lines about a full table.
    pub lines: u64,
    /// Network messages kept back.
    pub suppressed: u64,
}

/// A fix of the summary.
#[derive(Clone, Debug, Deserialize)]
pub struct Fixed {
    /// Its name.
    pub id: String,
    /// The limit that it set.
    pub max: u64,
}

/// A namespace of the summary.
#[derive(Clone, Debug, Deserialize)]
pub struct Namespace {
    /// Its inode.
    pub netns: u64,
    /// Packets lost in it.
    pub drops: u64,
}

/// A flow of the summary.
#[derive(Clone, Debug, Deserialize)]
pub struct Flow {
    /// Name of the reason.
    pub reason: String,
    /// Inode of the namespace.
    pub netns: u64,
    /// Name of the namespace.
    pub netns_name: String,
    /// Conntrack zone.
    pub zone: u16,
    /// Name or number of the protocol.
    pub protocol: String,
    /// Source address.
    pub src: IpAddr,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination address.
    pub dst: IpAddr,
    /// Destination port.
    pub dport: Option<u16>,
    /// ICMP id.
    pub icmp_id: Option<u16>,
    /// ICMP type.
    pub icmp_type: Option<u8>,
    /// ICMP code.
    pub icmp_code: Option<u8>,
    /// Who sent it, if it was sent from this host.
    pub sender: Option<Sender>,
    /// Packets.
    pub packets: u64,
    /// Time of the first one, RFC 3339.
    pub first: String,
    /// Time of the last one, RFC 3339.
    pub last: String,
}

impl Flow {
    /// Its tuple, as floods name it.
    pub fn tuple(&self) -> Result<Tuple> {
        let protocol = match self.protocol.as_str() {
            "udp" => 17,
            "tcp" => 6,
            "icmp" => 1,
            "icmpv6" => 58,
            "sctp" => 132,
            "gre" => 47,
            number => number
                .parse()
                .with_context(|| format!("protocol {number}"))?,
        };
        let kind = self.icmp_type.map_or(0, u16::from) << 8;
        Ok(Tuple {
            protocol,
            source: self.src,
            source_port: self.sport.or(self.icmp_id).unwrap_or(0),
            destination: self.dst,
            destination_port: self
                .dport
                .unwrap_or(kind | u16::from(self.icmp_code.unwrap_or(0))),
        })
    }
}

impl Summary {
    /// Lost packets, for whatever reason.
    pub fn total(&self) -> u64 {
        self.drops.values().sum()
    }

    /// The flows of one reason in one namespace, by tuple.
    pub fn flows_of(&self, reason: &str, netns: u64) -> Result<BTreeMap<String, u64>> {
        self.flows
            .iter()
            .filter(|flow| flow.reason == reason && flow.netns == netns)
            .map(|flow| Ok((flow.tuple()?.to_string(), flow.packets)))
            .collect()
    }

    /// How many packets may be without a flow, or known from the counters alone:
    /// none, unless the kernel skipped programs that it may skip here.
    pub fn tolerance(&self) -> u64 {
        if self.skips_runs {
            self.missed.values().sum()
        } else {
            0
        }
    }

    /// Demands that packets were lost for this reason alone, so many, and that
    /// all the counts agree: with each other and with the kernel's.
    pub fn expect_drops(&self, reason: &str, packets: u64) -> Result<()> {
        let mut lost = self.drops.clone();
        lost.retain(|_, lost| *lost > 0);
        if let Some(&other) = lost.get("other")
            && other <= self.tolerance()
        {
            lost.remove("other");
            *lost.entry(reason.to_owned()).or_default() += other;
        }
        let expected = BTreeMap::from([(reason.to_owned(), packets)]);
        ensure!(
            lost == expected,
            "drops are {:?}, not {expected:?}; kernel {:?}, missed {:?}",
            self.drops,
            self.kernel,
            self.missed
        );
        self.expect_reconciled()
    }

    /// Demands that no packet was lost, and that the kernel's counters agree.
    pub fn expect_no_drops(&self) -> Result<()> {
        self.expect_reconciled()?;
        ensure!(self.total() == 0, "packets were lost: {:?}", self.drops);
        Ok(())
    }

    /// Demands that so many clashes were resolved by a merge, and no packet was lost.
    pub fn expect_only_merges(&self, merges: u64) -> Result<()> {
        self.expect_no_drops()?;
        ensure!(
            self.clash_resolved == merges,
            "{} of {merges} clashes were merged",
            self.clash_resolved
        );
        Ok(())
    }

    /// Demands that so many entries were refused that no packet wanted, and that no
    /// packet was lost.
    pub fn expect_only_non_packets(&self, refused: u64) -> Result<()> {
        self.expect_no_drops()?;
        ensure!(
            self.non_packet == refused,
            "{} of {refused} refused entries were counted",
            self.non_packet
        );
        Ok(())
    }

    /// Demands that so many packets were lost in the namespace of that inode; those
    /// that a skipped program left are in none.
    pub fn expect_lost_in(&self, netns: u64, packets: u64) -> Result<()> {
        let namespace = self.namespaces.iter().find(|it| it.netns == netns);
        let lost = namespace.map_or(0, |namespace| namespace.drops);
        ensure!(
            (packets.saturating_sub(self.tolerance())..=packets).contains(&lost),
            "namespace {netns} lost {packets} packets, not {lost}: {:?}",
            self.namespaces
        );
        Ok(())
    }

    /// Demands that the flows of one reason in one namespace are these, to the
    /// packet.
    pub fn expect_flows(
        &self,
        reason: &str,
        netns: u64,
        expected: &BTreeMap<String, u64>,
    ) -> Result<()> {
        self.compare(expected, &self.flows_of(reason, netns)?)
    }

    /// Demands that these flows were seen, to the packet, and no others.
    pub fn compare(
        &self,
        expected: &BTreeMap<String, u64>,
        seen: &BTreeMap<String, u64>,
    ) -> Result<()> {
        let mut missing = 0;
        for (flow, &packets) in expected {
            let counted = seen.get(flow).copied().unwrap_or(0);
            missing += packets.saturating_sub(counted);
            ensure!(
                counted <= packets && missing <= self.tolerance(),
                "{flow}: {counted} packets, not {packets}; missed {:?}",
                self.missed
            );
        }
        for (flow, packets) in seen {
            ensure!(
                expected.contains_key(flow),
                "{flow}: {packets} packets of no flow that was sent"
            );
        }
        Ok(())
    }

    /// Demands that Σ flows + unattributed = drops, and that the kernel agrees.
    pub fn expect_reconciled(&self) -> Result<()> {
        ensure!(
            self.reconciled && self.unexplained == 0 && self.unchecked == 0,
            "unexplained {}, unchecked {}: drops {:?}, kernel {:?}, missed {:?}",
            self.unexplained,
            self.unchecked,
            self.drops,
            self.kernel,
            self.missed
        );
        ensure!(
            self.faults.values().all(|&faults| faults == 0),
            "programs failed: {:?}",
            self.faults
        );
        if self.flows_omitted == 0 {
            let attributed: u64 = self
                .flows
                .iter()
                .filter(|flow| self.drops.contains_key(&flow.reason))
                .map(|flow| flow.packets)
                .sum();
            ensure!(
                attributed + self.unattributed == self.total(),
                "{attributed} by flow + {} unattributed is not {}",
                self.unattributed,
                self.total()
            );
        }
        Ok(())
    }

    /// Growth of one of the kernel's counters.
    pub fn kernel(&self, counter: &str) -> u64 {
        self.kernel.get(counter).copied().unwrap_or(0)
    }
}
