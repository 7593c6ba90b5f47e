//! What is released: its version, and the time that everything in it bears.

use std::{env, path::Path};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use crate::{
    architecture::Architecture,
    host::{answer, command},
};

/// The name of the program and of its packages.
pub(crate) const NAME: &str = "ctdrop";

/// What it is, in a line.
pub(crate) const SUMMARY: &str = "shows which network flows conntrack refuses, and why";

/// What it is, in a few lines.
pub(crate) const DESCRIPTION: [&str; 5] = [
    "ctdrop shows which network flows Linux connection tracking refuses, how many",
    "packets exactly, and why. It finds out who fills the conntrack table, and makes",
    "the right limit stick. Its service keeps the evidence of incidents.",
    "It is one static program, which embeds its eBPF programs and runs on Linux 3.2",
    "and later.",
];

/// Where it is developed.
pub(crate) const HOME: &str = env!("CARGO_PKG_REPOSITORY");

/// Who made the packages, as the licences name them. There is no address: questions go to
/// [`HOME`].
pub(crate) const MAINTAINER: &str = "The ctdrop authors";

/// The licence of the program and of the eBPF object in it.
pub(crate) const LICENCE: &str = "(MIT OR Apache-2.0) AND (GPL-2.0-only OR MIT)";

/// What is released.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// The version of the workspace.
    pub(crate) version: String,
    /// The revision of the packages of this version, from 1.
    pub(crate) revision: u32,
    /// The time that everything bears: seconds since 1970.
    pub(crate) time: u32,
    /// What the program is built for.
    pub(crate) architecture: Architecture,
}

impl Release {
    /// The release of this workspace. Its time is that of the last commit, or what
    /// the variable `SOURCE_DATE_EPOCH` says.
    pub(crate) fn of(root: &Path, revision: u32, architecture: Architecture) -> Result<Self> {
        let said = match env::var("SOURCE_DATE_EPOCH") {
            Ok(said) => said,
            Err(_) => answer(
                command("git")?
                    .current_dir(root)
                    .args(["log", "-1", "--format=%ct"]),
            ),
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision,
            time: seconds(&said)?,
            architecture,
        })
    }

    /// The version with the revision, as Debian and RPM write it.
    pub(crate) fn full(&self) -> String {
        format!("{}-{}", self.version, self.revision)
    }

    /// The time, such as `2026-03-12T13:40:34Z`.
    pub(crate) fn rfc3339(&self) -> Result<String> {
        let time = Timestamp::from_second(self.time.into());
        Ok(time
            .context("the time of the release is out of range")?
            .to_string())
    }
}

/// The seconds in what git or the user says.
fn seconds(said: &str) -> Result<u32> {
    ensure!(
        !said.trim().is_empty(),
        "git does not tell the time of the last commit: set SOURCE_DATE_EPOCH to the seconds since 1970"
    );
    let seconds = said.trim().parse();
    seconds.with_context(|| format!("SOURCE_DATE_EPOCH is not a number of seconds: {said}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A release for tests.
    pub(crate) fn release() -> Release {
        Release {
            version: "1.2.3".to_owned(),
            revision: 4,
            time: 1_700_000_000,
            architecture: Architecture::Arm64,
        }
    }

    #[test]
    fn the_time_is_a_number_of_seconds() {
        assert_eq!(seconds("1700000000\n").unwrap(), 1_700_000_000);
        let error = |said| format!("{:#}", seconds(said).unwrap_err());
        assert!(error("").contains("set SOURCE_DATE_EPOCH"));
        assert!(error("today").contains("not a number of seconds: today"));
        assert_eq!(release().rfc3339().unwrap(), "2023-11-14T22:13:20Z");
        assert_eq!(release().full(), "1.2.3-4");
    }
}
