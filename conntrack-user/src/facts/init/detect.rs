//! Which init a tree has: by what `/sbin/init` is, by files that only one of them
//! has, or by the distribution where a copy has neither.

use std::path::Path;

use crate::facts::{
    distribution::{Distribution, Family},
    init::kind::Init,
    reader::Reader,
};

/// Files that only hosts of one kind have, in the order in which they decide.
const MARKS: [(Init, &[&str]); 13] = [
    (
        Init::Synology,
        &["/etc/synoinfo.conf", "/etc.defaults/synoinfo.conf"],
    ),
    (
        Init::Qnap,
        &["/etc/config/uLinux.conf", "/etc/config/qpkg.conf"],
    ),
    (Init::Procd, &["/sbin/procd", "/etc/openwrt_release"]),
    (
        SYSTEMD,
        &[
            "/usr/lib/systemd/systemd",
            "/lib/systemd/systemd",
            "/usr/lib/systemd/systemd-sysctl",
            "/lib/systemd/systemd-sysctl",
        ],
    ),
    (RC_SYSINIT, &["/etc/rc.d/rc.sysinit", "/etc/rc.sysinit"]),
    (
        Init::Upstart,
        &["/sbin/upstart-udev-bridge", "/etc/init/procps.conf"],
    ),
    (
        OPENRC,
        &[
            "/sbin/openrc",
            "/sbin/openrc-run",
            "/usr/bin/openrc",
            "/etc/runlevels",
        ],
    ),
    (Init::Runit, &["/etc/runit/core-services"]),
    (
        Init::S6,
        &[
            "/etc/s6/rc",
            "/etc/s6-rc",
            "/etc/s6-linux-init",
            "/etc/s6/current",
        ],
    ),
    (
        Init::Slackware,
        &["/etc/slackware-version", "/etc/rc.d/rc.S"],
    ),
    (
        Init::SuseBoot,
        &["/etc/init.d/boot.sysctl", "/etc/init.d/boot.d"],
    ),
    (Init::BusyboxInit, &["/etc/init.d/S02sysctl"]),
    (
        Init::Unknown,
        &["/etc/dinit.d", "/lib/dinit.d", "/usr/lib/dinit.d"],
    ),
];

const SYSTEMD: Init = Init::Systemd { version: None };
const RC_SYSINIT: Init = Init::RcSysinit {
    reads_directory: false,
};
const OPENRC: Init = Init::OpenRc { busybox: false };

/// Programs that `/sbin/init` may lead to, each of one init.
const PROGRAMS: [(&str, Init); 7] = [
    ("systemd", SYSTEMD),
    ("upstart", Init::Upstart),
    ("procd", Init::Procd),
    ("openrc-init", OPENRC),
    ("runit-init", Init::Runit),
    ("runit", Init::Runit),
    ("dinit", Init::Unknown),
];

pub(in crate::facts) fn init(reader: &Reader<'_>, distribution: &Distribution) -> Init {
    match kind(reader, distribution) {
        Init::Systemd { .. } => Init::Systemd {
            version: installed_systemd(reader).or_else(|| usual_systemd(distribution)),
        },
        Init::RcSysinit { .. } => rc_sysinit(reader),
        Init::OpenRc { .. } => Init::OpenRc {
            busybox: is_busybox(reader, "/sbin/sysctl"),
        },
        other => other,
    }
}

/// Which one, without what is to be known of it.
fn kind(reader: &Reader<'_>, distribution: &Distribution) -> Init {
    let marked = |marks: &[&str]| marks.iter().any(|path| reader.exists(path));
    let (appliances, others) = MARKS.split_at(3);
    let of = |rows: &[(Init, &[&str])]| {
        let row = rows.iter().find(|(_, marks)| marked(marks));
        row.map(|(init, _)| init.clone())
    };
    // Whatever these are started by, their makers decide what lasts.
    if let Some(appliance) = of(appliances) {
        return appliance;
    }
    if reader.exists("/run/systemd/system") {
        return SYSTEMD;
    }
    if let Some(init) = linked(reader) {
        return init;
    }
    // systemd is there in parts before it starts the host.
    if distribution.family == Family::Ubuntu && (1..15).contains(&distribution.version.0) {
        return Init::Upstart;
    }
    if distribution.family == Family::Debian && is_sysv(reader) {
        return Init::DebianSysV;
    }
    of(others)
        .or_else(|| is_busybox(reader, "/sbin/init").then_some(Init::BusyboxInit))
        .unwrap_or_else(|| of_distribution(reader, distribution))
}

/// By what `/sbin/init` leads to, if that is a program of another name.
fn linked(reader: &Reader<'_>) -> Option<Init> {
    let program = reader.resolve("/sbin/init")?;
    let name = program.file_name()?.to_str()?;
    let known = PROGRAMS.iter().find(|(program, _)| *program == name);
    known.map(|(_, init)| init.clone())
}

/// Whether Debian's scripts start the host: `/sbin/init` is no link then.
fn is_sysv(reader: &Reader<'_>) -> bool {
    let own = reader.resolve("/sbin/init");
    let own = own.is_some_and(|program| program.file_name() == Path::new("init").file_name());
    reader.exists("/etc/init.d/procps") && (own || !has_systemd(reader))
}

fn has_systemd(reader: &Reader<'_>) -> bool {
    let (_, marks) = &MARKS[3];
    marks.iter().any(|path| reader.exists(path)) || reader.exists("/etc/systemd")
}

fn is_busybox(reader: &Reader<'_>, path: &str) -> bool {
    reader
        .resolve(path)
        .is_some_and(|program| program.ends_with("busybox"))
}

/// What a distribution has, for a copy of `/etc` alone.
fn of_distribution(reader: &Reader<'_>, distribution: &Distribution) -> Init {
    let (major, _) = distribution.version;
    match distribution.family {
        Family::EnterpriseLinux if (1..7).contains(&major) => RC_SYSINIT,
        // The first one had the scripts of Enterprise Linux 6.
        Family::Amazon if (2010..2020).contains(&major) => RC_SYSINIT,
        Family::Debian if (1..8).contains(&major) => Init::DebianSysV,
        Family::Suse if (1..12).contains(&major) => Init::SuseBoot,
        Family::EnterpriseLinux
        | Family::Fedora
        | Family::Amazon
        | Family::Debian
        | Family::Ubuntu
        | Family::Arch
        | Family::Suse
        | Family::NixOs => SYSTEMD,
        Family::Alpine | Family::Gentoo => OPENRC,
        Family::Void => Init::Runit,
        Family::Slackware => Init::Slackware,
        Family::OpenWrt => Init::Procd,
        Family::Buildroot => Init::BusyboxInit,
        Family::Other if reader.exists("/etc/systemd") => SYSTEMD,
        Family::Other => Init::Unknown,
    }
}

fn installed_systemd(reader: &Reader<'_>) -> Option<u32> {
    // Debian's, one for each architecture: `x86_64-linux-gnu`, `arm-linux-gnueabihf`.
    let libraries = reader.names("/usr/lib").into_iter();
    let of_architectures = libraries
        .filter(|name| name.contains("-linux-"))
        .map(|name| format!("/usr/lib/{name}/systemd"));
    ["/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd"]
        .into_iter()
        .map(ToOwned::to_owned)
        .chain(of_architectures)
        .flat_map(|directory| reader.names(&directory))
        .find_map(|name| {
            let version = name.strip_prefix("libsystemd-shared-")?;
            let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        })
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

fn rc_sysinit(reader: &Reader<'_>) -> Init {
    // `apply_sysctl` is in a library of functions that it sources.
    let scripts = [
        "/etc/rc.d/rc.sysinit",
        "/etc/rc.sysinit",
        "/etc/rc.d/init.d/functions",
        "/etc/init.d/functions",
    ];
    Init::RcSysinit {
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
