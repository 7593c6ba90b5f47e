//! What lost packets are added up by.

use serde::Serialize;

/// What the rows of a report are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Each flow by itself.
    #[default]
    Flow,
    /// Source address.
    Src,
    /// Destination address.
    Dst,
    /// Destination address, protocol and port.
    Service,
    /// Network namespace.
    Netns,
    /// Reason.
    Reason,
    /// Process of this host that sent the packets.
    Sender,
}

impl By {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::Flow,
        Self::Src,
        Self::Dst,
        Self::Service,
        Self::Netns,
        Self::Reason,
        Self::Sender,
    ];
}
