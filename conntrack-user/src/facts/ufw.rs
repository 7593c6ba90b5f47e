//! ufw, which sets sysctls of its own whenever it starts.

use std::path::PathBuf;

use crate::facts::{
    reader::Reader,
    shell::{Assignment, Fragment},
    sysctl::{Line, line},
};

/// ufw, if it is installed.
#[derive(Clone, Debug)]
pub struct Ufw {
    /// Whether it is switched on.
    pub enabled: bool,
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
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let config = reader.text("/etc/ufw/ufw.conf")?;
        let enabled = Fragment::parse(&config.text)
            .last("ENABLED")
            .and_then(Assignment::literal)
            .is_some_and(|value| value == "yes" || value == "YES");
        let defaults = reader.text("/etc/default/ufw");
        let path = defaults.as_ref().and_then(|defaults| {
            Fragment::parse(&defaults.text)
                .last("IPT_SYSCTL")
                .and_then(Assignment::literal)
                .map(str::to_owned)
        });
        let sysctl = path
            .filter(|path| !path.is_empty())
            .and_then(|path| reader.text(&path))
            .map(|text| UfwSysctl {
                lines: line::parse(&text.text),
                file: text.file,
            });
        Some(Self { enabled, sysctl })
    }
}
