//! The kernel that a tree belongs to, as far as its files tell.

use serde::Serialize;

use crate::{
    facts::{
        distribution::Distribution,
        reader::Reader,
        sysctl::value::{Taken, taken},
    },
    kernel::{
        defaults::{Machine, Table},
        generation::Generation,
        release::Release,
    },
};

/// Where the release is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// The kernel itself, in `/proc`.
    Proc,
    /// Modules are installed for it.
    Modules,
    /// The distribution has such a kernel.
    Distribution,
}

/// Whether conntrack can be unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// It is a part of the kernel.
    BuiltIn,
    /// It is a module, loaded or not; distributions have it so, and it is
    /// assumed if nothing tells.
    Module,
}

/// The kernel of a tree.
#[derive(Clone, Debug, Serialize)]
pub struct HostKernel {
    /// Its release; none if nothing tells.
    pub release: Option<Release>,
    /// What tells.
    pub known_by: Option<KnownBy>,
    /// Which conntrack it has.
    pub generation: Generation,
    /// As what.
    pub form: Form,
    /// Whether it has 64 bits.
    pub is_64_bit: bool,
    /// Memory in bytes, as it counts it.
    pub memory: Option<u64>,
    /// Processors.
    pub cpus: Option<u32>,
    /// Whether `nf_conntrack` has the names of its predecessor, too, such as
    /// `net.ipv4.netfilter.ip_conntrack_max` (`CONFIG_NF_CONNTRACK_PROC_COMPAT`);
    /// none if nothing tells.
    #[serde(skip)]
    pub compat_names: Option<bool>,
}

/// The names of the predecessor that `nf_conntrack` may have.
const COMPAT: [&str; 2] = [
    "net/ipv4/netfilter/ip_conntrack_max",
    "net/ipv4/netfilter/ip_conntrack_buckets",
];

impl HostKernel {
    pub(super) fn read(reader: &Reader<'_>, distribution: &Distribution) -> Self {
        let (release, known_by) = match find_release(reader, distribution) {
            Some((release, known_by)) => (Some(release), Some(known_by)),
            None => (None, None),
        };
        let generation = if reader.exists("/proc/sys/net/netfilter/nf_conntrack_max") {
            Generation::NfConntrack
        } else if reader.exists("/proc/sys/net/ipv4/ip_conntrack_max") {
            Generation::IpConntrack
        } else {
            release
                .as_ref()
                .map_or(Generation::NfConntrack, Generation::of)
        };
        let text = |path| reader.text(path).map(|found| found.text);
        Self {
            form: form(reader, release.as_ref(), generation),
            generation,
            is_64_bit: is_64_bit(reader, release.as_ref()),
            memory: text("/proc/meminfo").and_then(|text| memory(&text)),
            cpus: text("/proc/cpuinfo").and_then(|text| processors(&text)),
            compat_names: compat_names(reader, release.as_ref()),
            release,
            known_by,
        }
    }

    /// Whether conntrack is a module, which takes options when it is loaded.
    pub fn is_module(&self) -> bool {
        self.form == Form::Module
    }

    /// For questions that depend on the release; none if that is not known.
    pub fn machine(&self) -> Option<Machine<'_>> {
        Some(Machine {
            release: self.release.as_ref()?,
            generation: self.generation,
            is_64_bit: self.is_64_bit,
        })
    }

    /// Whether a sysctl below `/proc/sys`, in slash form, is there once the module is
    /// loaded; none if that is not known. Only of conntrack's limit and buckets.
    pub fn has_sysctl(&self, path: &str) -> Option<bool> {
        let compat = self.generation == Generation::NfConntrack && COMPAT.contains(&path);
        match self.machine() {
            Some(machine) if !machine.has_sysctl(path) => Some(false),
            _ if compat => self.compat_names,
            Some(_) => Some(true),
            None => Some(self.generation == Generation::NfConntrack || !path.contains("/nf_")),
        }
    }

    /// What it makes of a text that is written to the limit.
    pub fn takes(&self, text: &str) -> Taken {
        let release = self.release.as_ref();
        taken(text, release.map(|release| (release.major, release.minor)))
    }

    /// Buckets and limit that nobody has set; none if release or memory are not
    /// known.
    pub fn default_table(&self) -> Option<Table> {
        Some(self.machine()?.default_table(self.memory?))
    }

    /// Whether ctdrop can run on it: the C library in it needs Linux 3.2. True if the
    /// release is not known.
    pub fn runs_ctdrop(&self) -> bool {
        self.is_at_least(3, 2) != Some(false)
    }

    /// Whether the release is at least that; none if it is not known.
    pub fn is_at_least(&self, major: u32, minor: u32) -> Option<bool> {
        let release = self.release.as_ref()?;
        Some((release.major, release.minor) >= (major, minor))
    }
}

fn find_release(reader: &Reader<'_>, distribution: &Distribution) -> Option<(Release, KnownBy)> {
    let text = |path| reader.text(path).map(|found| found.text);
    let by_proc = text("/proc/sys/kernel/osrelease").or_else(|| {
        let version = text("/proc/version")?;
        let release = version.strip_prefix("Linux version ")?;
        Some(release.split(' ').next()?.to_owned())
    });
    if let Some(release) = by_proc.and_then(|text| Release::parse(text.trim()).ok()) {
        return Some((release, KnownBy::Proc));
    }
    let installed = ["/lib/modules", "/usr/lib/modules"]
        .into_iter()
        .flat_map(|directory| reader.names(directory))
        .filter_map(|name| Release::parse(&name).ok())
        .max();
    if let Some(release) = installed {
        return Some((release, KnownBy::Modules));
    }
    let usual = Release::parse(distribution.usual_kernel()?).ok()?;
    Some((usual, KnownBy::Distribution))
}

fn form(reader: &Reader<'_>, release: Option<&Release>, generation: Generation) -> Form {
    let module = generation.module();
    let directory = format!("/sys/module/{module}");
    if reader.exists(&directory) {
        return if reader.exists(&format!("{directory}/initstate")) {
            Form::Module
        } else {
            Form::BuiltIn
        };
    }
    let built_in = release.is_some_and(|release| {
        let list = format!("/lib/modules/{release}/modules.builtin");
        let name = format!("/{module}.ko");
        reader
            .text(&list)
            .is_some_and(|found| found.text.lines().any(|line| line.ends_with(&name)))
    });
    if built_in {
        Form::BuiltIn
    } else {
        Form::Module
    }
}

/// Whether the kernel was built with the names of its predecessor: by its own
/// files, its configuration, or what its distribution did.
fn compat_names(reader: &Reader<'_>, release: Option<&Release>) -> Option<bool> {
    if COMPAT
        .iter()
        .any(|name| reader.exists(&format!("/proc/sys/{name}")))
    {
        return Some(true);
    }
    let release = release?;
    let configuration = [
        format!("/boot/config-{release}"),
        format!("/lib/modules/{release}/config"),
    ];
    if let Some(config) = configuration.iter().find_map(|path| reader.text(path))
        && config.text.contains("CONFIG_NF_CONNTRACK")
    {
        let set = "CONFIG_NF_CONNTRACK_PROC_COMPAT=y";
        return Some(config.text.lines().any(|line| line.trim() == set));
    }
    // Enterprise Linux 6 had it, 7 did not.
    if release.text.contains(".el6") {
        return Some(true);
    }
    if release.text.contains(".el7") {
        return Some(false);
    }
    // A whole copy of what is there, with the module loaded.
    let loaded = reader.exists("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established");
    loaded.then_some(false)
}

fn is_64_bit(reader: &Reader<'_>, release: Option<&Release>) -> bool {
    let named = |names: &[&str]| {
        release.is_some_and(|release| names.iter().any(|name| release.text.contains(name)))
    };
    if named(&["64", "s390x"]) {
        return true;
    }
    if named(&["686", "586", "386", "armv", "armmp"]) {
        return false;
    }
    // Without this directory, but with the one for 32 bits, programs have 32.
    reader.exists("/lib64") || !reader.exists("/lib")
}

/// Bytes of memory, by `/proc/meminfo`.
fn memory(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Processors, by `/proc/cpuinfo`; none on a machine that describes them in
/// another way.
fn processors(text: &str) -> Option<u32> {
    let count = text
        .lines()
        .filter(|line| {
            line.split(':')
                .next()
                .is_some_and(|name| name.trim() == "processor")
        })
        .count();
    u32::try_from(count).ok().filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_predecessor_are_not_assumed() {
        let has = |files: &[(&str, &str)]| {
            let tree = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = tree.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let root = crate::facts::root::Root::open(tree.path()).unwrap();
            let reader = Reader::new(&root);
            let distribution = Distribution::read(&reader);
            let kernel = HostKernel::read(&reader, &distribution);
            assert_eq!(
                kernel.has_sysctl("net/netfilter/nf_conntrack_max"),
                Some(true)
            );
            kernel.has_sysctl(COMPAT[0])
        };
        let release = |text| ("proc/sys/kernel/osrelease", text);
        assert_eq!(has(&[release("3.10.0-1160.el7.x86_64")]), Some(false));
        assert_eq!(has(&[release("2.6.32-754.el6.x86_64")]), Some(true));
        assert_eq!(has(&[release("6.1.0")]), Some(false));
        let own = "3.16.85";
        assert_eq!(has(&[release(own)]), None);
        let config = |text| ("boot/config-3.16.85", text);
        let with = "CONFIG_NF_CONNTRACK=m\nCONFIG_NF_CONNTRACK_PROC_COMPAT=y\n";
        assert_eq!(has(&[release(own), config(with)]), Some(true));
        let without = "CONFIG_NF_CONNTRACK=m\n# CONFIG_NF_CONNTRACK_PROC_COMPAT is not set\n";
        assert_eq!(has(&[release(own), config(without)]), Some(false));
        let proc = "proc/sys/net/ipv4/netfilter/ip_conntrack_max";
        assert_eq!(has(&[release(own), (proc, "65536\n")]), Some(true));
        assert_eq!(has(&[]), None);
    }

    #[test]
    fn memory_and_processors_are_counted() {
        assert_eq!(
            memory("MemFree: 1 kB\nMemTotal:       16307648 kB\n"),
            Some(16_307_648 << 10)
        );
        assert_eq!(memory(""), None);
        assert_eq!(
            processors("processor\t: 0\nmodel name\t: processor\n\nprocessor\t: 1\n"),
            Some(2)
        );
        assert_eq!(processors("cpu: x\n"), None);
    }
}
