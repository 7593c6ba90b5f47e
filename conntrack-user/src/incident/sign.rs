//! What a diagnosis rests on: typed, so that programs can read it and
//! [`super::words`] can say it.

use std::net::IpAddr;

use serde::Serialize;

use crate::{incident::census::Service, kernel::netns::called::Netns};

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Sign {
    /// Of packets that are refused, and the limit.
    Refusal(Refusal),
    /// Of what the table holds.
    Contents(Contents),
    /// Of connections that nobody uses.
    Idleness(Idleness),
}

/// What is seen of packets that are refused, and of the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// Nothing shows that packets are refused.
    NothingRefused,
    /// A copied tree has no counters, which would show whether packets are refused.
    LacksCounters,
    /// How full a table is.
    TableUse {
        /// Whose it is.
        netns: Netns,
        /// Entries in it.
        entries: u64,
        /// The limit.
        max: u64,
    },
    /// Packets were refused for a full table while somebody looked.
    RefusedFull {
        /// How many.
        packets: u64,
    },
    /// Packets have been dropped since boot, under a limit that the kernel chose
    /// by itself.
    DroppedSinceBoot {
        /// How many.
        packets: u64,
    },
    /// Packets were dropped, the table was not full, and nothing tells why.
    DroppedUnexplained {
        /// How many.
        packets: u64,
    },
    /// Entries were refused as their hash chain was too long.
    ChainsTooLong {
        /// How many.
        packets: u64,
    },
    /// Packets lost the race for their tuple.
    RacesLost {
        /// How many.
        packets: u64,
    },
    /// No free port was found for packets after source NAT.
    NatPortsExhausted {
        /// How many.
        packets: u64,
    },
    /// There was no memory for entries.
    NoMemory {
        /// How many.
        packets: u64,
    },
    /// The full table is that of another namespace than the host's.
    NotTheHosts {
        /// Whose it is.
        netns: Netns,
    },
}

/// What is seen of the entries of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Contents {
    /// Nobody has looked what fills the table.
    TableNotSeen,
    /// Too few entries were seen to judge what fills the table.
    TooFew {
        /// How many.
        entries: u64,
    },
    /// Only some entries of the table were looked at.
    Filtered {
        /// How many.
        entries: u64,
    },
    /// Entries that saw a reply.
    Replied {
        /// How many.
        entries: u64,
        /// Of so many.
        of: u64,
    },
    /// Entries that never saw a reply.
    Unreplied {
        /// How many.
        entries: u64,
        /// Of so many.
        of: u64,
    },
    /// Different sources of entries that never saw a reply.
    UnrepliedSources {
        /// How many.
        sources: u64,
        /// Whether hardly one has tried twice.
        forged: bool,
    },
    /// The source with most of the entries that never saw a reply.
    UnrepliedSource {
        /// Its address.
        source: IpAddr,
        /// Its own.
        entries: u64,
        /// Of so many.
        of: u64,
    },
    /// The service with most of the entries that never saw a reply.
    UnrepliedService {
        /// Which one.
        service: Service,
        /// Its own.
        entries: u64,
        /// Of so many.
        of: u64,
    },
    /// The source with most entries.
    BusiestSource {
        /// Its address.
        source: IpAddr,
        /// Its own.
        entries: u64,
        /// Of so many.
        of: u64,
    },
    /// Counts by source and service may be too low: more than have room.
    CountsTooLow {
        /// By how many entries, at most.
        entries: u64,
    },
}

/// What is seen of connections that nobody uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Idleness {
    /// Established connections that are idle.
    Idle {
        /// How many.
        entries: u64,
        /// Of so many entries.
        of: u64,
        /// From how many seconds without a packet on.
        seconds: u32,
    },
    /// Established connections of which it is not known if they are idle.
    IdleUnknown {
        /// How many.
        entries: u64,
        /// Of so many entries.
        of: u64,
    },
    /// The source with most of the idle connections.
    IdleSource {
        /// Its address.
        source: IpAddr,
        /// Its own.
        entries: u64,
        /// Of so many.
        of: u64,
    },
    /// The idle connections among the entries of one source.
    IdleOfSource {
        /// Its address.
        source: IpAddr,
        /// How many.
        entries: u64,
        /// Of so many.
        of: u64,
    },
    /// A second look at connections that may be idle.
    SecondLook {
        /// Connections looked at.
        looked: u64,
        /// Of these, those that had a packet in between.
        alive: u64,
        /// Those that had none, and are idle by the timeout in force.
        idle: u64,
        /// Those that had none, and whose timeout in force is not known.
        unknown: u64,
        /// Seconds between the two looks.
        seconds: u64,
    },
    /// Connections live by another timeout than the sysctl's.
    OtherTimeout {
        /// In seconds, at most.
        seconds: u32,
    },
    /// Idleness was told from one look, by the sysctl's timeout.
    OneLook,
}

impl From<Refusal> for Sign {
    fn from(sign: Refusal) -> Self {
        Self::Refusal(sign)
    }
}

impl From<Contents> for Sign {
    fn from(sign: Contents) -> Self {
        Self::Contents(sign)
    }
}

impl From<Idleness> for Sign {
    fn from(sign: Idleness) -> Self {
        Self::Idleness(sign)
    }
}
