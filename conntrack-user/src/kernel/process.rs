//! A process of this host: its name, and the unit or container that it is in.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use serde::Serialize;

use crate::kernel::container::Container;

/// Where the unified hierarchy of control groups is mounted, on hosts that use
/// it alone, or beside others.
const CGROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A process of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its number, in the first pid namespace.
    pub pid: u32,
    /// Its name; of one that had ended before it was asked for, what was noted of it.
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

/// What was noted of a process while it lived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noted<'a> {
    /// Its name.
    pub comm: &'a str,
    /// The id of its control group; 0 if that is not known.
    pub cgroup: u64,
}

impl Process {
    /// What to call it in a table: unit or container, where there is one.
    pub fn label(&self) -> String {
        let Self { pid, comm, .. } = self;
        let place = self
            .container
            .as_ref()
            .map(Container::in_full)
            .or_else(|| self.unit.clone());
        // Nothing is known of one that had ended.
        let name = if comm.is_empty() { "process" } else { comm };
        match place {
            Some(place) => format!("{name}[{pid}] {place}"),
            None => format!("{name}[{pid}]"),
        }
    }

    /// The process of that number; if it has ended, as far as `noted` tells.
    pub fn of(pid: u32, noted: Noted<'_>) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let groups = read("cgroup");
        let cgroup = groups
            .as_deref()
            .and_then(unified)
            .map(ToOwned::to_owned)
            .or_else(|| path_of(noted.cgroup));
        let unit = cgroup
            .as_deref()
            .or_else(|| groups.as_deref().and_then(systemd))
            .and_then(unit)
            .map(ToOwned::to_owned);
        let container = groups
            .as_deref()
            .and_then(Container::of)
            .or_else(|| Container::of(&format!("0::{}", cgroup.as_deref()?)));
        Self {
            pid,
            comm: printable(read("comm").as_deref().map_or(noted.comm, str::trim_end)),
            cgroup,
            unit,
            container,
        }
    }
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
    fn a_process_that_has_ended_keeps_what_was_noted() {
        let noted = Noted {
            comm: "curl",
            cgroup: u64::MAX,
        };
        let process = Process::of(u32::MAX, noted);
        assert_eq!(process.label(), format!("curl[{}]", u32::MAX));
        assert_eq!(process.cgroup, None);
    }
}
