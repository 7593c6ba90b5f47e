//! Whether a service may set the limit: its user, and what it is kept from.

use crate::facts::{
    reader::TextFile,
    systemd::{
        command::STARTING,
        files::{flag, settings},
    },
    writers::commands::wrappers::becomes_root,
};

/// Whether a service may set the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    Full,
    Unknown,
    None,
}

impl Rights {
    /// By `User=`, and by what makes the kernel's files read-only (systemd.exec(5)).
    pub(super) fn of(files: &[TextFile]) -> Self {
        let last = |key: &str| {
            settings(files, "Service", key)
                .pop()
                .map(|(value, _)| value)
        };
        let flag = |key: &str| flag(files, "Service", key) == Some(true);
        if flag("ProtectKernelTunables") {
            return Self::None;
        }
        let root = last("User").is_none_or(|user| ["root", "0"].contains(&user.as_str()));
        let is_root = root && !flag("DynamicUser");
        let elsewhere = flag("PrivateNetwork")
            || ["NetworkNamespacePath", "RootDirectory", "RootImage"]
                .iter()
                .any(|key| last(key).is_some());
        let bounded = last("CapabilityBoundingSet").is_some() || last("ReadOnlyPaths").is_some();
        if is_root {
            return if elsewhere || bounded {
                Self::Unknown
            } else {
                Self::Full
            };
        }
        let capable = last("AmbientCapabilities").is_some();
        let lines = STARTING
            .iter()
            .flat_map(|key| settings(files, "Service", key));
        let becomes = lines.into_iter().any(|(line, _)| becomes_root(&line));
        if capable || becomes {
            Self::Unknown
        } else {
            Self::None
        }
    }
}
