//! Twins: pairs of equal first packets that conntrack tracks at the same time.
//!
//! Both are held in a packet queue after each got an entry of its own, and let
//! go one after the other: the first entry is inserted, the second clashes. TCP
//! refuses the second packet (`drop` and `insert_failed`), UDP lets both share
//! the first entry (`clashres`).
//!
//! When a queued packet goes on, kernels such as 6.1 look for an entry of its
//! tuple once more (`nf_conntrack_update`; 6.12 does not), which would find the
//! twin's. They read the tuple from the packet, so the destination port is
//! rewritten before the queue, behind conntrack's back. The entries keep the port
//! that was sent.

use anyhow::{Result, bail};

use super::{
    counters::Counters,
    flood::Flood,
    lan::Lan,
    nfqueue::{PacketQueue, append_queue_rule},
    tuple::{Family, Protocol, Tuple},
};

/// What the destination port is rewritten to: any port but the flood's.
const REWRITTEN_PORT: u16 = 65_535;

/// How many packets are held at most.
const CAPACITY: u32 = 1024;

/// Pairs of equal packets, one pair for each flow.
#[derive(Clone, Copy, Debug)]
pub struct Twins {
    /// The flows: UDP or TCP; its number of packets does not matter.
    pub flows: Flood,
}

/// What became of the pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClashOutcome {
    /// The tuple of each pair.
    pub tuples: Vec<Tuple>,
    /// How far conntrack's counters moved.
    pub counters: Counters,
}

impl Twins {
    /// Sends and holds the pairs and lets them clash, one clash a pair.
    pub fn provoke(&self, lan: &Lan) -> Result<ClashOutcome> {
        let before = Counters::read(&lan.firewall)?;
        let mut queue = PacketQueue::bind(&lan.firewall, CAPACITY)?;
        let family = match self.flows.family {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        };
        lan.firewall.nft(&self.ruleset(family)?)?;
        append_queue_rule(&lan.firewall, self.flows.family, "twins", "hold")?;
        let pairs = CAPACITY / 4;
        let flows = self.flows.flow_numbers();
        for first_flow in flows.clone().step_by(pairs as usize) {
            let flows = pairs.min(flows.end - first_flow);
            let flood = Flood {
                first_flow,
                flows,
                packets: u64::from(flows) * 2,
                ..self.flows
            };
            flood.send(lan)?;
            queue.release(flows * 2)?;
        }
        lan.firewall.nft(&format!("delete table {family} twins"))?;
        Ok(ClashOutcome {
            tuples: flows.map(|flow| self.flows.tuple(flow)).collect(),
            counters: Counters::read(&lan.firewall)?.since(&before),
        })
    }

    /// Rewrites and holds the packets of the flows.
    fn ruleset(&self, family: &str) -> Result<String> {
        let protocol = match self.flows.protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp { .. } => "tcp",
            other => bail!("twins can be UDP or TCP, not {other:?}"),
        };
        let port = self.flows.destination_port;
        Ok(format!(
            "table {family} twins {{
                chain hold {{ }}
                chain forward {{
                    type filter hook forward priority filter + 1
                    iifname lan {protocol} dport {port} {protocol} dport set {REWRITTEN_PORT} \
                        jump hold
                }}
            }}"
        ))
    }
}
