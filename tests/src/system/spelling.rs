//! The limit under all its names and in all forms, in several files: which one the
//! two programs of a Debian system take, and what ctdrop says of that.

use anyhow::{Context as _, Result, ensure};

use super::{
    foretold::{self, Place, demand_place},
    limit,
    story::Story,
    sysctl::{DEFAULT, MODULES_LOAD, demand},
};
use crate::vm::{DiskGuest, File};

/// Never reboots: what applies settings at boot can be run by hand.
pub(super) static SPELLING: Story = Story {
    name: "spelling",
    about: "aliases, slashes, dashes, masks: status takes the line that systemd and procps take",
    once: true,
    packages: false,
    files: &[MODULES_LOAD],
    run,
};

/// Files, and the line that decides the limit.
struct Layout {
    /// What is to be found out.
    about: &'static str,
    /// The files.
    files: &'static [File],
    /// What decides for `systemd-sysctl`.
    systemd: Place,
    /// What decides for `sysctl --system`.
    procps: Place,
}

/// A file of settings, early in the order.
const EARLY: &str = "/etc/sysctl.d/50-early.conf";

/// A late one.
const LATE: &str = "/etc/sysctl.d/60-late.conf";

/// All of them, each limit of its own value.
const LAYOUTS: [Layout; 9] = [
    Layout {
        about: "one variable has two names",
        files: &[
            (EARLY, "net.netfilter.nf_conntrack_max = 200001\n"),
            (LATE, "net.nf_conntrack_max=200002\n"),
        ],
        systemd: Some((LATE, 1)),
        procps: Some((LATE, 1)),
    },
    Layout {
        about: "slashes, and white space around all",
        files: &[
            (EARLY, "net.netfilter.nf_conntrack_max = 200003\n"),
            (LATE, "\n\t net/netfilter/nf_conntrack_max  =\t200004 \n"),
        ],
        systemd: Some((LATE, 2)),
        procps: Some((LATE, 2)),
    },
    Layout {
        about: "a dash, and comments of both kinds",
        files: &[(
            EARLY,
            "# net.nf_conntrack_max = 1\n; net.nf_conntrack_max = 2\n\
             -net.netfilter.nf_conntrack_max = 200005\n",
        )],
        systemd: Some((EARLY, 3)),
        procps: Some((EARLY, 3)),
    },
    Layout {
        // systemd-sysctl leaves a setting at its place that is only said again.
        about: "what is said twice, with another name between",
        files: &[(
            EARLY,
            "net.netfilter.nf_conntrack_max = 200006\nnet.nf_conntrack_max = 200007\n\
             net.netfilter.nf_conntrack_max = 200006\n",
        )],
        systemd: Some((EARLY, 2)),
        procps: Some((EARLY, 3)),
    },
    Layout {
        about: "a file of the same name masks that of a package, even an empty one",
        files: &[
            (EARLY, "net.netfilter.nf_conntrack_max = 200008\n"),
            (
                "/usr/lib/sysctl.d/50-early.conf",
                "net.netfilter.nf_conntrack_max = 200009\n",
            ),
            (
                "/usr/lib/sysctl.d/60-late.conf",
                "net.netfilter.nf_conntrack_max = 200010\n",
            ),
            (LATE, ""),
        ],
        systemd: Some((EARLY, 1)),
        procps: Some((EARLY, 1)),
    },
    Layout {
        // systemd-sysctl gives the kernel only the last value of a name.
        about: "a number in hexadecimal, then one that is none",
        files: &[
            (EARLY, "net.netfilter.nf_conntrack_max = 0x30d4b\n"),
            (LATE, "net.netfilter.nf_conntrack_max = 200k\n"),
        ],
        systemd: None,
        procps: Some((EARLY, 1)),
    },
    Layout {
        about: "a remark after the number",
        files: &[(EARLY, "net.netfilter.nf_conntrack_max = 200012 # more\n")],
        systemd: Some((EARLY, 1)),
        procps: Some((EARLY, 1)),
    },
    Layout {
        about: "a name that the kernel had before 2.6.20",
        files: &[
            (EARLY, "net.netfilter.nf_conntrack_max = 200013\n"),
            (LATE, "net.ipv4.netfilter.ip_conntrack_max = 200014\n"),
        ],
        systemd: Some((EARLY, 1)),
        procps: Some((EARLY, 1)),
    },
    Layout {
        about: "a backup, and a file that is hidden",
        files: &[
            (
                "/etc/sysctl.d/.hidden.conf",
                "net.nf_conntrack_max = 200015\n",
            ),
            (LATE, "net.netfilter.nf_conntrack_buckets = 65536\n"),
            (
                "/etc/sysctl.d/60-late.conf.bak",
                "net.netfilter.nf_conntrack_max = 200016\n",
            ),
        ],
        systemd: None,
        procps: Some(("/etc/sysctl.d/.hidden.conf", 1)),
    },
];

/// Demands of each program, for each layout, that it does what status says.
fn run(host: &mut DiskGuest) -> Result<()> {
    for layout in &LAYOUTS {
        try_both(host, layout).with_context(|| layout.about)?;
    }
    Ok(())
}

/// Has both programs read the same files.
fn try_both(host: &mut DiskGuest, layout: &Layout) -> Result<()> {
    for (path, text) in layout.files {
        host.write(path, text)?;
    }
    let (value, because) = told(host, "/")?;
    forget(host)?;
    // Both programs fail where they could not set one of the lines.
    host.run(["/usr/lib/systemd/systemd-sysctl"])?;
    demand("by systemd", limit::max(host)?, value)?;
    demand_place(&because, layout.systemd).context("by systemd")?;

    host.succeed(["sh", "-c", SYSV])?;
    let (value, because) = told(host, "/run/sysv")?;
    forget(host)?;
    host.run(["sysctl", "--system"])?;
    demand("by procps", limit::max(host)?, value)?;
    demand_place(&because, layout.procps).context("by procps")?;

    let files = layout.files.iter().map(|(path, _)| *path);
    host.succeed(["rm", "--"].into_iter().chain(files))
        .map(drop)
}

/// The limit at boot that status tells of a tree, and what decides it.
fn told(host: &mut DiskGuest, root: &str) -> Result<(u64, serde_json::Value)> {
    let mut boot = foretold::status(host, root)?["survives"]["boot"].take();
    let value = boot["value"].as_u64();
    let value = value.with_context(|| format!("{root}: no limit in {boot}"))?;
    Ok((value, boot["because"].take()))
}

/// Makes the limit what the module begins with.
fn forget(host: &mut DiskGuest) -> Result<()> {
    let default = format!("net.netfilter.nf_conntrack_max={DEFAULT}");
    host.succeed(["sysctl", "-w", &default])?;
    ensure!(limit::max(host)? == DEFAULT, "the limit cannot be set");
    Ok(())
}

/// Makes a tree with the same settings of a Debian system without systemd, where
/// `sysctl --system` is what sets them at boot.
const SYSV: &str = "
rm -rf /run/sysv
mkdir -p /run/sysv/etc/init.d /run/sysv/usr/lib /run/sysv/run /run/sysv/proc/sys/kernel
cp -a /etc/sysctl.d /run/sysv/etc
cp -a /usr/lib/sysctl.d /run/sysv/usr/lib
cp -L /etc/os-release /run/sysv/etc
[ ! -e /etc/sysctl.conf ] || cp /etc/sysctl.conf /run/sysv/etc
touch /run/sysv/etc/init.d/procps
echo nf_conntrack > /run/sysv/etc/modules
cat /proc/meminfo > /run/sysv/proc/meminfo
cat /proc/sys/kernel/osrelease > /run/sysv/proc/sys/kernel/osrelease
";
