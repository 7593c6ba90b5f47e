//! A story: one thing to try on a whole system.

use anyhow::Result;

use super::packages;
use crate::vm::{self, Binaries, Content, DiskGuest, File, systems::System};

/// One thing to try on a system.
#[derive(Debug)]
pub struct Story {
    /// What tests and commands call it.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Whether it does not depend on the release, so that the newest one is enough.
    pub once: bool,
    /// Whether it installs the packages, which are then on the disk, too.
    pub packages: bool,
    /// What is put onto the disk before the first boot.
    pub files: &'static [File],
    /// Runs it on the booted system; an error is a failed assertion or a machine
    /// that does not work.
    pub run: fn(&mut DiskGuest) -> Result<()>,
}

impl Story {
    /// Tells it on a system.
    pub fn tell(&self, system: &System, binaries: &Binaries) -> Result<()> {
        let text = |(path, text): &File| ((*path).to_owned(), text.as_bytes().to_vec());
        let mut files: Vec<Content> = self.files.iter().map(text).collect();
        if self.packages {
            files.extend(packages::files()?);
        }
        vm::on_system(system, binaries, &files, self.name, self.run)
    }
}
