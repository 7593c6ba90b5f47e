//! The programs that read files of sysctls. Each takes some lines in another way.

/// A program that reads files of sysctls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `sysctl` of procps before 4.
    Procps3 {
        /// Whether it is known to read lines of any length; versions before 3.3.16
        /// may break long ones into pieces.
        any_length: bool,
    },
    /// `sysctl` of procps 4.
    Procps4,
    /// `systemd-sysctl`, of a version if that is known.
    Systemd(Option<u32>),
    /// `sysctl` of busybox.
    Busybox,
}

impl Dialect {
    /// No program breaks a line into pieces of fewer bytes.
    pub(super) const SHORTEST_PIECE: usize = 200;

    /// Whether it takes a `-` before a line without `=` as an exception from
    /// patterns, and patterns as what they stand for: systemd since 245, procps
    /// since 4.
    pub const fn knows_patterns(self) -> bool {
        match self {
            Self::Systemd(Some(version)) => version >= 245,
            Self::Systemd(None) | Self::Procps4 => true,
            Self::Procps3 { .. } | Self::Busybox => false,
        }
    }

    /// Whether a line ends at a carriage return or a null byte, too: systemd since
    /// 241. `None`: this version may do so.
    pub(super) const fn ends_lines_at_return(self) -> Option<bool> {
        match self {
            Self::Systemd(Some(..241)) => None,
            Self::Systemd(_) => Some(true),
            Self::Procps3 { .. } | Self::Procps4 | Self::Busybox => Some(false),
        }
    }

    /// The most bytes of a line that it is known to read as one line.
    pub(super) const fn longest_line(self) -> usize {
        match self {
            // A buffer of 257 bytes (procps 3.2.8 `sysctl.c: Preload`).
            Self::Procps3 { any_length: false } => 255,
            // `LINE_MAX`
            Self::Systemd(Some(..241)) => 2047,
            // `LONG_LINE_MAX`; a longer one ends the reading of the file.
            Self::Systemd(_) => (1 << 20) - 1,
            Self::Procps3 { any_length: true } | Self::Procps4 | Self::Busybox => usize::MAX,
        }
    }
}
