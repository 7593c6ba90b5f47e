//! The kernel that a tree belongs to, as far as its files tell.

use serde::Serialize;

use crate::{
    facts::{distribution::Distribution, reader::Reader},
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
}

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

    /// Buckets and limit that nobody has set; none if release or memory are not
    /// known.
    pub fn default_table(&self) -> Option<Table> {
        Some(self.machine()?.default_table(self.memory?))
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
