//! What sets sysctls at boot, and how it reads the files.

use serde::Serialize;

use crate::facts::{
    distribution::{Distribution, Family},
    reader::Reader,
};

/// What starts the host, and with it what sets sysctls.
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
    /// Scripts of Debian and its kin without systemd: `sysctl --system`.
    DebianSysV,
    /// `OpenRC`.
    OpenRc {
        /// Whether the `sysctl` in use is that of busybox.
        busybox: bool,
    },
    /// runit, as Void Linux has it.
    Runit,
}

/// Which forms of a setting the `sysctl` command of this host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Procps {
    /// Whether a `-` before a key means that failures are ignored (3.3.16).
    pub knows_dash: bool,
    /// Whether `/etc` masks `/run`, as with systemd (3.3.17); before, it is the
    /// other way round.
    pub etc_before_run: bool,
}

impl Init {
    /// Whether systemd starts the host.
    pub const fn is_systemd(&self) -> bool {
        matches!(self, Self::Systemd { .. })
    }

    pub(super) fn read(reader: &Reader<'_>, distribution: &Distribution) -> Self {
        let any = |paths: &[&str]| paths.iter().any(|path| reader.exists(path));
        if any(&[
            "/usr/lib/systemd/systemd",
            "/lib/systemd/systemd",
            "/usr/lib/systemd/systemd-sysctl",
            "/lib/systemd/systemd-sysctl",
            "/run/systemd/system",
        ]) {
            return Self::systemd(reader, distribution);
        }
        if any(&["/etc/rc.d/rc.sysinit", "/etc/rc.sysinit"]) {
            return Self::rc_sysinit(reader);
        }
        if any(&[
            "/sbin/openrc",
            "/sbin/openrc-run",
            "/usr/bin/openrc",
            "/etc/runlevels",
        ]) {
            let busybox = reader
                .resolve("/sbin/sysctl")
                .is_some_and(|file| file.ends_with("busybox"));
            return Self::OpenRc { busybox };
        }
        if any(&["/etc/runit/core-services"]) {
            return Self::Runit;
        }
        // Of a copy of /etc alone, the distribution tells.
        if distribution.is_el(5) || distribution.is_el(6) {
            return Self::rc_sysinit(reader);
        }
        if distribution.family == Family::Debian
            && any(&["/etc/init.d/procps"])
            && !any(&["/etc/systemd"])
        {
            return Self::DebianSysV;
        }
        Self::systemd(reader, distribution)
    }

    fn systemd(reader: &Reader<'_>, distribution: &Distribution) -> Self {
        let shared = [
            "/usr/lib/systemd",
            "/lib/systemd",
            "/usr/lib/x86_64-linux-gnu/systemd",
            "/usr/lib64/systemd",
        ];
        let installed = shared
            .into_iter()
            .flat_map(|directory| reader.names(directory))
            .find_map(|name| {
                let version = name.strip_prefix("libsystemd-shared-")?;
                let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse().ok()
            });
        Self::Systemd {
            version: installed.or_else(|| usual_systemd(distribution)),
        }
    }

    fn rc_sysinit(reader: &Reader<'_>) -> Self {
        // `apply_sysctl` is in a library of functions that it sources.
        let scripts = [
            "/etc/rc.d/rc.sysinit",
            "/etc/rc.sysinit",
            "/etc/rc.d/init.d/functions",
            "/etc/init.d/functions",
        ];
        Self::RcSysinit {
            reads_directory: scripts.into_iter().any(|script| {
                reader.text(script).is_some_and(|found| {
                    found.lines().any(|(_, line)| {
                        let code = line.trim_start();
                        !code.starts_with('#') && code.contains("sysctl.d")
                    })
                })
            }),
        }
    }

    /// Whether a `-` before a key is known to what sets sysctls at boot.
    pub fn knows_dash(&self, procps: Procps) -> bool {
        match self {
            // It came with 244.
            Self::Systemd { version } => version.is_none_or(|version| version >= 244),
            Self::OpenRc { busybox: true } => false,
            _ => procps.knows_dash,
        }
    }
}

impl Procps {
    /// By what the distribution has.
    pub fn of(distribution: &Distribution) -> Self {
        let (major, _) = distribution.version;
        let since = |knows_dash, etc_before_run| Self {
            knows_dash: major == 0 || major >= knows_dash,
            etc_before_run: major == 0 || major >= etc_before_run,
        };
        match distribution.family {
            Family::EnterpriseLinux => since(9, 9),
            Family::Debian => since(11, 11),
            Family::Ubuntu => since(20, 22),
            Family::Amazon => since(2023, 2023),
            _ => since(0, 0),
        }
    }
}

fn usual_systemd(distribution: &Distribution) -> Option<u32> {
    Some(match (distribution.family, distribution.version.0) {
        (Family::EnterpriseLinux, 7) => 219,
        (Family::EnterpriseLinux, 8) => 239,
        (Family::Debian, 10) => 241,
        (Family::Debian, 11) => 247,
        (Family::EnterpriseLinux, 9) | (Family::Debian, 12) => 252,
        (Family::Debian, 13) => 257,
        (Family::Ubuntu, 18) => 237,
        (Family::Ubuntu, 20) => 245,
        (Family::Ubuntu, 22) => 249,
        (Family::Ubuntu, 24) => 255,
        _ => return None,
    })
}
