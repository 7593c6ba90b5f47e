//! This machine's own kernel as a place for scenarios.

use std::{
    env, fs,
    io::{Read as _, Seek as _},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    stage::Scenario,
    vm::{Binaries, LIMIT, packages},
    watch::signal,
};

/// What tests and commands call this machine's kernel.
pub const NAME: &str = "host";

/// The first kernel whose `skb:kfree_skb` tells the reason of a drop:
/// <https://git.kernel.org/torvalds/c/c504e5c2f964>
const FIRST: (u32, u32) = (5, 17);

/// What matters about this machine.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether this process may load programs and make network namespaces.
    pub root: bool,
    /// The kernel's release, such as `6.18.44`.
    pub release: String,
    /// Whether the kernel shows its BTF.
    pub btf: bool,
    /// Whether connection tracking is built in or loaded.
    pub conntrack: bool,
}

/// Whether scenarios can run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They can.
    Runs,
    /// They cannot, and nothing is wrong with that.
    Skipped(String),
    /// They cannot although this kernel should let them.
    Broken(String),
}

impl Facts {
    /// Looks at this machine.
    pub fn gather() -> Result<Self> {
        // SAFETY: geteuid has no arguments and cannot fail.
        let root = unsafe { libc::geteuid() } == 0;
        let release = fs::read_to_string("/proc/sys/kernel/osrelease");
        Ok(Self {
            root,
            release: release
                .context("cannot read the kernel's release")?
                .trim()
                .to_owned(),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            conntrack: Path::new("/proc/sys/net/netfilter/nf_conntrack_max").exists(),
        })
    }

    /// Decides whether scenarios can run.
    pub fn standing(&self) -> Standing {
        let Self {
            root,
            release,
            btf,
            conntrack,
        } = self;
        match version(release) {
            None => Standing::Broken(format!("the kernel calls itself {release}")),
            Some(version) if version < FIRST => {
                Standing::Skipped(format!("kernel {release} gives no reason in skb:kfree_skb"))
            }
            Some(_) if !root => Standing::Skipped("not root".to_owned()),
            Some(_) if !conntrack => Standing::Skipped(
                "nf_conntrack is not loaded, and tests leave the modules of this machine alone"
                    .to_owned(),
            ),
            Some(_) if !btf => Standing::Broken(format!(
                "kernel {release} shows no /sys/kernel/btf/vmlinux: is /sys mounted?"
            )),
            Some(_) => Standing::Runs,
        }
    }
}

/// Major and minor number of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Runs a scenario on this machine in a process of its own, so that namespaces
/// it enters and programs it attaches end with it.
pub fn run(scenario: &Scenario, binaries: &Binaries) -> Result<()> {
    let mut command = Command::new("timeout");
    command
        .arg("--kill-after=5")
        .arg(LIMIT.as_secs().to_string())
        .arg(&binaries.init)
        .args(["here", scenario.name, "--ctdrop"])
        .arg(&binaries.ctdrop);
    if let Some(program) = packages::program(scenario)? {
        let path = env::var("PATH").unwrap_or_default();
        let directory = program.parent().unwrap_or(Path::new("."));
        command.env("PATH", format!("{path}:{}", directory.display()));
    }
    let mut output = tempfile::tempfile()?;
    let mut child = command
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()
        .context("cannot run timeout, of the GNU core utilities")?;
    let status = child.wait()?;
    // `timeout` leads a process group. What a failed scenario has left in it ends here; an error
    // means that nothing is left.
    let _ = signal(-child.id().cast_signed(), libc::SIGKILL);
    let mut said = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut said)?;
    ensure!(
        status.success(),
        "{status} (124: no end within {} s)\n{}",
        LIMIT.as_secs(),
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine where everything is as it should be.
    fn good() -> Facts {
        Facts {
            root: true,
            release: "6.18.44-1".to_owned(),
            btf: true,
            conntrack: true,
        }
    }

    #[test]
    fn a_new_kernel_runs_scenarios() {
        assert_eq!(good().standing(), Standing::Runs);
    }

    #[test]
    fn what_cannot_be_expected_is_skipped() {
        for facts in [
            Facts {
                root: false,
                ..good()
            },
            Facts {
                conntrack: false,
                ..good()
            },
            Facts {
                release: "5.10.0-32-amd64".to_owned(),
                btf: false,
                ..good()
            },
        ] {
            assert!(
                matches!(facts.standing(), Standing::Skipped(_)),
                "{facts:?}"
            );
        }
    }

    #[test]
    fn a_missing_feature_of_a_new_kernel_is_a_failure() {
        for facts in [
            Facts {
                btf: false,
                ..good()
            },
            Facts {
                release: "unknown".to_owned(),
                ..good()
            },
        ] {
            assert!(matches!(facts.standing(), Standing::Broken(_)), "{facts:?}");
        }
    }
}
