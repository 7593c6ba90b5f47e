//! The programs, by Debian release.

/// A program that applies files of sysctls.
#[derive(Debug)]
pub struct Program {
    /// What tests and commands call it.
    pub name: &'static str,
    /// The release whose package it is from, by name and number.
    pub suite: (&'static str, &'static str),
    /// Which one it is.
    pub kind: Kind,
}

/// A program, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `sysctl` of procps.
    Procps,
    /// `systemd-sysctl`
    Systemd,
    /// `sysctl` of busybox.
    Busybox,
}

impl Kind {
    /// The package that it is in.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Procps => "procps",
            Self::Systemd => "systemd",
            Self::Busybox => "busybox",
        }
    }
}

const BULLSEYE: (&str, &str) = ("bullseye", "11");
const BOOKWORM: (&str, &str) = ("bookworm", "12");
const TRIXIE: (&str, &str) = ("trixie", "13");

/// All of them.
pub const ALL: [Program; 9] = [
    Program {
        name: "procps-3.3.17",
        suite: BULLSEYE,
        kind: Kind::Procps,
    },
    Program {
        name: "procps-4.0.2",
        suite: BOOKWORM,
        kind: Kind::Procps,
    },
    Program {
        name: "procps-4.0.4",
        suite: TRIXIE,
        kind: Kind::Procps,
    },
    Program {
        name: "systemd-247",
        suite: BULLSEYE,
        kind: Kind::Systemd,
    },
    Program {
        name: "systemd-252",
        suite: BOOKWORM,
        kind: Kind::Systemd,
    },
    Program {
        name: "systemd-257",
        suite: TRIXIE,
        kind: Kind::Systemd,
    },
    Program {
        name: "busybox-1.30",
        suite: BULLSEYE,
        kind: Kind::Busybox,
    },
    Program {
        name: "busybox-1.35",
        suite: BOOKWORM,
        kind: Kind::Busybox,
    },
    Program {
        name: "busybox-1.37",
        suite: TRIXIE,
        kind: Kind::Busybox,
    },
];
