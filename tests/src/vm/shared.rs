//! A guest that scenarios share, one after the other: most of them need no
//! untouched machine, and booting takes longer than many of them.

use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use super::{
    binaries::Binaries,
    kernels::Target,
    qemu::Guest,
    tools::Tools,
    trial::{LIMIT, judge, prepare},
};
use crate::stage::Scenario;

/// A guest that waits for scenarios. One in which a scenario has failed is not
/// to be used again.
#[derive(Debug)]
pub struct Shared {
    target: Target,
    guest: Guest,
    /// What it boots from.
    _files: TempDir,
}

impl Shared {
    /// Boots one.
    pub fn boot(target: &Target, binaries: &Binaries) -> Result<Self> {
        let (boot, files) = prepare(target, binaries, &Tools::default(), "")?;
        Ok(Self {
            target: *target,
            guest: boot.start()?,
            _files: files,
        })
    }

    /// The kernel and backend it tries.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Runs a scenario in it, like [`super::run`]; the console begins where
    /// that of the scenario before ended.
    pub fn run(&mut self, scenario: &Scenario) -> Result<Duration> {
        let run = self.guest.ask(scenario.name, LIMIT, &mut |_| {})?;
        judge(&self.target, scenario, &run)
    }
}
