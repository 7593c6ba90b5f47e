//! The lines that the tests know the messages by.

use crate::kernel::{
    generation::Generation::{self, IpConntrack, NfConntrack},
    message::{
        Limiter::{self, Interval, NetTokens, PrintkTokens},
        Load, Message,
        Wording::{self, NameTwice, WithLimit, WithStop, WithoutStop},
    },
};

/// Every form of every message, as kernels wrote it.
pub(crate) const FORMS: [(&str, Message); 16] = [
    (
        "ip_conntrack: table full, dropping packet.",
        full(IpConntrack, WithStop),
    ),
    (
        "nf_conntrack: table full, dropping packet.",
        full(NfConntrack, WithStop),
    ),
    (
        "nf_conntrack: table full, dropping packet",
        full(NfConntrack, WithoutStop),
    ),
    (
        "nf_conntrack: nf_conntrack: table full, dropping packet",
        full(NfConntrack, NameTwice),
    ),
    (
        "ip_conntrack: VPS 101 table full, dropping packet.",
        full_in(None, Some(101), IpConntrack, WithStop),
    ),
    (
        "nf_conntrack: nf_conntrack: table full in netns 4026532114, dropping packet",
        full_in(Some(4_026_532_114), None, NfConntrack, NameTwice),
    ),
    (
        "nf_conntrack: table full in netns 4294967295, dropping packet",
        full_in(Some(u32::MAX), None, NfConntrack, NameTwice),
    ),
    (
        "ip_conntrack version 2.4 (8189 buckets, 65512 max) - 232 bytes per conntrack",
        load(IpConntrack, 8189, 65_512),
    ),
    (
        "nf_conntrack version 0.5.0 (16384 buckets, 65536 max)",
        load(NfConntrack, 16_384, 65_536),
    ),
    (
        "nf_conntrack: expectation table full",
        Message::ExpectationsFull,
    ),
    (
        "ip_conntrack: maximum limit of 8184 entries exceeded",
        Message::TableFull {
            netns: None,
            container: None,
            limit: Some(8184),
            generation: IpConntrack,
            wording: WithLimit,
        },
    ),
    ("NET: 37 messages suppressed.", suppress(37, NetTokens)),
    (
        "printk: 5990 messages suppressed.",
        suppress(5990, PrintkTokens),
    ),
    (
        "__ratelimit: 510 callbacks suppressed",
        suppress(510, Interval),
    ),
    (
        "net_ratelimit: 1 callbacks suppressed",
        suppress(1, Interval),
    ),
    (
        "Linux version 2.6.18-398.el5 (mockbuild@builder)",
        Message::Booted,
    ),
];

const fn full(generation: Generation, wording: Wording) -> Message {
    full_in(None, None, generation, wording)
}

const fn full_in(
    netns: Option<u32>,
    container: Option<u32>,
    generation: Generation,
    wording: Wording,
) -> Message {
    Message::TableFull {
        netns,
        container,
        limit: None,
        generation,
        wording,
    }
}

const fn load(generation: Generation, buckets: u64, max: u64) -> Message {
    Message::Loaded(Load {
        generation,
        buckets,
        max,
    })
}

const fn suppress(messages: u64, limiter: Limiter) -> Message {
    Message::Suppressed { messages, limiter }
}
