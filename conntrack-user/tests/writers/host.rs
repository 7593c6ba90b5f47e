//! A host whose files set the limit, and what a boot of it leads to.

use std::{fs, os::unix::fs::PermissionsExt as _};

use conntrack_user::{
    facts::{Facts, root::Root},
    survival::{Outcome, Start, simulate},
};
use tempfile::TempDir;

/// The file of the limit.
pub(crate) const FILE: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// Its name.
pub(crate) const KEY: &str = "net.netfilter.nf_conntrack_max";

/// What the files of sysctls set.
pub(crate) const FILES: u64 = 1_310_720;

/// What is expected of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// This.
    Is(u64),
    /// It is not known, because of this line of the file.
    UnknownBy(u32),
}

/// A host whose files set the limit, with a further file.
pub(crate) struct Host(pub(crate) TempDir);

impl Host {
    pub(crate) fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.write("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
        host.write("/proc/sys/kernel/osrelease", "6.1.0-25-amd64\n");
        host.write("/proc/meminfo", "MemTotal: 16384000 kB\n");
        host.write("/usr/lib/systemd/systemd", "");
        host.write("/etc/modules-load.d/ct.conf", "nf_conntrack\n");
        let setting = format!("net.netfilter.nf_conntrack_max = {FILES}\n");
        host.write("/etc/sysctl.d/90-ct.conf", &setting);
        host
    }

    pub(crate) fn with(path: &str, content: &str) -> Self {
        let host = Self::new();
        host.write(path, content);
        host
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn boot(&self) -> Outcome {
        let facts = Facts::read(&Root::open(self.0.path()).unwrap()).unwrap();
        simulate(&facts, Start::AfterBoot).boot
    }

    pub(crate) fn limit(&self) -> Limit {
        let boot = self.boot();
        match boot.value {
            Some(value) => Limit::Is(value),
            None => Limit::UnknownBy(boot.origin.source().unwrap().line),
        }
    }
}
