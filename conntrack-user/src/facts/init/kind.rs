//! The inits that are known: how each is named, and what it can be told.

use serde::Serialize;

use crate::facts::{
    init::procps::Procps,
    sysctl::{Dialect, Readers},
};

/// What starts the host, and with it what sets sysctls. Each is described in
/// docs/platforms.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "init")]
pub enum Init {
    /// systemd: `systemd-sysctl.service`, after `systemd-modules-load.service`.
    Systemd {
        /// Its version, if that is known.
        version: Option<u32>,
    },
    /// `rc.sysinit` of Enterprise Linux 5 and 6; `network` sets them again.
    RcSysinit {
        /// Whether it reads `/etc/sysctl.d`, too.
        reads_directory: bool,
    },
    /// Scripts of Debian and its kin without systemd: `/etc/init.d/procps`.
    DebianSysV,
    /// `OpenRC`: Alpine, Gentoo and others.
    OpenRc {
        /// Whether the `sysctl` in use is that of busybox.
        busybox: bool,
    },
    /// runit, as Void Linux and Artix have it.
    Runit,
    /// Upstart, as Ubuntu had it until 14.10: the job `procps` sets sysctls when
    /// file systems are there, and again when the network is up.
    Upstart,
    /// procd of `OpenWrt`: `kmodloader`, then `/etc/init.d/sysctl`.
    Procd,
    /// The init of busybox with scripts `/etc/init.d/S*`, as Buildroot makes it.
    BusyboxInit,
    /// s6, with s6-rc or 66.
    S6,
    /// `rc.S` of Slackware.
    Slackware,
    /// `boot.sysctl` of SUSE before systemd.
    SuseBoot,
    /// DSM of Synology, which makes `/etc` anew: only a start script lasts.
    Synology,
    /// QTS of QNAP, whose root is in memory: only a start script lasts.
    Qnap,
    /// Another one. What it applies is not known.
    Unknown,
}

/// Where a module is named so that it is loaded before settings are applied at
/// boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyList {
    /// In a line of this file.
    Lines(&'static str),
    /// In a file of this directory, a name a line.
    Directory(&'static str),
    /// In an executable script in this directory, whose name is made of the
    /// module's name between these two.
    Script(&'static str, &'static str),
    /// Nowhere that is known.
    None,
}

impl Init {
    /// All of them, for what must be complete.
    pub const ALL: [Self; 14] = [
        Self::Systemd { version: None },
        Self::RcSysinit {
            reads_directory: true,
        },
        Self::DebianSysV,
        Self::OpenRc { busybox: true },
        Self::Runit,
        Self::Upstart,
        Self::Procd,
        Self::BusyboxInit,
        Self::S6,
        Self::Slackware,
        Self::SuseBoot,
        Self::Synology,
        Self::Qnap,
        Self::Unknown,
    ];

    /// What to call it in a sentence; the first column of docs/platforms.md.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Systemd { .. } => "systemd",
            Self::RcSysinit { .. } => "rc.sysinit",
            Self::DebianSysV => "System V init of Debian",
            Self::OpenRc { .. } => "OpenRC",
            Self::Runit => "runit",
            Self::Upstart => "Upstart",
            Self::Procd => "procd (OpenWrt)",
            Self::BusyboxInit => "busybox init",
            Self::S6 => "s6",
            Self::Slackware => "rc.S of Slackware",
            Self::SuseBoot => "boot.sysctl of SUSE",
            Self::Synology => "DSM of Synology",
            Self::Qnap => "QTS of QNAP",
            Self::Unknown => "an init that ctdrop does not know",
        }
    }

    /// Whether systemd starts the host.
    pub const fn is_systemd(&self) -> bool {
        matches!(self, Self::Systemd { .. })
    }

    /// Whether the `sysctl` command is that of busybox.
    pub const fn uses_busybox(&self) -> bool {
        matches!(
            self,
            Self::OpenRc { busybox: true } | Self::Procd | Self::BusyboxInit
        )
    }

    /// Whether a `-` before a key is known to what sets sysctls at boot.
    pub fn knows_dash(&self, procps: Procps) -> bool {
        match self {
            // It came with 244.
            Self::Systemd { version } => version.is_none_or(|version| version >= 244),
            init => procps.knows_dash && !init.uses_busybox(),
        }
    }

    /// How files of sysctls are read.
    pub const fn readers(&self, procps: Procps) -> Readers {
        let command = if self.uses_busybox() {
            Dialect::Busybox
        } else {
            procps.dialect()
        };
        let boot = match self {
            Self::Systemd { version } => Dialect::Systemd(*version),
            _ => command,
        };
        Readers { boot, command }
    }

    /// Where a module is named to be loaded early.
    pub const fn early_list(&self) -> EarlyList {
        match self {
            Self::Systemd { .. } | Self::Runit => EarlyList::Directory("/etc/modules-load.d"),
            Self::DebianSysV | Self::OpenRc { .. } | Self::Upstart => {
                EarlyList::Lines("/etc/modules")
            }
            Self::RcSysinit { .. } => EarlyList::Script("/etc/sysconfig/modules/", ".modules"),
            Self::Procd => EarlyList::Lines("/etc/modules.d/ctdrop"),
            // Scripts run by name: before S02sysctl.
            Self::BusyboxInit => EarlyList::Script("/etc/init.d/S01", ""),
            Self::S6
            | Self::Slackware
            | Self::SuseBoot
            | Self::Synology
            | Self::Qnap
            | Self::Unknown => EarlyList::None,
        }
    }

    /// The script that an administrator may make so that it runs at each boot,
    /// where nothing applies files of sysctls; in words if its place depends.
    pub const fn start_script(&self) -> &'static str {
        match self {
            Self::Synology => "/usr/local/etc/rc.d/ctdrop.sh (executable)",
            Self::Qnap => "autorun.sh on the configuration partition of the system's flash disk",
            Self::Slackware => "/etc/rc.d/rc.local (executable)",
            _ => "a script that this host runs at each boot",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;

    const PAGE: &str = include_str!("../../../../docs/platforms.md");

    /// The first column of the table of inits.
    fn listed() -> Vec<&'static str> {
        let table = PAGE.split("## Inits").nth(1).unwrap();
        let rows = table.lines().skip_while(|line| !line.starts_with("| ---"));
        let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
        rows.map(|row| row.split('|').nth(1).unwrap().trim())
            .collect()
    }

    #[test]
    fn each_init_is_described() {
        let names: Vec<&str> = Init::ALL.iter().map(Init::name).collect();
        assert_eq!(listed(), names);
    }

    #[test]
    fn none_is_left_out() {
        for (at, init) in Init::ALL.iter().enumerate() {
            let others = &Init::ALL[at + 1..];
            let same = |other: &Init| discriminant(init) == discriminant(other);
            assert!(!others.iter().any(same), "{init:?}");
        }
    }

    /// Each tree and test that the page names is there.
    #[test]
    fn what_shows_it_is_there() {
        let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let trees: Vec<String> = std::fs::read_dir(tests.join("trees"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let rows = PAGE.lines().filter(|line| line.starts_with("| "));
        for row in rows {
            let shown = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
            for name in shown.split('`').skip(1).step_by(2) {
                let found = match name.strip_suffix('*') {
                    Some(begin) => trees.iter().any(|tree| tree.starts_with(begin)),
                    None => trees.iter().any(|tree| tree == name),
                };
                let test = name.strip_prefix("tests/");
                let found = found || test.is_some_and(|test| tests.join(test).exists());
                let found = found || tests.join("../src").join(name).exists();
                assert!(found, "{name} in: {row}");
            }
        }
    }
}
