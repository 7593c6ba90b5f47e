//! Writes a file so that it is whole at any moment, old or new.

use std::{
    fs::{self, File, Permissions},
    io::{ErrorKind, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail};

/// Writes a report: beside the file, then in its place. Only the owner can read a new
/// one: it has addresses and names. What is no file, such as a pipe, is written to.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let there = match fs::metadata(path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(cannot),
    };
    if there.as_ref().is_some_and(fs::Metadata::is_dir) {
        let within = path.join("report.html");
        bail!(
            "{} is a directory: name a file in it, such as {}",
            path.display(),
            within.display()
        );
    }
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        let mut file = File::options()
            .write(true)
            .open(path)
            .with_context(cannot)?;
        return file.write_all(content).with_context(cannot);
    }
    // A link stays, and what it leads to is replaced.
    let target = match &there {
        Some(_) => fs::canonicalize(path).with_context(cannot)?,
        None => path.to_owned(),
    };
    let directory = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut beside = tempfile::Builder::new()
        .prefix(".ctdrop-report-")
        .tempfile_in(directory)
        .with_context(cannot)?;
    beside.write_all(content).with_context(cannot)?;
    if let Some(there) = there {
        let mode = Permissions::from_mode(there.permissions().mode());
        beside
            .as_file()
            .set_permissions(mode)
            .with_context(cannot)?;
    }
    beside.as_file().sync_all().with_context(cannot)?;
    beside.persist(&target).with_context(cannot)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_old_or_new_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        write(&path, b"one").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        write(&link, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o644
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let nowhere = directory.path().join("no/report.html");
        let error = format!("{:#}", write(&nowhere, b"x").unwrap_err());
        assert!(error.contains("no/report.html"), "{error}");
        let error = format!("{:#}", write(directory.path(), b"x").unwrap_err());
        assert!(
            error.contains("is a directory: name a file in it"),
            "{error}"
        );
    }
}
