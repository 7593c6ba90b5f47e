//! Whether the kernel has conntrack now: built in, as a module, or not.

use std::{fmt, fs, io, path::Path};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::kernel::generation::Generation;

/// Where the kernel lists modules, loaded and (if they have parameters) built in.
const DIRECTORY: &str = "/sys/module";

/// The form in which conntrack is present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "form")]
pub enum Presence {
    /// Part of the kernel image: it cannot be unloaded.
    BuiltIn,
    /// A loaded module.
    Module {
        /// `nf_conntrack`, or `ip_conntrack` before 2.6.20.
        name: &'static str,
        /// How many users keep it from being unloaded; unknown on a kernel that
        /// cannot unload modules.
        references: Option<u32>,
    },
    /// Neither built in nor loaded: nothing is tracked, nothing is refused.
    Absent,
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Module { name, references } => {
                write!(f, "module {name}")?;
                references.map_or(Ok(()), |users| write!(f, ", {users} users"))
            }
            Self::Absent => f.write_str("not loaded"),
        }
    }
}

impl Presence {
    /// Looks at the running kernel.
    pub fn read() -> Result<Self> {
        fs::metadata(DIRECTORY).with_context(|| {
            format!("cannot look for conntrack in {DIRECTORY}: is sysfs mounted on /sys?")
        })?;
        for name in Generation::ALL.map(Generation::module) {
            let directory = Path::new(DIRECTORY).join(name);
            let file = |name: &str| optional(&directory.join(name));
            let found = decide(
                name,
                directory.exists(),
                file("initstate")?.as_deref(),
                file("refcnt")?.as_deref(),
            );
            if found != Presence::Absent {
                return Ok(found);
            }
        }
        Ok(Presence::Absent)
    }
}

/// Judges by a module's directory and two files in it, which only a module that
/// is not built in has.
fn decide(
    name: &'static str,
    listed: bool,
    initstate: Option<&str>,
    refcnt: Option<&str>,
) -> Presence {
    match initstate.map(str::trim) {
        None if listed => Presence::BuiltIn,
        Some("live") => Presence::Module {
            name,
            references: refcnt.and_then(|text| text.trim().parse().ok()),
        },
        // Not listed, or on its way in (`coming`) or out (`going`).
        _ => Presence::Absent,
    }
}

/// A file's text; `None` if there is no such file, or the module goes away
/// while it is read.
fn optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::presence::{Presence, decide};

    #[test]
    fn each_form_is_told() {
        let module = |references| Presence::Module {
            name: "nf_conntrack",
            references,
        };
        let decide = |listed, initstate, refcnt| decide("nf_conntrack", listed, initstate, refcnt);
        assert_eq!(decide(false, None, None), Presence::Absent);
        assert_eq!(decide(true, None, None), Presence::BuiltIn);
        assert_eq!(decide(true, Some("live\n"), Some("8\n")), module(Some(8)));
        assert_eq!(decide(true, Some("live\n"), None), module(None));
        assert_eq!(
            decide(true, Some("coming\n"), Some("1\n")),
            Presence::Absent
        );
        assert_eq!(decide(true, Some("going\n"), Some("0\n")), Presence::Absent);
    }
}
