//! What is in the static binary and is no crate: the C library, Rust's own library, and
//! SQLite.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    host::{answer, command},
    licences::dependency::Graph,
};

/// A library that is linked in.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: String,
    /// Its licence, as an SPDX expression.
    pub(crate) licence: &'static str,
    /// Where it is developed.
    pub(crate) home: &'static str,
}

/// The libraries that are linked in on this machine.
pub(crate) fn libraries(graph: &Graph) -> Result<Vec<Library>> {
    let glibc = answer(command("getconf")?.arg("GNU_LIBC_VERSION"));
    let glibc = glibc.trim().strip_prefix("glibc ");
    let rust = answer(command("rustc")?.arg("-V"));
    let rust = rust.split_whitespace().nth(1);
    let mut libraries = vec![
        Library {
            name: "glibc",
            version: glibc
                .context("getconf does not name the C library: it must be glibc")?
                .to_owned(),
            licence: "LGPL-2.1-or-later",
            home: "https://www.gnu.org/software/libc/",
        },
        Library {
            name: "rust-std",
            version: rust.context("rustc -V names no version")?.to_owned(),
            licence: "MIT OR Apache-2.0",
            home: "https://github.com/rust-lang/rust",
        },
    ];
    let shipped = graph.shipped();
    if let Some(bindings) = shipped.iter().find(|one| one.name == "libsqlite3-sys") {
        libraries.push(Library {
            name: "sqlite",
            version: sqlite(&bindings.folder)?,
            licence: "blessing",
            home: "https://www.sqlite.org/",
        });
    }
    Ok(libraries)
}

/// The version of the SQLite that the crate in this directory brings.
fn sqlite(folder: &Path) -> Result<String> {
    let header = folder.join("sqlite3/sqlite3.h");
    let text =
        fs::read_to_string(&header).with_context(|| format!("cannot read {}", header.display()))?;
    sqlite_version(&text)
        .map(str::to_owned)
        .with_context(|| format!("{} states no SQLITE_VERSION", header.display()))
}

/// The version in `#define SQLITE_VERSION        "3.51.0"`.
fn sqlite_version(header: &str) -> Option<&str> {
    let mut lines = header.lines();
    let value = lines.find_map(|line| line.strip_prefix("#define SQLITE_VERSION "))?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_not_that_of_another_line() {
        let header =
            "#define SQLITE_VERSION_NUMBER 3051000\n#define SQLITE_VERSION        \"3.51.0\"\n";
        assert_eq!(sqlite_version(header), Some("3.51.0"));
        assert_eq!(
            sqlite_version("#define SQLITE_VERSION_NUMBER 3051000\n"),
            None
        );
    }
}
