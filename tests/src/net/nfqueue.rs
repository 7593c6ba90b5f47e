//! Queue 0 of a namespace: packets held until they are let go together.
//!
//! The rule that queues is added by netlink, not by `nft`: its `queue`
//! statement needs a kernel with `NFT_QUEUE`, and some have only what the
//! `NFQUEUE` target of iptables needs.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    netlink::{APPEND, CREATE, NetlinkSocket, Requests, messages},
    netns::Netns,
    tuple::Family,
};

/// `NFNL_SUBSYS_QUEUE` × 256.
const QUEUE: u16 = 3 << 8;
/// `NFQNL_MSG_PACKET`.
const PACKET: u16 = QUEUE;
/// `NFQNL_MSG_CONFIG`.
const CONFIG: u16 = QUEUE | 2;
/// `NFQNL_MSG_VERDICT_BATCH`: one verdict for all packets up to an id.
const VERDICT_BATCH: u16 = QUEUE | 3;

// Attributes of linux/netfilter/nfnetlink_queue.h.
const CONFIG_COMMAND: u16 = 1;
const CONFIG_PARAMETERS: u16 = 2;
const CONFIG_LENGTH: u16 = 3;
const PACKET_HEADER: u16 = 1;
const VERDICT_HEADER: u16 = 2;

// Messages of linux/netfilter/nfnetlink.h and nf_tables.h.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NFTABLES: u16 = 10;
const NEW_RULE: u16 = NFTABLES << 8 | 6;
// Attributes of linux/netfilter/nf_tables.h and nf_tables_compat.h.
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const TARGET_NAME: u16 = 1;
const TARGET_REVISION: u16 = 2;
const TARGET_INFO: u16 = 3;

/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;
/// How long to wait for a packet to be queued.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Queue 0 of one namespace; its packets are dropped when it is closed.
#[derive(Debug)]
pub struct PacketQueue {
    socket: NetlinkSocket,
    /// The newest packet that the kernel has told of.
    newest: u32,
}

impl PacketQueue {
    /// Binds it in `netns`, for `capacity` packets at most.
    pub fn bind(netns: &Netns, capacity: u32) -> Result<Self> {
        let socket = NetlinkSocket::open(netns)?;
        socket.set_timeout(TIMEOUT)?;
        let mut requests = Requests::default();
        requests.add(CONFIG, 0, (0, 0), |attributes| {
            // `NFQNL_CFG_CMD_BIND`, for any family.
            attributes.put(CONFIG_COMMAND, &[1, 0, 0, 0]);
        });
        requests.add(CONFIG, 0, (0, 0), |attributes| {
            // `NFQNL_COPY_META`: no payload.
            attributes
                .put(CONFIG_PARAMETERS, &[0, 0, 0, 0, 1])
                .put(CONFIG_LENGTH, &capacity.to_be_bytes());
        });
        socket.command(&requests, "bind packet queue 0")?;
        Ok(Self { socket, newest: 0 })
    }

    /// Waits until `count` packets are held, then lets them go, oldest first.
    /// They are gone on return.
    pub fn release(&mut self, count: u32) -> Result<()> {
        self.wait_for(count)?;
        self.let_go(self.newest)
    }

    /// Waits until the kernel has told of `count` more packets; gives the
    /// number of the newest. They are numbered from 1 on.
    pub fn wait_for(&mut self, count: u32) -> Result<u32> {
        let mut told = 0;
        while told < count {
            told += self
                .read(0)?
                .with_context(|| format!("only {told} of {count} packets were queued"))?;
        }
        Ok(self.newest)
    }

    /// Reads what the kernel has told of already; gives the number of the
    /// newest packet.
    pub fn catch_up(&mut self) -> Result<u32> {
        while self.read(libc::MSG_DONTWAIT)?.is_some() {}
        Ok(self.newest)
    }

    /// Lets all packets up to a number go that are still held, oldest first.
    /// They are gone on return.
    pub fn let_go(&self, up_to: u32) -> Result<()> {
        let verdict = [ACCEPT.to_be_bytes(), up_to.to_be_bytes()].concat();
        let mut requests = Requests::default();
        requests.add(VERDICT_BATCH, 0, (0, 0), |attributes| {
            attributes.put(VERDICT_HEADER, &verdict);
        });
        self.socket.command(&requests, "let queued packets go")
    }

    /// Reads one datagram: of how many packets it tells, if there is one.
    fn read(&mut self, flags: i32) -> Result<Option<u32>> {
        let mut buffer = vec![0; 1 << 16];
        let Some(length) = self.socket.receive(&mut buffer, flags)? else {
            return Ok(None);
        };
        let mut told = 0;
        for message in messages(&buffer[..length]) {
            let header = message.attribute(PACKET_HEADER);
            let id = header.and_then(<[u8]>::first_chunk::<4>);
            if let Some(id) = id.filter(|_| message.kind == PACKET) {
                told += 1;
                self.newest = self.newest.max(u32::from_be_bytes(*id));
            }
        }
        Ok(Some(told))
    }
}

/// How many packets queue 0 of `netns` holds now.
pub fn held(netns: &Netns) -> Result<u32> {
    netns.run(|| {
        // Not /proc/net: that shows the namespace of the first thread.
        let path = "/proc/thread-self/net/netfilter/nfnetlink_queue";
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        // Number of the queue, its owner, packets that it holds.
        let held = text.split_whitespace().nth(2);
        held.with_context(|| format!("{path} shows no queue"))?
            .parse()
            .with_context(|| format!("{path} holds {text:?}"))
    })
}

/// Makes `chain` of the `table` of `family` queue whatever comes to its end.
pub fn append_queue_rule(netns: &Netns, family: Family, table: &str, chain: &str) -> Result<()> {
    let family = match family {
        Family::V4 => libc::NFPROTO_IPV4,
        Family::V6 => libc::NFPROTO_IPV6,
    };
    let header = (u8::try_from(family)?, 0);
    let mut requests = Requests::default();
    requests.add(BATCH_BEGIN, 0, (0, NFTABLES), |_| {});
    requests.add(NEW_RULE, CREATE | APPEND, header, |rule| {
        rule.put(RULE_TABLE, &with_zero(table))
            .put(RULE_CHAIN, &with_zero(chain))
            .nest(RULE_EXPRESSIONS, |list| {
                list.nest(LIST_ELEMENT, |expression| {
                    expression.put(EXPRESSION_NAME, &with_zero("target")).nest(
                        EXPRESSION_DATA,
                        |target| {
                            // Queue 0, padded as structures of iptables are.
                            target
                                .put(TARGET_NAME, &with_zero("NFQUEUE"))
                                .put(TARGET_REVISION, &[0; 4])
                                .put(TARGET_INFO, &[0; 8]);
                        },
                    );
                });
            });
    });
    requests.add(BATCH_END, 0, (0, NFTABLES), |_| {});
    let what = format!("add a queueing rule to {table} {chain}");
    NetlinkSocket::open(netns)?.command(&requests, &what)
}

/// A string attribute's value.
fn with_zero(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}
