//! Programs that some scenarios run beside ctdrop: of Debian packages that nobody installs, in the
//! `PATH` of a guest and of a scenario on this machine; or of this machine, also in a guest.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{architecture::Architecture, tools::Tools, unpacked};
use crate::stage::Scenario;

/// The release that they are of: that of the oldest C library they may meet.
const SUITE: &str = "bookworm";

/// Names of scenarios, each with the package whose program of the same name it runs.
const USED: [(&str, &str); 1] = [("prometheus", "prometheus")];

/// Names of scenarios that use a terminal.
const TERMINALS: [&str; 2] = ["picture", "screen"];

/// What that takes: programs of this machine.
const TERMINAL: [&str; 2] = ["tmux", "sh"];

/// Without this file tmux does not start.
const UTF8: &str = "/usr/lib/locale/C.utf8/LC_CTYPE";

/// The path of the program that a scenario runs, if it is of a package that is not installed.
pub fn program(scenario: &Scenario) -> Result<Option<PathBuf>> {
    let Some((_, package)) = USED.iter().find(|(name, _)| *name == scenario.name) else {
        return Ok(None);
    };
    let directory = unpacked::provide(SUITE, package)?;
    Ok(Some(directory.join("usr/bin").join(package)))
}

/// All that a guest needs beside ctdrop for a scenario.
pub(super) fn tools(architecture: Architecture, scenario: &Scenario) -> Result<Tools> {
    if TERMINALS.contains(&scenario.name) {
        let mut tools = Tools::find(architecture, &TERMINAL)?;
        // It is the same for every architecture.
        tools.add(Path::new(UTF8), Path::new(UTF8));
        return Ok(tools);
    }
    if architecture != Architecture::HERE {
        let package = USED.iter().find(|(name, _)| *name == scenario.name);
        let package = package.map(|(_, package)| *package);
        return Tools::find(architecture, package.as_slice());
    }
    match program(scenario)? {
        Some(program) => Tools::of(&[program]),
        None => Ok(Tools::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn those_who_run_a_program_are_scenarios_with_a_guest_of_their_own() {
        let names = USED.map(|(name, _)| name);
        for name in names.into_iter().chain(TERMINALS) {
            assert!(scenario::find(name).unwrap().alone, "{name}");
        }
    }
}
