//! What entries are added up by.

/// What the rows of the only table are. What is also in
/// [`engine::by::By`](crate::engine::by::By) has the same name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Source address.
    Src,
    /// Destination address.
    Dst,
    /// Destination address, protocol and port.
    Service,
    /// Network namespace.
    Netns,
    /// Container, pod or namespace whose address it is.
    Owner,
    /// Protocol, state and progress.
    State,
    /// Zone.
    Zone,
    /// Mark.
    Mark,
}

impl By {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Src,
        Self::Dst,
        Self::Service,
        Self::Netns,
        Self::Owner,
        Self::State,
        Self::Zone,
        Self::Mark,
    ];
}
