//! firewalld: whether its stop unloads conntrack.

use serde::Serialize;

use crate::facts::{
    distribution::{Distribution, Family},
    reader::{Reader, Source},
};

/// firewalld, if it is installed.
#[derive(Clone, Debug, Serialize)]
pub struct Firewalld {
    /// Its version, if that is known.
    pub version: Option<(u32, u32)>,
    /// Whether it is told to unload modules, and where; before 1.0 it does so
    /// unless told otherwise.
    pub cleanup: Option<(bool, Source)>,
    /// Its configuration, by which it is known to be installed.
    pub evidence: Source,
}

const CONFIG: &str = "/etc/firewalld/firewalld.conf";

impl Firewalld {
    pub(super) fn read(reader: &Reader<'_>, distribution: &Distribution) -> Option<Self> {
        let config = reader.text(CONFIG)?;
        let line = config.first(|line| {
            line.split_once('=')
                .is_some_and(|(name, _)| name.trim() == "CleanupModulesOnExit")
        });
        let cleanup = line.map(|source| {
            let value = source
                .text
                .split_once('=')
                .map_or("", |(_, value)| value.trim());
            let yes = ["yes", "true"]
                .iter()
                .any(|word| value.eq_ignore_ascii_case(word));
            (yes, source)
        });
        Some(Self {
            version: installed_version(reader).or_else(|| usual_version(distribution)),
            cleanup,
            evidence: config.as_source(),
        })
    }

    /// Whether its stop unloads conntrack: asked for, or not refused by one
    /// before 1.0, of which that is the nature.
    pub fn unloads(&self) -> bool {
        match &self.cleanup {
            Some((cleanup, _)) => *cleanup,
            None => self.version.is_some_and(|version| version < (1, 0)),
        }
    }
}

/// The version that its Python module says.
fn installed_version(reader: &Reader<'_>) -> Option<(u32, u32)> {
    let libraries = ["/usr/lib", "/usr/lib64"]
        .into_iter()
        .flat_map(|directory| {
            let names = reader.names(directory).into_iter();
            names
                .filter(|name| name.starts_with("python"))
                .map(move |name| format!("{directory}/{name}"))
        });
    for library in libraries {
        for packages in ["site-packages", "dist-packages"] {
            let path = format!("{library}/{packages}/firewall/config/__init__.py");
            let Some(text) = reader.text(&path) else {
                continue;
            };
            let line = text
                .lines()
                .find_map(|(_, line)| line.strip_prefix("VERSION"))?;
            let mut numbers = line
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|number| number.parse().ok());
            return Some((numbers.next()?, numbers.next()?));
        }
    }
    None
}

fn usual_version(distribution: &Distribution) -> Option<(u32, u32)> {
    Some(match (distribution.family, distribution.version.0) {
        (Family::EnterpriseLinux, 7) => (0, 6),
        (Family::EnterpriseLinux, 8) | (Family::Debian, 11) => (0, 9),
        (Family::EnterpriseLinux, 9) => (1, 0),
        (Family::Debian, 12) => (1, 3),
        (Family::Debian, 13) => (2, 3),
        _ => return None,
    })
}
