//! Network namespaces that cannot be seen from here: why, and what to do.

use std::{fmt, fs, io};

use serde::Serialize;

use crate::{
    kernel::netns::{host::is_kernel_thread, rights::Rights},
    say::{number::number, text::plain},
};

/// How many hidden processes are named.
const NAMED: usize = 3;

/// A process whose network namespace may not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HiddenProcess {
    /// Its number.
    pub pid: u32,
    /// What it calls itself, if that can be read.
    pub comm: Option<String>,
}

impl HiddenProcess {
    /// What can be read of it without rights. None of the kernel's own threads:
    /// they are in the host's namespace, which they never leave.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let text = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        if text("stat").is_some_and(|stat| is_kernel_thread(&stat)) {
            return None;
        }
        let comm = text("comm").map(|comm| plain(comm.trim_end_matches('\n')));
        Some(Self { pid, comm })
    }
}

/// `713 (nginx)`
impl fmt::Display for HiddenProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.comm {
            Some(comm) => write!(f, "{} ({comm})", self.pid),
            None => write!(f, "{}", self.pid),
        }
    }
}

/// `the network namespace of process 713 (nginx)`, `the network namespaces of
/// processes 7 (a), 8 (b), 9 (c) and 4 more`
pub fn namespaces_of(processes: &[HiddenProcess]) -> String {
    let plural = if processes.len() == 1 { "" } else { "s" };
    format!("the network namespace{plural} of {}", named(processes))
}

/// `process 713 (nginx)`, or `processes 7 (a), 8 (b), 9 (c) and 4 more`.
fn named<'a>(processes: impl IntoIterator<Item = &'a HiddenProcess>) -> String {
    let processes: Vec<String> = processes.into_iter().map(ToString::to_string).collect();
    let (shown, rest) = processes.split_at(processes.len().min(NAMED));
    let listed = match (shown, rest.len()) {
        ([one], 0) => return format!("process {one}"),
        ([others @ .., last], 0) => format!("{} and {last}", others.join(", ")),
        (shown, more) => format!("{} and {} more", shown.join(", "), number(more as u64)),
    };
    format!("processes {listed}")
}

/// What could not be seen.
pub(super) struct Hidden<'a> {
    /// Why the namespace of PID 1 cannot be read, if it cannot.
    pub(super) first: Option<io::Error>,
    /// Processes whose namespaces may not be read; PID 1 may be among them.
    pub(super) processes: &'a [HiddenProcess],
    /// Whether it is known which namespace is the host's.
    pub(super) host_is_known: bool,
    /// Whether the processes of the host are out of sight.
    pub(super) contained: bool,
    /// What this process may do.
    pub(super) rights: Rights,
}

/// Why namespaces may be missing, or have poorer names.
pub(super) fn warnings(hidden: &Hidden<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(error) = hidden.first.as_ref().filter(|_| !hidden.host_is_known) {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        let mut others = hidden.processes.iter().filter(|it| it.pid != 1).peekable();
        let others = match others.peek() {
            None => String::new(),
            Some(_) => format!(" and of {}", named(others)),
        };
        let plural = if others.is_empty() { "" } else { "s" };
        // Where all that is hidden is so without a denial, it is by procfs.
        let why = if denied || !others.is_empty() {
            hidden.rights.to_see()
        } else {
            "procfs is mounted with hidepid, which hides the processes of other users".to_owned()
        };
        warnings.push(format!(
            "the network namespace{plural} of PID 1{others} cannot be read ({error}), so no namespace \
             is called host: {why}"
        ));
    } else if !hidden.processes.is_empty() {
        warnings.push(format!(
            "{} cannot be seen: {}",
            namespaces_of(hidden.processes),
            hidden.rights.to_see()
        ));
    }
    if hidden.contained {
        warnings.push(
            "the processes of the host cannot be seen from this container, and `host` stands for \
             the container's own network namespace: share the host's PID namespace \
             (docker run --pid=host, or hostPID: true in Kubernetes)"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root, before which nothing is hidden.
    fn nothing() -> Hidden<'static> {
        Hidden {
            first: None,
            processes: &[],
            host_is_known: true,
            contained: false,
            rights: Rights {
                root: true,
                admin: true,
                ptrace: true,
                user_namespace: false,
            },
        }
    }

    fn process(pid: u32, comm: &str) -> HiddenProcess {
        HiddenProcess {
            pid,
            comm: Some(comm.to_owned()),
        }
    }

    /// PID 1 and perhaps others may not be looked at.
    fn denied(processes: &[HiddenProcess]) -> Hidden<'_> {
        Hidden {
            first: Some(io::ErrorKind::PermissionDenied.into()),
            processes,
            host_is_known: false,
            ..nothing()
        }
    }

    #[test]
    fn what_is_hidden_is_said() {
        assert!(warnings(&nothing()).is_empty());
        let processes = [process(1, "systemd"), process(7, "a"), process(8, "b")];
        let mut nobody = denied(&processes);
        nobody.rights.root = false;
        nobody.rights.ptrace = false;
        let said = warnings(&nobody).join("\n");
        assert!(
            said.contains("PID 1")
                && said
                    .contains("the network namespaces of PID 1 and of processes 7 (a) and 8 (b)")
                && said.contains("run as root"),
            "{said}"
        );
    }

    #[test]
    fn pid_1_alone_is_said_once_and_root_is_not_told_to_be_root() {
        let first = [process(1, "systemd")];
        let said = warnings(&denied(&first));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("no namespace is called host") && !said[0].contains("run as root"),
            "{said:?}"
        );
        let by_kernel_threads = Hidden {
            host_is_known: true,
            ..denied(&[])
        };
        assert!(warnings(&by_kernel_threads).is_empty(), "PID 1 alone");
        let nginx = [process(713, "nginx")];
        let by_kernel_threads = Hidden {
            processes: &nginx,
            ..by_kernel_threads
        };
        let said = warnings(&by_kernel_threads);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with(
                "the network namespace of process 713 (nginx) cannot be seen: ctdrop has"
            ),
            "{said:?}"
        );
    }

    #[test]
    fn a_process_that_procfs_does_not_show_is_no_denial() {
        let absent = Hidden {
            first: Some(io::ErrorKind::NotFound.into()),
            ..denied(&[])
        };
        let said = warnings(&absent).join("\n");
        assert!(said.contains("hidepid"), "{said}");
    }

    #[test]
    fn the_first_three_are_named() {
        let processes: Vec<HiddenProcess> = (2..9).map(|pid| process(pid, "a")).collect();
        let of = |count: usize| named(&processes[..count]);
        assert_eq!(of(1), "process 2 (a)");
        assert_eq!(of(2), "processes 2 (a) and 3 (a)");
        assert_eq!(of(3), "processes 2 (a), 3 (a) and 4 (a)");
        assert_eq!(of(7), "processes 2 (a), 3 (a), 4 (a) and 4 more");
        let gone = HiddenProcess { pid: 9, comm: None };
        assert_eq!(named([&gone]), "process 9");
        assert_eq!(
            namespaces_of(&[gone.clone(), gone]),
            "the network namespaces of processes 9 and 9"
        );
    }

    #[test]
    fn in_a_container_host_is_its_own() {
        let contained = Hidden {
            contained: true,
            ..nothing()
        };
        assert!(warnings(&contained)[0].contains("hostPID"));
    }
}
