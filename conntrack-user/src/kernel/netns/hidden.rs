//! Network namespaces that cannot be seen from here: why, and what to do.

use std::io;

use crate::kernel::netns::rights::Rights;

/// What could not be seen.
pub(super) struct Hidden {
    /// Why the namespace of PID 1 cannot be read, if it cannot.
    pub(super) first: Option<io::Error>,
    /// Processes whose namespaces may not be read; PID 1 may be among them.
    pub(super) processes: usize,
    /// Whether it is known which namespace is the host's.
    pub(super) host_is_known: bool,
    /// Whether the processes of the host are out of sight.
    pub(super) contained: bool,
    /// What this process may do.
    pub(super) rights: Rights,
}

/// Why namespaces may be missing, or have poorer names.
pub(super) fn warnings(hidden: &Hidden) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut processes = hidden.processes;
    if let Some(error) = hidden.first.as_ref().filter(|_| !hidden.host_is_known) {
        let denied = error.kind() == io::ErrorKind::PermissionDenied;
        processes = processes.saturating_sub(usize::from(denied));
        let others = match processes {
            0 => String::new(),
            others => format!(", and neither can that of {}", count(others, "other ")),
        };
        // Where all that is hidden is so without a denial, it is by procfs.
        let why = if denied || processes > 0 {
            hidden.rights.to_see()
        } else {
            "procfs is mounted with hidepid, which hides the processes of other users".to_owned()
        };
        warnings.push(format!(
            "the network namespace of PID 1 cannot be read ({error}){others}, so no namespace is \
             called host: {why}"
        ));
    } else if processes > 0 {
        warnings.push(format!(
            "the network namespaces of {} cannot be seen: {}",
            count(processes, ""),
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

/// `1 process`, `3 other processes`
fn count(processes: usize, which: &str) -> String {
    match processes {
        1 => format!("1 {which}process"),
        _ => format!("{processes} {which}processes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root, before which nothing is hidden.
    fn nothing() -> Hidden {
        Hidden {
            first: None,
            processes: 0,
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

    /// PID 1 and perhaps others may not be looked at.
    fn denied(processes: usize) -> Hidden {
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
        let mut nobody = denied(3);
        nobody.rights.root = false;
        nobody.rights.ptrace = false;
        let said = warnings(&nobody).join("\n");
        assert!(
            said.contains("PID 1")
                && said.contains("2 other processes")
                && said.contains("run as root"),
            "{said}"
        );
    }

    #[test]
    fn pid_1_alone_is_said_once_and_root_is_not_told_to_be_root() {
        let said = warnings(&denied(1));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("no namespace is called host") && !said[0].contains("run as root"),
            "{said:?}"
        );
        let by_kernel_threads = Hidden {
            host_is_known: true,
            ..denied(1)
        };
        let said = warnings(&by_kernel_threads);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("the network namespaces of 1 process cannot be seen: ctdrop has"),
            "{said:?}"
        );
    }

    #[test]
    fn a_process_that_procfs_does_not_show_is_no_denial() {
        let absent = Hidden {
            first: Some(io::ErrorKind::NotFound.into()),
            processes: 0,
            ..denied(0)
        };
        let said = warnings(&absent).join("\n");
        assert!(said.contains("hidepid"), "{said}");
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
