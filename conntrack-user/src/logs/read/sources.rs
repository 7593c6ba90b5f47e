//! Which logs there are: files with their rotations, the journal.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::makedev;

/// The files that syslog daemons write the kernel's messages to, the most
/// special first. Where one has them the others only have them again.
const USUAL: [&str; 3] = ["kern.log", "messages", "syslog"];

/// Where these are.
pub(super) const DIRECTORY: &str = "var/log";

/// Files of one log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where they are.
    pub parts: Vec<PathBuf>,
}

/// Which part of a log a file is, by its name. In order of age, the oldest
/// first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rotation {
    /// `messages-20240310`: by date.
    Dated(String),
    /// `messages.2`: the higher the older.
    Numbered(std::cmp::Reverse<u64>),
    /// Still written.
    Current,
}

/// The name of the log that a file is part of, and which part.
fn rotation(name: &str) -> (&str, Rotation) {
    let bare = [".gz", ".xz", ".zst", ".bz2"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name);
    let digits = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    if let Some((log, number)) = bare.rsplit_once('.')
        && number.len() < 8
        && let Ok(number) = number.parse()
    {
        return (log, Rotation::Numbered(std::cmp::Reverse(number)));
    }
    if let Some(log) = bare.strip_suffix(".old") {
        return (log, Rotation::Numbered(std::cmp::Reverse(1)));
    }
    for separator in ['-', '.'] {
        // `-20240310`, and `-20240310-1710028800` or `-2024031003`.
        for (at, _) in bare.match_indices(separator) {
            let date = &bare[at + 1..];
            if date.len() >= 8 && digits(date) {
                return (&bare[..at], Rotation::Dated(date.to_owned()));
            }
        }
    }
    (bare, Rotation::Current)
}

/// Puts the files together that are parts of one log.
pub fn logs(files: impl IntoIterator<Item = PathBuf>) -> Vec<Log> {
    let mut logs: BTreeMap<PathBuf, Vec<(Rotation, PathBuf)>> = BTreeMap::new();
    for file in files {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let (log, part) = rotation(name.as_deref().unwrap_or_default());
        logs.entry(file.with_file_name(log))
            .or_default()
            .push((part, file));
    }
    logs.into_values()
        .map(|mut parts| {
            parts.sort();
            parts.dedup();
            Log {
                parts: parts.into_iter().map(|(_, file)| file).collect(),
            }
        })
        .collect()
}

/// The log below `root` that the kernel's messages are written to, with its
/// rotations; none if there is none.
pub fn usual(root: &Path) -> io::Result<Option<Log>> {
    let directory = root.join(DIRECTORY);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let log = name.to_str().map(|name| rotation(name).0.to_owned());
        let empty = fs::metadata(entry.path())
            .is_ok_and(|metadata| !metadata.is_file() || metadata.len() == 0);
        if let Some(log) = log
            && !empty
        {
            files.push((log, entry.path()));
        }
    }
    Ok(USUAL.iter().find_map(|usual| {
        let of_log = files.iter().filter(|(log, _)| log == usual);
        logs(of_log.map(|(_, file)| file.clone())).pop()
    }))
}

/// Where systemd keeps the journal.
const JOURNALS: [&str; 2] = ["var/log/journal", "run/log/journal"];

/// What is looked for below a root.
pub fn looked_for() -> String {
    format!(
        "the journal in {}, and {} in {DIRECTORY} with their rotations",
        JOURNALS.join(" and "),
        USUAL.join(", ")
    )
}

/// Where the journal of the system below `root` is kept.
pub fn journal(root: &Path) -> Option<PathBuf> {
    JOURNALS
        .iter()
        .map(|directory| root.join(directory))
        .find(|directory| fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()))
}

/// Whether a file is the kernel's own log, whatever its name: it never ends, and whoever
/// reads it as a file waits for the next message. Memory device 11
/// (`Documentation/admin-guide/devices.txt`).
pub fn is_kernel_log(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| {
        metadata.file_type().is_char_device() && metadata.rdev() == makedev(1, 11)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(files: &[&str]) -> Vec<Vec<String>> {
        logs(files.iter().map(PathBuf::from))
            .into_iter()
            .map(|log| {
                log.parts
                    .iter()
                    .map(|part| part.display().to_string())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn rotations_are_read_oldest_first() {
        assert_eq!(
            parts(&[
                "/l/messages",
                "/l/messages.2.gz",
                "/l/messages.10.gz",
                "/l/messages.1"
            ]),
            [[
                "/l/messages.10.gz",
                "/l/messages.2.gz",
                "/l/messages.1",
                "/l/messages"
            ]]
        );
        assert_eq!(
            parts(&[
                "/l/messages",
                "/l/messages-20240310.xz",
                "/l/messages-20231231.zst"
            ]),
            [[
                "/l/messages-20231231.zst",
                "/l/messages-20240310.xz",
                "/l/messages"
            ]]
        );
        assert_eq!(
            parts(&[
                "/l/messages-20240310-1710028800.gz",
                "/l/messages-20240309-1710000000.gz"
            ]),
            [[
                "/l/messages-20240309-1710000000.gz",
                "/l/messages-20240310-1710028800.gz"
            ]]
        );
    }

    #[test]
    fn logs_are_kept_apart() {
        assert_eq!(
            parts(&[
                "a/kern.log.1",
                "b/kern.log",
                "a/kern.log",
                "a/web-7",
                "a/kern.log"
            ]),
            [
                vec!["a/kern.log.1", "a/kern.log"],
                vec!["a/web-7"],
                vec!["b/kern.log"]
            ]
        );
    }

    #[test]
    fn the_usual_log_is_the_most_special_one_that_is_not_empty() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(usual(root.path()).unwrap(), None);
        let logs = root.path().join("var/log");
        fs::create_dir_all(&logs).unwrap();
        for (name, text) in [
            ("syslog", "x"),
            ("kern.log", ""),
            ("messages-20240310", "x"),
            ("messages", ""),
            ("messages.d", "x"),
        ] {
            fs::write(logs.join(name), text).unwrap();
        }
        let usual = usual(root.path()).unwrap().unwrap();
        assert_eq!(usual.parts, [logs.join("messages-20240310")]);
    }

    #[test]
    fn the_kernels_own_log_is_known_by_its_device() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kmsg");
        fs::write(&file, "").unwrap();
        for other in [
            file.as_path(),
            Path::new("/dev/null"),
            Path::new("/nowhere"),
        ] {
            assert!(!is_kernel_log(other), "{}", other.display());
        }
        // Containers have none.
        let kmsg = Path::new("/dev/kmsg");
        if kmsg.exists() {
            let link = directory.path().join("link");
            std::os::unix::fs::symlink(kmsg, &link).unwrap();
            assert!(is_kernel_log(kmsg) && is_kernel_log(&link));
        }
    }
}
