//! Programs of Debian packages that some scenarios run beside ctdrop: in the `PATH` of a
//! guest, and of a scenario on this machine. Nothing of them is installed.

use std::path::PathBuf;

use anyhow::Result;

use super::{tools::Tools, unpacked};
use crate::stage::Scenario;

/// The release that they are of: that of the oldest C library they may meet.
const SUITE: &str = "bookworm";

/// Names of scenarios, each with the package whose program of the same name it runs.
const USED: [(&str, &str); 1] = [("prometheus", "prometheus")];

/// The path of the program that a scenario runs, if it runs one.
pub fn program(scenario: &Scenario) -> Result<Option<PathBuf>> {
    let Some((_, package)) = USED.iter().find(|(name, _)| *name == scenario.name) else {
        return Ok(None);
    };
    let directory = unpacked::provide(SUITE, package)?;
    Ok(Some(directory.join("usr/bin").join(package)))
}

/// The same with its libraries.
pub(super) fn tools(scenario: &Scenario) -> Result<Tools> {
    match program(scenario)? {
        Some(program) => Tools::of(vec![program]),
        None => Ok(Tools::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[test]
    fn those_who_run_a_program_are_scenarios_with_a_guest_of_their_own() {
        for (name, _) in USED {
            assert!(scenario::find(name).unwrap().alone, "{name}");
        }
    }
}
