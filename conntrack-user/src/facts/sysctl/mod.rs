//! The sysctl settings of a host, in all files that anything reads them from.

pub mod key;
pub mod line;

use std::path::PathBuf;

use crate::facts::reader::Reader;
pub use crate::facts::sysctl::{
    key::{Key, Variable},
    line::Line,
};

/// The directories, in the order in which one masks the next.
pub const DIRECTORIES: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

/// The file that was the only one once.
pub const SYSCTL_CONF: &str = "/etc/sysctl.conf";

/// A file of settings.
#[derive(Clone, Debug)]
pub struct SysctlFile {
    /// Directory that it was found in.
    pub directory: &'static str,
    /// Name in there, whatever its suffix: there are programs that read all.
    pub name: String,
    /// Where it is without symbolic links; `/dev/null` if it is masked.
    pub file: PathBuf,
    /// The settings in it.
    pub lines: Vec<Line>,
}

impl SysctlFile {
    fn read(reader: &Reader<'_>, directory: &'static str, name: &str) -> Option<Self> {
        let text = reader.text(&format!("{directory}/{name}"))?;
        Some(Self {
            directory,
            name: name.to_owned(),
            lines: line::parse(&text.text),
            file: text.file,
        })
    }

    /// Path by which it was found.
    pub fn path(&self) -> String {
        format!("{}/{}", self.directory, self.name)
    }
}

/// All files of settings.
#[derive(Clone, Debug)]
pub struct Sysctl {
    /// `/etc/sysctl.conf`
    pub conf: Option<SysctlFile>,
    /// Those in directories: by directory in the order of [`DIRECTORIES`], then
    /// by name.
    pub files: Vec<SysctlFile>,
}

impl Sysctl {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        let mut files = Vec::new();
        let mut seen = Vec::new();
        for directory in DIRECTORIES {
            // `/lib` may be a link to `/usr/lib`.
            let Some(real) = reader.resolve(directory) else {
                continue;
            };
            if seen.contains(&real) {
                continue;
            }
            seen.push(real);
            for name in reader.names(directory) {
                files.extend(SysctlFile::read(reader, directory, &name));
            }
        }
        Self {
            conf: SysctlFile::read(reader, "/etc", "sysctl.conf"),
            files,
        }
    }

    /// Every file.
    pub fn all(&self) -> impl Iterator<Item = &SysctlFile> {
        self.files.iter().chain(&self.conf)
    }
}
