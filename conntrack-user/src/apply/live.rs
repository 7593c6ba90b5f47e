//! The variables of the running kernel: buckets first, then the limit.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::process::geteuid;

use crate::{
    facts::live_files::LiveFiles,
    kernel::defaults::Table,
    plan::LiveWrite,
    say::number::{counted_entries, number},
};

/// What is in force.
pub fn table(files: &LiveFiles) -> Result<Table> {
    Ok(Table {
        max: read(&files.max)?,
        buckets: read(&files.buckets)?,
    })
}

/// Raises limit and buckets at once, without a plan, and lowers neither. Returns
/// what was written, which another program may have changed since; if one cannot be
/// written, the other is restored.
pub fn raise(files: &LiveFiles, to: Table) -> Result<Vec<LiveWrite>> {
    let mut writes = Vec::new();
    for (path, after) in [(&files.buckets, to.buckets), (&files.max, to.max)] {
        if let Err(error) = raise_one(path, after, &mut writes) {
            let left = take_back(&writes, None);
            return Err(left.into_iter().fold(error, anyhow::Error::context));
        }
    }
    Ok(writes)
}

fn raise_one(path: &PathBuf, after: u64, writes: &mut Vec<LiveWrite>) -> Result<()> {
    let before = read(path)?;
    if before >= after {
        return Ok(());
    }
    // Not read back: another program may have put it back already, and only a later look can
    // tell that from a kernel that has not taken it.
    set(path, after)?;
    writes.push(LiveWrite {
        path: path.clone(),
        before: Some(before),
        after,
        why: "packets were refused".to_owned(),
    });
    Ok(())
}

/// Writes the values of a plan in their order, and reads them back.
pub fn apply(writes: &[LiveWrite]) -> Result<()> {
    writes
        .iter()
        .try_for_each(|write| self::write(&write.path, write.after))
}

fn set(path: &PathBuf, value: u64) -> Result<()> {
    fs::write(path, format!("{value}\n")).with_context(|| {
        format!(
            "cannot write {value} to {}: run {}in the host's own network namespace, with /proc/sys \
             and /sys writable",
            path.display(),
            if geteuid().is_root() { "" } else { "as root " }
        )
    })
}

fn write(path: &PathBuf, value: u64) -> Result<()> {
    set(path, value)?;
    let now = read(path)?;
    // Buckets are rounded up to whole pages.
    if now < value {
        bail!(
            "{} is {now} after {value} was written to it",
            path.display()
        );
    }
    Ok(())
}

/// The value of a variable.
pub(crate) fn read(path: &PathBuf) -> Result<u64> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read {}: is conntrack loaded?", path.display()))?;
    text.trim().parse().with_context(|| {
        format!(
            "{} holds {:?}, which is not a number",
            path.display(),
            text.trim()
        )
    })
}

/// Restores the old values, the limit first. Leaves a variable that another
/// program has set since, and a limit that would be lower than the number of
/// entries, with its buckets. Returns what was left, and why.
pub fn take_back(writes: &[LiveWrite], entries: Option<u64>) -> Vec<String> {
    let mut left = Vec::new();
    let mut limit_left = false;
    for write in writes.iter().rev() {
        let Some(before) = write.before else {
            continue;
        };
        let path = write.path.display();
        let outcome = read(&write.path).and_then(|now| {
            if now == before {
                return Ok(());
            }
            if !is_ours(now, write) {
                bail!(
                    "{path} is not restored: another program has set it to {}",
                    number(now)
                );
            }
            if is_buckets(write) && limit_left {
                bail!(
                    "{path} stays at {}, because the limit was not restored either: with fewer \
                     buckets, hash chains would get too long",
                    number(now)
                );
            }
            if !is_buckets(write)
                && let Some(entries) = entries.filter(|&entries| before > 0 && entries >= before)
            {
                bail!(
                    "{path} stays at {}: there are {} now, and with the old limit of {} the kernel \
                     would refuse new flows",
                    number(now),
                    counted_entries(entries),
                    number(before)
                );
            }
            self::write(&write.path, before)
        });
        limit_left |= !is_buckets(write) && outcome.is_err();
        left.extend(outcome.err().map(|error| format!("{error:#}")));
    }
    left
}

fn is_buckets(write: &LiveWrite) -> bool {
    let name = write.path.file_name().unwrap_or_default();
    name == "hashsize" || name == "nf_conntrack_buckets"
}

/// Whether a value is the one that was written. The kernel rounds buckets up to
/// whole pages, of up to 1,024.
fn is_ours(now: u64, write: &LiveWrite) -> bool {
    let more = now.checked_sub(write.after);
    more == Some(0) || (is_buckets(write) && more.is_some_and(|more| more < 1024))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::FileExt as _,
        path::Path,
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;

    /// Two files that stand for the kernel's.
    fn kernel() -> (tempfile::TempDir, LiveFiles) {
        let directory = tempfile::tempdir().unwrap();
        let files = LiveFiles {
            buckets: directory.path().join("nf_conntrack_buckets"),
            max: directory.path().join("nf_conntrack_max"),
        };
        fs::write(&files.buckets, "512\n").unwrap();
        fs::write(&files.max, "1000\n").unwrap();
        (directory, files)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    const fn table(max: u64, buckets: u64) -> Table {
        Table { buckets, max }
    }

    #[test]
    fn if_the_limit_cannot_be_written_buckets_are_taken_back() {
        let (_directory, files) = kernel();
        let files = LiveFiles {
            max: files.max.with_file_name("nowhere"),
            ..files
        };
        raise(&files, table(4000, 1024)).unwrap_err();
        assert_eq!(text(&files.buckets), "512\n");
    }

    #[test]
    fn what_is_less_is_raised_buckets_first() {
        let (_directory, files) = kernel();
        let writes = raise(&files, table(4000, 1024)).unwrap();
        let paths: Vec<&PathBuf> = writes.iter().map(|write| &write.path).collect();
        assert_eq!(paths, [&files.buckets, &files.max]);
        assert_eq!(
            (text(&files.buckets), text(&files.max)),
            ("1024\n".into(), "4000\n".into())
        );
        assert!(
            raise(&files, table(2000, 512)).unwrap().is_empty(),
            "nothing is made less"
        );
        assert_eq!(take_back(&writes, Some(10)), [""; 0]);
        assert_eq!(
            (text(&files.buckets), text(&files.max)),
            ("512\n".into(), "1000\n".into())
        );
    }

    #[test]
    fn who_puts_the_limit_back_at_once_makes_no_step_fail() {
        let (_directory, files) = kernel();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let file = fs::OpenOptions::new().write(true).open(&files.max).unwrap();
                while !over.load(Ordering::Relaxed) {
                    file.write_at(b"1000\n", 0).unwrap();
                }
            });
            let raised = (0..2_000).try_for_each(|_| raise(&files, table(4000, 512)).map(drop));
            over.store(true, Ordering::Relaxed);
            raised.unwrap();
        });
    }

    #[test]
    fn what_others_have_set_is_left() {
        let (_directory, files) = kernel();
        let writes = raise(&files, table(4000, 1024)).unwrap();
        for other in ["3000\n", "5000\n"] {
            fs::write(&files.max, other).unwrap();
            let left = take_back(&writes, None);
            assert!(
                left[0].contains("is not restored: another program has set it to"),
                "{left:?}"
            );
            assert_eq!(text(&files.max), other);
        }
        fs::write(&files.max, "4000\n").unwrap();
        let left = take_back(&writes, Some(2000));
        assert!(left[0].contains("would refuse new flows"), "{left:?}");
        assert_eq!(text(&files.max), "4000\n");
    }

    #[test]
    fn buckets_are_left_with_the_limit_and_to_who_has_set_them() {
        let (_directory, files) = kernel();
        let writes = raise(&files, table(16_384, 4096)).unwrap();
        let left = take_back(&writes, Some(9000));
        assert!(left[1].contains("chains would get too long"), "{left:?}");
        assert_eq!(text(&files.buckets), "4096\n");
        fs::write(&files.buckets, "2048\n").unwrap();
        let left = take_back(&writes, None);
        assert!(
            left[0].contains("another program has set it to 2,048"),
            "{left:?}"
        );
        assert_eq!(text(&files.buckets), "2048\n");
    }

    #[test]
    fn a_kernel_without_conntrack_is_told() {
        let files = LiveFiles {
            buckets: "/nowhere/buckets".into(),
            max: "/nowhere/max".into(),
        };
        let error = format!("{:#}", raise(&files, table(1, 1)).unwrap_err());
        assert!(
            error.contains("/nowhere/buckets") && error.contains("is conntrack loaded"),
            "{error}"
        );
    }
}
