//! The package of Debian on a whole system: it is installed, observes, is upgraded and
//! removed, as an administrator does it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    foretold, limit,
    observed::{best_backend, refused_in},
    packages::DEBS,
    patience,
    story::Story,
    sysctl::demand,
};
use crate::{confine::capabilities_of_unit, vm::DiskGuest};

/// Never reboots.
pub(super) static PACKAGES: Story = Story {
    name: "packages",
    about: "the package: an incident, reload, watchdog, upgrade, downgrade, hook, fixer, removal",
    once: true,
    packages: true,
    files: &[
        (
            "/etc/modprobe.d/small.conf",
            "options nf_conntrack hashsize=512\n",
        ),
        ("/opt/hook", "#!/bin/sh\ncat >> /var/lib/ctdrop/told.json\n"),
    ],
    run,
};

/// The limit that comes of the module's option.
const SMALL: u64 = 4_096;

/// Flows of each flood: fewer than there are entries, so that it is no flood.
const FLOWS: u32 = 3_000;

/// The program as the package has it.
const CTDROP: &str = "/usr/bin/ctdrop";

/// What a request for the metrics is answered.
const METRICS: &str = "exec 3<>/dev/tcp/127.0.0.1/10917; \
    printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";

/// Lists all files of the disk that a package could leave behind.
const LIST: &str = "find /etc /usr /var -xdev | grep -v \
    -e ^/var/lib/dpkg/ -e ^/var/log/ -e ^/var/cache/ -e ^/var/lib/ctdrop \
    -e ^/var/lib/private -e ^/var/lib/systemd/ | sort >";

fn run(host: &mut DiskGuest) -> Result<()> {
    shell(host, &format!("{LIST} /run/before"))?;
    host.succeed(["dpkg", "--install", DEBS[0]])?;
    demand_service(host)?;
    let refused = incident(host)?;
    names_who_sets_the_limit(host)?;
    reload(host)?;
    watchdog(host)?;
    for package in [DEBS[1], DEBS[0]] {
        replace(host, package, refused)?;
    }
    fixer(host)?;
    removal(host)
}

/// The service was started, with only the rights of the unit.
fn demand_service(host: &mut DiskGuest) -> Result<()> {
    for unit in ["ctdrop.service", "ctdrop.socket"] {
        host.succeed(["systemctl", "is-active", unit])?;
        host.succeed(["systemctl", "is-enabled", unit])?;
    }
    for unit in ["ctdrop-fixer.path", "ctdrop-fixer.service"] {
        let state = property(host, unit, "ActiveState")?;
        ensure!(state == "inactive", "{unit} is {state}");
    }
    host.succeed([
        "systemd-analyze",
        "security",
        "--threshold=25",
        "ctdrop.service",
    ])?;
    let pid = property(host, "ctdrop.service", "MainPID")?;
    let status = host.succeed(["cat", &format!("/proc/{pid}/status")])?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
            .with_context(|| format!("no {name} {status}"))
    };
    ensure!(!field("Uid:")?.starts_with("0\t"), "it is root: {status}");
    let wanted = capabilities_of_unit()?;
    for set in ["CapEff:", "CapPrm:", "CapBnd:", "CapAmb:"] {
        let has = u64::from_str_radix(field(set)?, 16)?;
        ensure!(has == wanted, "{set} {has:x}, not {wanted:x}");
    }
    Ok(())
}

/// A full table refuses packets: that is recorded to the packet, told and served, and
/// changes nothing on the host. Returns how many.
fn incident(host: &mut DiskGuest) -> Result<u64> {
    let full = host.fill_table()?;
    demand("the limit", full.max, SMALL)?;
    let observes = format!("observes by {}", best_backend(host)?);
    until(host, "it observes by what root has", |host| {
        Ok(property(host, "ctdrop.service", "StatusText")?.starts_with(&observes))
    })?;
    let refused = host.flood(FLOWS)?.refused - full.refused;
    until(host, "the incident is recorded", |host| {
        Ok(recorded(host)? == refused)
    })?;
    until(host, "the incident is told", |host| {
        let told = property(host, "ctdrop.service", "StatusText")?;
        Ok(told.ends_with("1 incident open"))
    })?;
    let sample = format!("ctdrop_refused_packets_total{{reason=\"table_full\"}} {refused}\n");
    until(host, "the metrics have it", |host| {
        let metrics = host.run(["bash", "-c", METRICS])?.stdout;
        Ok(metrics.contains(&sample) && metrics.ends_with("# EOF\n"))
    })?;
    demand("nobody is asked for a fix", limit::max(host)?, SMALL)?;
    Ok(refused)
}

/// The service has another mount of /proc and another network namespace. It still sees who writes
/// the limit.
fn names_who_sets_the_limit(host: &mut DiskGuest) -> Result<()> {
    let set = |max: u64| format!("net.netfilter.nf_conntrack_max={max}");
    host.succeed(["sysctl", "-w", &set(SMALL + 8)])?;
    until(host, "it is told who has set the limit", |host| {
        let told = journal(host)?;
        Ok(told
            .lines()
            .any(|line| line.contains("sysctl") && line.contains("4,104")))
    })?;
    host.succeed(["sysctl", "-w", &set(SMALL)]).map(drop)
}

/// A reload applies what it can, and says what needs a restart.
fn reload(host: &mut DiskGuest) -> Result<()> {
    let settings = "[evidence]\nmax_age = \"30days\"\n[output]\nformat = \"json\"\n\
                    [hooks]\nexec = \"/opt/hook\"\n";
    host.succeed(["chmod", "755", "/opt/hook"])?;
    host.write("/etc/ctdrop/config.toml", settings)?;
    host.succeed(["systemctl", "reload", "ctdrop"])?;
    until(host, "the reload is told", |host| {
        let told = journal(host)?;
        let says = |one: &str, other: &str| {
            told.lines()
                .any(|line| line.contains(one) && line.contains(other))
        };
        Ok(says("evidence.max_age", "30days")
            && says("output.format", "only a restart")
            && says("hooks.exec", "only a restart"))
    })
}

/// The watchdog restarts a service that hangs.
fn watchdog(host: &mut DiskGuest) -> Result<()> {
    let before = property(host, "ctdrop.service", "MainPID")?;
    host.succeed(["kill", "-STOP", &before])?;
    until(host, "another one runs", |host| {
        let state = property(host, "ctdrop.service", "ActiveState")?;
        let pid = property(host, "ctdrop.service", "MainPID")?;
        Ok(state == "active" && pid != before && pid != "0")
    })?;
    let restarts = property(host, "ctdrop.service", "NRestarts")?;
    ensure!(restarts == "1", "{restarts} restarts");
    let told = journal(host)?;
    ensure!(
        told.to_lowercase().contains("watchdog"),
        "no watchdog: {told}"
    );
    Ok(())
}

/// Another version restarts the service, and finds the evidence.
fn replace(host: &mut DiskGuest, package: &str, refused: u64) -> Result<()> {
    let before = property(host, "ctdrop.service", "MainPID")?;
    host.succeed(["dpkg", "--install", "--force-confold", package])?;
    let installed = host.succeed(["dpkg-query", "-W", "-f", "${Version}", "ctdrop"])?;
    let revision = if package == DEBS[0] { "-1" } else { "-2" };
    ensure!(installed.ends_with(revision), "{installed} of {package}");
    let after = property(host, "ctdrop.service", "MainPID")?;
    ensure!(after != before, "{package} has restarted nothing");
    host.succeed(["systemctl", "is-active", "ctdrop.service", "ctdrop.socket"])?;
    demand("the evidence", recorded(host)?, refused)
}

/// The hook has run in the sandbox of the service, once for the opening of each incident since the
/// restart.
fn hook(host: &mut DiskGuest) -> Result<()> {
    let opened = |host: &mut DiskGuest| {
        let told = host.run(["cat", "/var/lib/ctdrop/told.json"])?.stdout;
        let told = told.lines().map(serde_json::from_str::<Value>);
        let mut told = told.collect::<Result<Vec<_>, _>>()?;
        told.retain(|it| it["action"] == "opened");
        anyhow::Ok(told)
    };
    until(host, "the hook has run", |host| {
        Ok(!opened(host)?.is_empty())
    })?;
    let opened = opened(host)?;
    let incidents = opened.iter().map(|it| it["incident"].to_string());
    let different: BTreeSet<String> = incidents.collect();
    ensure!(different.len() == opened.len(), "{opened:#?}");
    let told = journal(host)?;
    let exited =
        |line: &str| line.contains("\"type\":\"hook\"") && line.contains("\"exit_status\":0");
    ensure!(told.lines().any(exited), "no run of the hook: {told}");
    Ok(())
}

/// Once somebody has enabled it, an incident raises the limit for good; undo takes it back.
fn fixer(host: &mut DiskGuest) -> Result<()> {
    host.succeed(["systemctl", "enable", "--now", "ctdrop-fixer.path"])?;
    until(host, "it observes", |host| {
        let told = property(host, "ctdrop.service", "StatusText")?;
        Ok(told.starts_with("observes by "))
    })?;
    host.flood(FLOWS)?;
    hook(host)?;
    until(host, "the limit is raised", |host| {
        Ok(limit::max(host)? > SMALL)
    })?;
    until(host, "the fixer has ended", |host| {
        Ok(property(host, "ctdrop-fixer.service", "ActiveState")? == "inactive")
    })?;
    let raised = limit::max(host)?;
    let survives = &foretold::status(host, "/")?["survives"]["boot"]["value"];
    ensure!(*survives == raised, "{survives} after a boot, not {raised}");
    // The old limit must have room for what is in the table.
    host.forget_table()?;
    host.succeed([CTDROP, "undo"])?;
    demand("after undo", limit::max(host)?, SMALL)
}

/// Removal leaves settings and evidence, and purge the evidence.
fn removal(host: &mut DiskGuest) -> Result<()> {
    host.succeed(["dpkg", "--remove", "ctdrop"])?;
    let gone = host.run(["systemctl", "is-active", "ctdrop.service", "ctdrop.socket"])?;
    ensure!(
        !gone.stdout.lines().any(|line| line == "active"),
        "{gone:?}"
    );
    for (path, is_there) in [
        (CTDROP, false),
        ("/etc/ctdrop/config.toml", true),
        ("/var/lib/ctdrop/ctdrop.db", true),
    ] {
        let found = host.run(["test", "-e", path])?.code == Some(0);
        ensure!(found == is_there, "{path}: {found} after the removal");
    }
    host.succeed(["dpkg", "--purge", "ctdrop"])?;
    host.succeed(["test", "-e", "/var/lib/ctdrop/ctdrop.db"])?;
    shell(host, &format!("{LIST} /run/after"))?;
    let differing = host.run(["diff", "/run/before", "/run/after"])?;
    ensure!(
        differing.code == Some(0),
        "left or lost: {}",
        differing.stdout
    );
    let failed = host.succeed(["systemctl", "--failed", "--plain", "--no-legend"])?;
    ensure!(failed.trim().is_empty(), "{failed}");
    Ok(())
}

/// Packets of all incidents that are recorded.
fn recorded(host: &mut DiskGuest) -> Result<u64> {
    refused_in(&shell(host, &format!("{CTDROP} incidents -o json"))?)
}

/// What the service has told.
fn journal(host: &mut DiskGuest) -> Result<String> {
    host.succeed(["journalctl", "--sync"])?;
    host.succeed(["journalctl", "--unit=ctdrop.service", "--output=cat"])
}

fn property(host: &mut DiskGuest, unit: &str, name: &str) -> Result<String> {
    let value = host.succeed(["systemctl", "show", "--value", "--property", name, unit])?;
    Ok(value.trim().to_owned())
}

fn shell(host: &mut DiskGuest, script: &str) -> Result<String> {
    host.succeed(["sh", "-c", script])
}

/// Waits for something that comes soon.
fn until(
    host: &mut DiskGuest,
    what: &str,
    is_so: impl Fn(&mut DiskGuest) -> Result<bool>,
) -> Result<()> {
    patience::until(
        host,
        what,
        "journalctl '--unit=ctdrop*' --output=cat",
        is_so,
    )
}
