//! Who sent the packets that did not come from elsewhere: names for process
//! numbers.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

use conntrack_ebpf::Sender;
use serde::Serialize;

use crate::kernel::container::Container;

/// Processes that are remembered. When more come, those that have ended are
/// forgotten; one that finds no room even so is shown by its number alone.
const PROCESSES: usize = 16_384;

/// Where the unified hierarchy of control groups is mounted, on hosts that use
/// it alone, or beside others.
const CGROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A process of this host that sent packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number, in the first pid namespace.
    pub pid: u32,
    /// Its name; of one that had ended before it was asked for, that of the
    /// sending thread.
    pub comm: String,
    /// Path of its control group; not known if both it and its group had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The systemd unit: the innermost service or scope of that path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The container, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
}

impl Process {
    /// What to call it in a table: unit or container, where there is one.
    pub fn label(&self) -> String {
        let Self { pid, comm, .. } = self;
        let place = self
            .container
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| self.unit.clone());
        match place {
            Some(place) => format!("{comm}[{pid}] {place}"),
            None => format!("{comm}[{pid}]"),
        }
    }
}

/// The processes that sent packets which were refused.
/// Cheap to clone: a copy shares what is known until one of the two learns more.
#[derive(Clone, Debug, Default)]
pub struct Senders {
    known: Arc<BTreeMap<u32, (Sender, Process)>>,
}

impl Senders {
    /// The process of that number.
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.known.get(&pid).map(|(_, process)| process)
    }

    /// Takes in what the programs noted of a process, while it may still live.
    pub(crate) fn learn(&mut self, pid: u32, sender: Sender) {
        if self
            .known
            .get(&pid)
            .is_some_and(|(noted, _)| *noted == sender)
        {
            return;
        }
        if self.known.len() >= PROCESSES {
            Arc::make_mut(&mut self.known)
                .retain(|pid, _| Path::new("/proc").join(pid.to_string()).exists());
        }
        if self.known.len() < PROCESSES {
            let process = describe(pid, &sender);
            Arc::make_mut(&mut self.known).insert(pid, (sender, process));
        }
    }
}

fn describe(pid: u32, sender: &Sender) -> Process {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let noted = text(&sender.comm);
    let groups = read("cgroup");
    let cgroup = groups
        .as_deref()
        .and_then(unified)
        .map(ToOwned::to_owned)
        .or_else(|| path_of(sender.cgroup));
    let unit = cgroup
        .as_deref()
        .or_else(|| groups.as_deref().and_then(systemd))
        .and_then(unit)
        .map(ToOwned::to_owned);
    let container = groups
        .as_deref()
        .and_then(Container::from_cgroup)
        .or_else(|| Container::from_cgroup(&format!("0::{}", cgroup.as_deref()?)));
    Process {
        pid,
        comm: printable(
            read("comm")
                .as_deref()
                .map_or(&noted, |comm| comm.trim_end()),
        ),
        cgroup,
        unit,
        container,
    }
}

/// A name as the kernel has it: up to its first 0.
fn text(comm: &[u8; 16]) -> String {
    let name = comm.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Processes choose their names: a terminal must not obey them.
fn printable(name: &str) -> String {
    name.replace(char::is_control, "?")
}

/// The path in the unified hierarchy, of the text of `/proc/PID/cgroup`.
fn unified(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::"))
}

/// The path in systemd's own hierarchy, where there is no unified one.
fn systemd(groups: &str) -> Option<&str> {
    groups
        .lines()
        .find_map(|line| line.split_once(":name=systemd:").map(|(_, path)| path))
}

/// The innermost service or scope of a path.
fn unit(path: &str) -> Option<&str> {
    let is_unit = |name: &str| {
        [".service", ".scope"]
            .iter()
            .any(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
    };
    path.rsplit('/').find(|name| is_unit(name))
}

/// The path of the control group with that id, which is the inode of its
/// directory (`cgroup_id`, `include/linux/cgroup.h`; on 64-bit machines since
/// 5.5).
fn path_of(id: u64) -> Option<String> {
    CGROUPS.iter().find_map(|root| {
        let root = Path::new(root);
        let found = find(root, id)?;
        let path = Path::new(&found).strip_prefix(root).ok()?;
        Some(format!("/{}", path.display()))
    })
}

fn find(directory: &Path, id: u64) -> Option<String> {
    if fs::metadata(directory).ok()?.ino() == id {
        return Some(directory.to_str()?.to_owned());
    }
    let entries = fs::read_dir(directory).ok()?;
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| find(&entry.path(), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_innermost_service_or_scope() {
        assert_eq!(unit("/system.slice/nginx.service"), Some("nginx.service"));
        assert_eq!(
            unit("/user.slice/user-0.slice/user@0.service/app.slice/run-1.scope/x"),
            Some("run-1.scope")
        );
        assert_eq!(unit("/"), None);
        assert_eq!(unit("/system.slice/.service"), None);
    }

    #[test]
    fn the_hierarchy_that_counts_is_found() {
        let hybrid = "12:pids:/a\n1:name=systemd:/system.slice/a.service\n0::/b\n";
        assert_eq!(unified(hybrid), Some("/b"));
        assert_eq!(systemd(hybrid), Some("/system.slice/a.service"));
        assert_eq!(unified("3:cpu:/a\n"), None);
    }

    #[test]
    fn a_living_process_is_described_by_what_proc_says() {
        let pid = std::process::id();
        let noted = Sender {
            cgroup: 0,
            comm: *b"thread\0\0\0\0\0\0\0\0\0\0",
        };
        let mut senders = Senders::default();
        senders.learn(pid, noted);
        let process = senders.get(pid).unwrap();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(process.comm, comm.trim_end());
    }

    #[test]
    fn a_process_that_has_ended_keeps_what_was_noted() {
        let noted = Sender {
            cgroup: u64::MAX,
            comm: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
        };
        let process = describe(u32::MAX, &noted);
        assert_eq!(process.label(), format!("curl[{}]", u32::MAX));
        assert_eq!(process.cgroup, None);
    }
}
