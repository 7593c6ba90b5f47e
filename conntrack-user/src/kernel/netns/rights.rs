//! What keeps this process from looking at another's namespace, and the remedy.
//!
//! The kernel answers a bare "permission denied". Reading the namespace of a
//! process needs what looking at the process needs, `CAP_SYS_PTRACE` unless it is
//! one's own (`proc_ns_readlink` in `fs/proc/namespaces.c`, `ptrace_may_access`);
//! entering it needs `CAP_SYS_ADMIN` (`netns_install` in
//! `net/core/net_namespace.c`). Both count only in the user namespace that the
//! process or the network namespace belongs to.

use std::{fs, path::Path};

use rustix::{
    process::geteuid,
    thread::{CapabilitySet, capabilities},
};

use crate::kernel::surroundings::isolation::FIRST_USER_NAMESPACE;

/// What this thread may do, as far as other processes' namespaces ask for it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each written out by its name"
)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    /// Whether the effective user is root, of whatever user namespace.
    pub(super) root: bool,
    /// Whether `CAP_SYS_ADMIN` is in effect.
    pub(super) admin: bool,
    /// Whether `CAP_SYS_PTRACE` is in effect.
    pub(super) ptrace: bool,
    /// Whether this is not the first user namespace.
    pub(super) user_namespace: bool,
}

/// Why namespaces of other processes cannot be seen from here, or what to do about
/// it.
pub fn why_not_seen() -> String {
    Rights::now().to_see()
}

/// Why namespaces cannot be entered from here, or what to do about it.
pub fn why_not_entered() -> String {
    Rights::now().to_enter()
}

impl Rights {
    /// Those of the calling thread.
    pub(super) fn now() -> Self {
        // A process may always ask for its own; if it could not, it had none.
        let effective =
            capabilities(None).map_or_else(|_| CapabilitySet::empty(), |sets| sets.effective);
        Self {
            root: geteuid().is_root(),
            admin: effective.contains(CapabilitySet::SYS_ADMIN),
            ptrace: effective.contains(CapabilitySet::SYS_PTRACE),
            user_namespace: fs::read_link("/proc/self/ns/user")
                .is_ok_and(|own| own != Path::new(FIRST_USER_NAMESPACE)),
        }
    }

    /// Why namespaces of other processes cannot be seen, or what to do about it.
    pub(super) fn to_see(self) -> String {
        self.remedy(&[("CAP_SYS_PTRACE", self.ptrace)])
    }

    /// Why a namespace cannot be entered, or what to do about it.
    pub(super) fn to_enter(self) -> String {
        self.remedy(&[
            ("CAP_SYS_ADMIN", self.admin),
            ("CAP_SYS_PTRACE", self.ptrace),
        ])
    }

    fn remedy(self, needed: &[(&str, bool)]) -> String {
        let all: Vec<&str> = needed.iter().map(|(name, _)| *name).collect();
        let missing: Vec<&str> = needed
            .iter()
            .filter(|(_, held)| !held)
            .map(|(name, _)| *name)
            .collect();
        if self.user_namespace {
            return "ctdrop runs in a user namespace (a rootless container), whose capabilities do \
                    not apply here: run it outside, as root of the host"
                .to_owned();
        }
        if missing.is_empty() {
            return format!(
                "ctdrop has {}, and is refused all the same: a security module or a sandbox may \
                 forbid it, or the other processes may be in another user namespace",
                all.join(" and ")
            );
        }
        if !self.root {
            return format!("ctdrop needs {} (run as root)", all.join(" and "));
        }
        let (is, it, each) = match missing.len() {
            1 => ("is", "it", ""),
            _ => ("are", "them", " for each"),
        };
        format!(
            "{} {is} missing, although ctdrop runs as root: grant {it} (docker: --cap-add{each}; \
             systemd: CapabilityBoundingSet=)",
            missing.join(" and ")
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::netns::rights::Rights;

    const ROOT: Rights = Rights {
        root: true,
        admin: true,
        ptrace: true,
        user_namespace: false,
    };

    #[test]
    fn only_who_is_not_root_is_told_to_become_root() {
        let nobody = Rights {
            root: false,
            admin: false,
            ptrace: false,
            ..ROOT
        };
        assert_eq!(nobody.to_see(), "ctdrop needs CAP_SYS_PTRACE (run as root)");
        assert_eq!(
            nobody.to_enter(),
            "ctdrop needs CAP_SYS_ADMIN and CAP_SYS_PTRACE (run as root)"
        );
        for ptrace in [false, true] {
            for admin in [false, true] {
                let root = Rights {
                    admin,
                    ptrace,
                    ..ROOT
                };
                for said in [root.to_see(), root.to_enter()] {
                    assert!(!said.contains("run as root"), "{said}");
                }
            }
        }
    }

    #[test]
    fn root_is_told_what_it_lacks() {
        let root = Rights {
            ptrace: false,
            ..ROOT
        };
        let said = root.to_enter();
        assert!(said.starts_with("CAP_SYS_PTRACE is missing"), "{said}");
        let neither = Rights {
            admin: false,
            ..root
        };
        let said = neither.to_enter();
        assert!(
            said.starts_with("CAP_SYS_ADMIN and CAP_SYS_PTRACE are missing"),
            "{said}"
        );
    }

    #[test]
    fn root_that_lacks_nothing_is_told_so() {
        let said = ROOT.to_see();
        assert!(
            said.contains("has CAP_SYS_PTRACE") && said.contains("security module"),
            "{said}"
        );
        let inside = Rights {
            user_namespace: true,
            ..ROOT
        };
        assert!(inside.to_see().contains("run it outside"));
    }
}
