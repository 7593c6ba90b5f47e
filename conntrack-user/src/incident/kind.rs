//! What a diagnosis can be, how sure it is, and who it names.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{incident::census::Service, kernel::netns::called::Netns};

/// Why packets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nothing shows that any are.
    None,
    /// More flows are alive than the limit allows.
    Undersized,
    /// Most entries are connections that nobody uses and nobody closes.
    Leak,
    /// Most entries are flows of forged sources.
    SpoofedFlood,
    /// Most entries are flows that nobody answers.
    Flood,
    /// Chains of the hash table are too long.
    FewBuckets,
    /// Packets lose the race for their tuple.
    Clash,
    /// Source NAT finds no free port.
    NatExhausted,
    /// The kernel has no memory for entries.
    Memory,
    /// A namespace is full, and not the host's own.
    NoisyNamespace,
    /// It cannot be told.
    Unknown,
    /// Nothing shows that any are, and some network namespaces are out of sight.
    NotSeen,
}

impl Kind {
    /// Whether packets are refused.
    pub const fn is_refusal(self) -> bool {
        !matches!(self, Self::None | Self::NotSeen)
    }

    /// Whether what fills the table fills any: a higher limit only buys time.
    pub const fn fills_any_limit(self) -> bool {
        matches!(self, Self::Leak | Self::SpoofedFlood | Self::Flood)
    }
}

/// How a table stands to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pressure {
    /// Nothing is refused, and there is room.
    Calm,
    /// Nothing is refused now; packets have been dropped since boot under a limit
    /// that the kernel chose by itself.
    WasFull,
    /// There is room, and packets are refused.
    Refusing,
    /// It is full, or as good as.
    Full,
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// What is seen allows it, and others.
    Possible,
    /// What is seen speaks for it.
    Likely,
    /// What is seen leaves nothing else.
    Certain,
}

/// Who is to be looked at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Culprit {
    /// A client.
    Source {
        /// Its address.
        address: IpAddr,
        /// The container, pod or namespace whose address it is, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Its entries.
        entries: u64,
    },
    /// What a flood is for; its sources say nothing.
    Service {
        /// Which one.
        #[serde(flatten)]
        service: Service,
        /// The container, pod or namespace whose address it has, where known.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Its entries that saw no reply.
        entries: u64,
    },
    /// A network namespace.
    Netns(Netns),
}
