//! The scripts that set sysctls at boot on Debian, run in a chroot of Debian's own
//! packages, and what `ctdrop status` foretells of the same tree: the script of procps,
//! which System V init and `OpenRC` start there, and ufw's. The limit is a plain file in
//! the chroot: nothing of this machine's kernel is set.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, ensure};
use ctdrop_tests::host;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use tempfile::TempDir;

/// What a chroot is made of; procps comes with all that it depends on.
const PACKAGES: [&str; 5] = ["procps", "dash", "grep", "coreutils", "sysvinit-utils"];

/// Taken without what it depends on: Python, and iptables, which has no place here.
const ALONE: [&str; 2] = ["ufw", "openrc"];

/// The limit, as a file of the chroot.
const LIMIT: &str = "proc/sys/net/netfilter/nf_conntrack_max";

/// What the limit is before a script runs.
const BEFORE: &str = "262144";

/// Programs that load rules and modules: nothing of that is tried here.
const STUBS: [&str; 6] = [
    "iptables",
    "ip6tables",
    "iptables-restore",
    "ip6tables-restore",
    "modprobe",
    "lsmod",
];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let trials = match not_here()? {
        Some(why) => vec![
            Trial::test("boot_scripts", || Ok(()))
                .with_kind(format!("skipped: {why}"))
                .with_ignored_flag(true),
        ],
        None => trials(),
    };
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// Why nothing can be tried here.
fn not_here() -> Result<Option<&'static str>> {
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    Ok(if env::var_os("CTDROP_BIN").is_none() {
        Some("run `cargo xtask test`")
    } else if !host::Facts::gather()?.root {
        Some("a chroot needs root")
    } else if !has("apt-get") || !has("dpkg-deb") {
        Some("Debian's packages need apt-get and dpkg-deb")
    } else {
        None
    })
}

/// Settings of files, by their paths.
type Files = &'static [(&'static str, &'static str)];

/// Trees for the script of procps.
const PROCPS: [(&str, Files); 7] = [
    ("nothing", &[]),
    (
        "a_file",
        &[(
            "etc/sysctl.d/50-a.conf",
            "net.netfilter.nf_conntrack_max = 300001\n",
        )],
    ),
    (
        "the_last_name_wins",
        &[
            (
                "etc/sysctl.d/90-a.conf",
                "net.netfilter.nf_conntrack_max=300001\n",
            ),
            (
                "usr/lib/sysctl.d/95-b.conf",
                "net/netfilter/nf_conntrack_max = 300002\n",
            ),
        ],
    ),
    (
        "the_file_wins_over_the_directory",
        &[
            (
                "etc/sysctl.conf",
                "net.netfilter.nf_conntrack_max = 300001\n",
            ),
            (
                "etc/sysctl.d/zz.conf",
                "net.netfilter.nf_conntrack_max = 300002\n",
            ),
        ],
    ),
    (
        "etc_masks_packages",
        &[
            ("etc/sysctl.d/50-a.conf", "# nothing\n"),
            (
                "usr/lib/sysctl.d/50-a.conf",
                "net.netfilter.nf_conntrack_max = 300002\n",
            ),
        ],
    ),
    (
        "etc_masks_run",
        &[
            (
                "etc/sysctl.d/50-a.conf",
                "net.netfilter.nf_conntrack_max = 300001\n",
            ),
            (
                "run/sysctl.d/50-a.conf",
                "net.netfilter.nf_conntrack_max = 300002\n",
            ),
        ],
    ),
    (
        "other_names_are_not_read",
        &[
            (
                "etc/sysctl.d/50-a.conf",
                "net.netfilter.nf_conntrack_max = 300001\n",
            ),
            (
                "etc/sysctl.d/60-b.conf.bak",
                "net.netfilter.nf_conntrack_max = 300002\n",
            ),
        ],
    ),
];

const UFW_SETS: (&str, &str) = (
    "etc/ufw/sysctl.conf",
    "# x\nnet/netfilter/nf_conntrack_max=131072\n",
);

/// Trees for ufw.
const UFW: [(&str, Files); 8] = [
    (
        "enabled",
        &[UFW_SETS, ("etc/ufw/ufw.conf", "ENABLED=yes\n")],
    ),
    (
        "quoted",
        &[UFW_SETS, ("etc/ufw/ufw.conf", "ENABLED=\"YES\"\n")],
    ),
    (
        "disabled",
        &[UFW_SETS, ("etc/ufw/ufw.conf", "ENABLED=no\n")],
    ),
    (
        "another_file",
        &[
            UFW_SETS,
            ("etc/ufw/ufw.conf", "ENABLED=yes\n"),
            ("etc/default/ufw", "IPT_SYSCTL=/etc/sysctl.d/50-own.conf\n"),
            (
                "etc/sysctl.d/50-own.conf",
                "net.netfilter.nf_conntrack_max = 300001\n",
            ),
        ],
    ),
    (
        "no_file",
        &[
            UFW_SETS,
            ("etc/ufw/ufw.conf", "ENABLED=yes\n"),
            ("etc/default/ufw", "IPT_SYSCTL=\n"),
        ],
    ),
    (
        "its_configuration_counts_after_the_defaults",
        &[
            UFW_SETS,
            (
                "etc/ufw/ufw.conf",
                "ENABLED=yes\nIPT_SYSCTL=/etc/own.conf\n",
            ),
            (
                "etc/default/ufw",
                "ENABLED=no\nIPT_SYSCTL=/etc/ufw/sysctl.conf\n",
            ),
            ("etc/own.conf", "net.netfilter.nf_conntrack_max = 300001\n"),
        ],
    ),
    (
        "carriage_returns_in_the_configuration",
        &[
            UFW_SETS,
            ("etc/ufw/ufw.conf", "ENABLED=yes\r\nLOGLEVEL=low\r\n"),
        ],
    ),
    (
        "carriage_returns_in_the_defaults",
        &[
            UFW_SETS,
            ("etc/ufw/ufw.conf", "ENABLED=yes\n"),
            (
                "etc/default/ufw",
                "IPV6=yes\r\nIPT_SYSCTL=/etc/ufw/sysctl.conf\r\nIPT_MODULES=\"\"\r\n",
            ),
        ],
    ),
];

fn trials() -> Vec<Trial> {
    let procps = PROCPS.iter().map(|&(name, files)| {
        Trial::test(format!("procps::{name}"), move || {
            judged(files, "boot", &["/bin/sh", "/etc/init.d/procps", "start"])
        })
    });
    let ufw = UFW.iter().map(|&(name, files)| {
        Trial::test(format!("ufw::{name}"), move || {
            judged(
                files,
                "service_restart",
                &["/bin/sh", "/lib/ufw/ufw-init", "start"],
            )
        })
    });
    procps.chain(ufw).collect()
}

/// Runs a script in a chroot with these files, and demands that it leads to the limit
/// that `ctdrop status` tells of the tree.
fn judged(files: Files, event: &str, script: &[&str]) -> Result<(), Failed> {
    let host = Chroot::with(files).map_err(|error| text(&error))?;
    let told = host.told(event).map_err(|error| text(&error))?;
    let (leads_to, said) = host.run(script).map_err(|error| text(&error))?;
    let fits = told.as_deref() == Some(&leads_to);
    if fits {
        return Ok(());
    }
    Err(format!("the script leads to {leads_to}, told {told:?}; it said: {said}").into())
}

fn text(error: &anyhow::Error) -> Failed {
    format!("{error:#}").into()
}

/// A root of Debian's packages, with nothing of this machine.
struct Chroot(TempDir);

impl Chroot {
    fn with(files: Files) -> Result<Self> {
        let host = Self(tempfile::tempdir()?);
        // Hard links: what is written takes the place of one.
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--link", "--no-target-directory"])
            .arg(unpacked()?)
            .arg(host.0.path());
        succeeded(&mut copy)?;
        for (path, content) in [
            ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
            ("etc/modules", "nf_conntrack\n"),
            ("sbin/init", ""),
            ("dev/null", ""),
            ("proc/meminfo", "MemTotal: 16384000 kB\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-25-amd64\n"),
            (LIMIT, BEFORE),
            ("proc/sys/net/netfilter/nf_conntrack_buckets", BEFORE),
        ] {
            host.write(path, content)?;
        }
        for program in STUBS {
            host.write(&format!("sbin/{program}"), "#!/bin/sh\nexit 1\n")?;
        }
        // Restoring rules is to succeed.
        for program in ["iptables-restore", "ip6tables-restore"] {
            host.write(&format!("sbin/{program}"), "#!/bin/sh\nexit 0\n")?;
        }
        host.link("../init.d/procps", "etc/rcS.d/S13procps")?;
        for (path, content) in files {
            host.write(path, content)?;
        }
        Ok(host)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, content: &str) -> Result<()> {
        let path = self.at(path);
        let directory = path.parent().context("it has a directory")?;
        fs::create_dir_all(directory)?;
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        fs::write(&path, content)?;
        Ok(fs::set_permissions(&path, Permissions::from_mode(0o755))?)
    }

    fn link(&self, target: &str, path: &str) -> Result<()> {
        let path = self.at(path);
        fs::create_dir_all(path.parent().context("it has a directory")?)?;
        Ok(symlink(target, path)?)
    }

    /// What `ctdrop status` says that an event leads to.
    fn told(&self, event: &str) -> Result<Option<String>> {
        let program = env::var_os("CTDROP_BIN").context("CTDROP_BIN is not set")?;
        let mut status = Command::new(program);
        status
            .args(["status", "-o", "json", "--root"])
            .arg(self.0.path());
        let said = status.output().context("cannot run ctdrop")?;
        let report: Value = serde_json::from_slice(&said.stdout)
            .with_context(|| String::from_utf8_lossy(&said.stderr).into_owned())?;
        let value = &report["survives"][event]["value"];
        Ok(value.as_u64().map(|value| value.to_string()))
    }

    /// Runs a command there, in namespaces of its own, and gives the limit afterwards and
    /// what the command said.
    fn run(&self, command: &[&str]) -> Result<(String, String)> {
        let mut unshare = Command::new("unshare");
        unshare
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "chroot",
            ])
            .arg(self.0.path())
            .args(command)
            .env_clear()
            .env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin");
        let output = unshare.output().context("cannot run unshare")?;
        let limit = fs::read_to_string(self.at(LIMIT))?;
        Ok((limit.trim().to_owned(), said(&output)))
    }
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn succeeded(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", said(&output));
    Ok(output)
}

/// The packages, fetched and unpacked once.
fn unpacked() -> Result<&'static Path> {
    static UNPACKED: OnceLock<Result<TempDir, String>> = OnceLock::new();
    let unpacked = UNPACKED.get_or_init(|| unpack().map_err(|error| format!("{error:#}")));
    let directory = unpacked
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(directory.path())
}

/// Unpacks the packages into one directory, and adds the links that they rely on.
fn unpack() -> Result<TempDir> {
    let root = tempfile::tempdir()?;
    let (_fetched, packages) = fetch()?;
    for package in packages {
        let mut extract = Command::new("dpkg-deb");
        extract.arg("--extract").arg(package).arg(root.path());
        succeeded(&mut extract)?;
    }
    for directory in ["bin", "sbin", "lib", "lib64"] {
        let link = root.path().join(directory);
        if !link.exists() && root.path().join("usr").join(directory).exists() {
            symlink(format!("usr/{directory}"), link)?;
        }
    }
    let sh = root.path().join("bin/sh");
    if sh.symlink_metadata().is_err() {
        symlink("dash", sh)?;
    }
    Ok(root)
}

/// Fetches the packages with lists and a state of apt of their own.
fn fetch() -> Result<(TempDir, Vec<PathBuf>)> {
    let directory = tempfile::tempdir()?;
    let at = |below: &str| directory.path().join(below);
    for below in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(at(below))?;
    }
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        for (option, value) in [
            ("Dir::State::lists", at("lists").display().to_string()),
            ("Dir::State::status", "/dev/null".to_owned()),
            ("Dir::Cache", at("cache").display().to_string()),
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
        ] {
            command.args(["-o", &format!("{option}={value}")]);
        }
        command.args(arguments).current_dir(at("cache/archives"));
        succeeded(&mut command).map(drop)
    };
    apt_get(&["--quiet", "update"])?;
    let install = [
        "--quiet",
        "--yes",
        "--download-only",
        "--no-install-recommends",
        "install",
    ];
    apt_get(&[install.as_slice(), &PACKAGES].concat())?;
    apt_get(&[["--quiet", "download"].as_slice(), &ALONE].concat())?;
    let mut packages = Vec::new();
    for entry in fs::read_dir(at("cache/archives"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == "deb") {
            packages.push(path);
        }
    }
    packages.sort();
    Ok((directory, packages))
}
