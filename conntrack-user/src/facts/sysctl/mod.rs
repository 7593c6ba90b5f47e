//! The sysctl settings of a host, in all files that anything reads them from.

pub mod dialect;
pub mod key;
pub mod line;
pub mod value;

use std::path::PathBuf;

use crate::facts::reader::Reader;
pub use crate::facts::sysctl::{
    dialect::Dialect,
    key::{Key, Variable},
    line::{Does, Line},
    value::Taken,
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
    /// The settings in it, as what applies files at boot reads them.
    pub lines: Vec<Line>,
    /// The same, as the `sysctl` command reads them.
    pub by_command: Vec<Line>,
}

/// How files are read on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readers {
    /// By what applies them at boot.
    pub boot: Dialect,
    /// By the `sysctl` command.
    pub command: Dialect,
}

impl SysctlFile {
    fn read(
        reader: &Reader<'_>,
        readers: Readers,
        directory: &'static str,
        name: &str,
    ) -> Option<Self> {
        let path = format!("{directory}/{name}");
        let text = reader.text(&path)?;
        Some(Self {
            directory,
            name: name.to_owned(),
            lines: line::parse(&text.text, readers.boot),
            by_command: line::parse(&text.text, readers.command),
            file: text.file,
        })
    }

    /// One that has nothing in it, such as a link to nowhere: it takes the place of
    /// others of its name all the same.
    fn empty(directory: &'static str, name: String) -> Self {
        Self {
            directory,
            file: format!("{directory}/{name}").into(),
            name,
            lines: Vec::new(),
            by_command: Vec::new(),
        }
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
    /// How they are read.
    pub readers: Readers,
}

impl Sysctl {
    pub(super) fn read(reader: &Reader<'_>, readers: Readers) -> Self {
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
                let file = SysctlFile::read(reader, readers, directory, &name);
                files.push(file.unwrap_or_else(|| SysctlFile::empty(directory, name)));
            }
        }
        Self {
            conf: SysctlFile::read(reader, readers, "/etc", "sysctl.conf"),
            files,
            readers,
        }
    }

    /// Every file.
    pub fn all(&self) -> impl Iterator<Item = &SysctlFile> {
        self.files.iter().chain(&self.conf)
    }
}
