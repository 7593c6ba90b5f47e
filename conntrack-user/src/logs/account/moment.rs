//! When something was logged.

/// When something was logged, as far as it is known. In microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Since 1970.
    Wall(i64),
    /// Since the kernel started, at a time that is not known.
    Uptime(u64),
    /// Not known.
    Unknown,
}

/// Microseconds of a minute.
pub const MINUTE: i64 = 60_000_000;

impl Moment {
    /// The minute that it is in.
    #[must_use]
    pub const fn minute(self) -> Self {
        match self {
            Self::Wall(at) => Self::Wall(at.div_euclid(MINUTE) * MINUTE),
            Self::Uptime(at) => Self::Uptime(at / MINUTE.cast_unsigned() * MINUTE.cast_unsigned()),
            Self::Unknown => Self::Unknown,
        }
    }

    /// Microseconds from `earlier` on, if both are told by the same clock.
    pub fn since(self, earlier: Self) -> Option<i64> {
        match (self, earlier) {
            (Self::Wall(at), Self::Wall(earlier)) => Some(at.saturating_sub(earlier)),
            (Self::Uptime(at), Self::Uptime(earlier)) => {
                Some(at.cast_signed().saturating_sub(earlier.cast_signed()))
            }
            _ => None,
        }
    }
}
