//! Which set of maps the programs count in, and which programs are attached.

/// The value of the map `EPOCH`: which of two sets of maps is counted in, and
/// which programs are attached. Read once for each packet, so that
/// all that is counted for it agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// Nothing is counted: before all programs are attached, and after the
    /// last reading. All programs begin and end at once, however long it takes
    /// to attach them one by one.
    pub const OFF: Self = Self(u32::MAX);

    /// A set of maps, 0 or 1, and a phase.
    pub const fn new(index: u32, phase: Phase) -> Self {
        Self((phase as u32) << 1 | index & 1)
    }

    /// Which set of maps, 0 or 1; none if nothing is counted.
    pub const fn index(self) -> Option<u32> {
        if self.0 == Self::OFF.0 {
            None
        } else {
            Some(self.0 & 1)
        }
    }

    /// Whether it is this phase.
    pub const fn is(self, phase: Phase) -> bool {
        self.0 >> 1 == phase as u32
    }

    /// The phase; at rest if nothing is counted.
    pub const fn phase(self) -> Phase {
        match self.0 >> 1 {
            1 => Phase::Arming,
            2 => Phase::Armed,
            3 => Phase::Reinforced,
            _ => Phase::AtRest,
        }
    }
}

/// Which programs are attached, as far as the others must know.
///
/// At rest those that run for each new flow are not; so what they would count
/// with the flow is counted by those that see it first, without one. In
/// between, packets of both kinds are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// Only programs that run under pressure are attached.
    AtRest,
    /// All are attached; packets that were seen at rest may be on their way.
    Arming,
    /// The programs that run for each new flow are attached, and have seen every packet from
    /// its start. They know a call of `early_drop` by the note of its entry. So the fexit
    /// programs at its exit are not needed, and are detached.
    Armed,
    /// As armed, but the kernel has skipped a program. So the programs that see the same as
    /// others are attached, too.
    Reinforced,
}

impl Phase {
    /// Whether a refused allocation is counted with its flow.
    pub const fn is_armed(self) -> bool {
        matches!(self, Self::Armed | Self::Reinforced)
    }
}
