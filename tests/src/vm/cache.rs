//! Where kernels and images are kept between runs and between clones.

use std::{
    env,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The directory of everything that is kept: `$XDG_CACHE_HOME/ctdrop/vm`, by
/// default `~/.cache/ctdrop/vm`. It may be deleted at any time.
pub(super) fn root() -> Result<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let base = base.context("no place to keep test kernels: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("ctdrop/vm"))
}

/// Makes the directory `place` unless it is there. `fill` writes into another
/// directory that becomes `place` only when it is complete, so that an
/// interrupted run leaves nothing half; a lock keeps a second process waiting.
pub(super) fn provide(place: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if place.exists() {
        return Ok(());
    }
    let above = place
        .parent()
        .with_context(|| format!("{} has no parent", place.display()))?;
    fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))?;
    let _lock = lock(&place.with_added_extension("lock"))?;
    if place.exists() {
        return Ok(());
    }
    let partial = place.with_added_extension("partial");
    remove(&partial)?;
    fs::create_dir(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    if let Err(error) = fill(&partial) {
        remove(&partial)?;
        return Err(error);
    }
    fs::rename(&partial, place).with_context(|| format!("cannot create {}", place.display()))
}

/// Waits for the lock file `path`; the lock ends with the file's value.
pub(super) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Removes a directory with all that it holds, if it exists.
pub(super) fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_failed_attempt_leaves_nothing_and_the_next_one_succeeds_once() {
        let above = tempfile::tempdir().unwrap();
        let place = above.path().join("kernels/6.1");
        let failed = provide(&place, |partial| {
            fs::write(partial.join("half"), "")?;
            bail!("interrupted")
        });
        assert!(failed.is_err());
        assert!(!place.exists());
        assert!(!place.with_added_extension("partial").exists());
        provide(&place, |partial| Ok(fs::write(partial.join("whole"), "")?)).unwrap();
        assert!(place.join("whole").exists());
        assert!(!place.join("half").exists());
        provide(&place, |_| bail!("it is there already")).unwrap();
    }
}
