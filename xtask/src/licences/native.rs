//! What is in the static binary and is no crate: the C library, Rust's own library, and
//! SQLite.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    architecture::Architecture,
    cross,
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

/// The libraries that are linked in for an architecture.
pub(crate) fn libraries(graph: &Graph, architecture: Architecture) -> Result<Vec<Library>> {
    let (compiler, mut rustc) = match architecture.if_other() {
        Some(other) => (other.compiler(), cross::rustc(other)?),
        None => ("cc", command("rustc")?),
    };
    let rust = answer(rustc.arg("-V"));
    let rust = rust.split_whitespace().nth(1);
    let mut libraries = vec![
        Library {
            name: "glibc",
            version: glibc(compiler)?,
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

/// The version of the C library that a compiler links with.
fn glibc(compiler: &str) -> Result<String> {
    let mut preprocess = command(compiler)?;
    preprocess.args([
        "-E",
        "-dM",
        "-x",
        "c",
        "-include",
        "features.h",
        "/dev/null",
    ]);
    glibc_version(&answer(&mut preprocess))
        .with_context(|| format!("{compiler} does not name its C library: it must be glibc"))
}

/// The version among the macros of C.
fn glibc_version(macros: &str) -> Option<String> {
    let value = |name: &str| {
        let mut lines = macros.lines();
        let value = lines.find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name));
        value.map(str::trim)
    };
    Some(format!(
        "{}.{}",
        value("__GLIBC__ ")?,
        value("__GLIBC_MINOR__ ")?
    ))
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
    fn the_c_library_is_named_by_its_macros() {
        let macros = "#define __GLIBC_USE(F) __GLIBC_USE_ ## F\n#define __GLIBC__ 2\n\
                      #define __GLIBC_MINOR__ 36\n";
        assert_eq!(glibc_version(macros).as_deref(), Some("2.36"));
        assert_eq!(glibc_version("#define __linux__ 1\n"), None);
    }

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
