//! `ctdrop man`: the manual pages, for packages and for those who copied the binary.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

/// What is written, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the pages, which is made if it is not there.
    pub directory: PathBuf,
    /// The page of the program and those of its commands.
    pub pages: Vec<Page>,
}

/// A manual page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The name of its file, such as `ctdrop-watch.1`.
    pub name: String,
    /// What it says, in roff.
    pub text: Vec<u8>,
}

/// Writes the pages.
///
/// # Errors
///
/// The directory or a file in it cannot be written.
pub fn run(options: &Options) -> Result<()> {
    let directory = &options.directory;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    for page in &options.pages {
        let file = directory.join(&page.name);
        fs::write(&file, &page.text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_written_to_a_new_directory() {
        let root = tempfile::tempdir().unwrap();
        let page = Page {
            name: "ctdrop.1".to_owned(),
            text: b".TH ctdrop 1\n".to_vec(),
        };
        let mut options = Options {
            directory: root.path().join("share/man1"),
            pages: vec![page],
        };
        run(&options).unwrap();
        let written = fs::read(options.directory.join("ctdrop.1")).unwrap();
        assert_eq!(written, b".TH ctdrop 1\n");

        options.directory = options.directory.join("ctdrop.1");
        let error = format!("{:#}", run(&options).unwrap_err());
        assert!(error.contains("cannot make the directory"), "{error}");
    }
}
