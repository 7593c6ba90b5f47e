//! ufw, which sets sysctls of its own whenever it starts.

use std::path::PathBuf;

use crate::facts::{
    reader::{Reader, Source},
    shell::{Dialect, Fragment, Value},
    sysctl::{self, Line, line},
};

/// ufw, if it is installed.
#[derive(Clone, Debug)]
pub struct Ufw {
    /// Whether it is switched on.
    pub enabled: bool,
    /// The line that keeps it from being known whether it is switched on, or which
    /// file it sets sysctls from; none if both are known.
    pub unknown: Option<Source>,
    /// The file that it sets sysctls from; none if it does not.
    pub sysctl: Option<UfwSysctl>,
}

/// The file that ufw sets sysctls from.
#[derive(Clone, Debug)]
pub struct UfwSysctl {
    /// Path inside the tree, without symbolic links.
    pub file: PathBuf,
    /// Its settings.
    pub lines: Vec<Line>,
}

impl Ufw {
    pub(super) fn read(reader: &Reader<'_>, command: sysctl::Dialect) -> Option<Self> {
        // Both are sourced by `ufw-init`, one after the other.
        let config = reader.text("/etc/ufw/ufw.conf")?;
        let config = Fragment::of(&config, Dialect::Sh);
        let defaults = reader.text("/etc/default/ufw");
        let defaults = defaults.map(|text| Fragment::of(&text, Dialect::Sh));
        let value = |name: &str| match (config.value(name), &defaults) {
            (Value::Unset, Some(defaults)) => defaults.value(name),
            (value, _) => value,
        };
        let (enabled, path) = (value("ENABLED"), value("IPT_SYSCTL"));
        let unknown = [&enabled, &path].into_iter().find_map(|value| match value {
            Value::Unknown(source) => Some(source.clone()),
            Value::Text(..) | Value::Unset => None,
        });
        let enabled = matches!(enabled.text(), Some("yes" | "YES"));
        let sysctl = path
            .text()
            .filter(|path| !path.is_empty())
            .and_then(|path| reader.text(path))
            .map(|text| UfwSysctl {
                lines: line::parse(&text.text, command),
                file: text.file,
            });
        Some(Self {
            enabled,
            unknown,
            sysctl,
        })
    }
}
