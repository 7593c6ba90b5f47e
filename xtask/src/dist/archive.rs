//! Archives that depend on nothing but their contents: sorted, with one owner and one
//! time.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use anyhow::{Context as _, Result, ensure};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::dist::file::File;

/// The longest name that the oldest form of tar holds, which everybody reads.
const LONGEST: usize = 100;

/// A tar archive of files and of the directories that they are in. Each name begins
/// with `prefix`.
pub(crate) fn tar(files: &[File], prefix: &str, time: u32) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let by_path: BTreeMap<&str, &File> = files.iter().map(|file| (&*file.path, file)).collect();
    ensure!(
        by_path.len() == files.len(),
        "two files of a package have the same path"
    );
    if prefix == "./" {
        append(&mut archive, prefix, EntryType::Directory, 0o755, time, &[])?;
    }
    let mut directories = BTreeSet::new();
    for (path, file) in by_path {
        for (end, _) in path.match_indices('/') {
            let directory = &path[..=end];
            if directories.insert(directory) {
                let name = format!("{prefix}{directory}");
                append(&mut archive, &name, EntryType::Directory, 0o755, time, &[])?;
            }
        }
        let name = format!("{prefix}{path}");
        append(
            &mut archive,
            &name,
            EntryType::Regular,
            file.mode,
            time,
            &file.bytes,
        )?;
    }
    archive.into_inner().context("cannot end an archive")
}

/// Adds an entry. The name is written as it is: the tar crate would drop `./`, by which
/// Debian's packages name their files.
fn append(
    archive: &mut Builder<Vec<u8>>,
    name: &str,
    kind: EntryType,
    mode: u32,
    time: u32,
    bytes: &[u8],
) -> Result<()> {
    ensure!(
        name.len() <= LONGEST,
        "the path {name} has more than {LONGEST} bytes"
    );
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_mtime(time.into());
    header.set_size(u64::try_from(bytes.len())?);
    header.set_cksum();
    let appended = archive.append(&header, bytes);
    appended.with_context(|| format!("cannot add {name} to an archive"))
}

/// Compresses as `gzip -9n` does: without a name or a time.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = GzBuilder::new().write(Vec::new(), Compression::best());
    let written = compressed
        .write_all(bytes)
        .and_then(|()| compressed.finish());
    written.context("cannot compress")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::dist::file::Role;

    /// What `gzip` has compressed.
    pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
        plain
    }

    /// The names in an archive with their permissions, and the contents of its files.
    pub(crate) fn listed(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!(header.mtime().unwrap(), 7);
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mode = entry.header().mode().unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (name, mode, bytes)
        });
        entries.collect()
    }

    #[test]
    fn entries_are_sorted_and_each_directory_comes_once_before_its_files() {
        let files = [
            File::program("usr/bin/b", "two"),
            File::new("etc/a", Role::Config, "one"),
            File::new("usr/bin/a", Role::Plain, ""),
        ];
        let archive = tar(&files, "./", 7).unwrap();
        let names: Vec<_> = listed(&archive)
            .into_iter()
            .map(|one| (one.0, one.1))
            .collect();
        let expected = [
            ("./", 0o755),
            ("./etc/", 0o755),
            ("./etc/a", 0o644),
            ("./usr/", 0o755),
            ("./usr/bin/", 0o755),
            ("./usr/bin/a", 0o644),
            ("./usr/bin/b", 0o755),
        ];
        assert_eq!(names, expected.map(|(name, mode)| (name.to_owned(), mode)));
        let mut turned = files.clone();
        turned.reverse();
        assert_eq!(tar(&turned, "./", 7).unwrap(), archive);
    }

    #[test]
    fn what_two_files_would_overwrite_is_an_error() {
        let file = File::new("a", Role::Plain, "");
        assert!(tar(&[file.clone(), file], "", 7).is_err());
        let long = File::new("a".repeat(101), Role::Plain, "");
        assert!(tar(&[long], "", 7).is_err());
    }

    #[test]
    fn what_is_compressed_has_no_time() {
        let compressed = gzip(b"text").unwrap();
        assert_eq!(&compressed[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
        assert_eq!(gunzip(&compressed), b"text");
    }
}
