//! `ctdrop` without a command: shows on one screen whether packets are refused here now, and
//! which command to run next. It is a short `ctdrop status`: the same diagnosis and findings.

mod next;
mod text;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use rustix::process::geteuid;

use crate::{
    commands::{
        daemon,
        status::{self, capacity::Bounds},
    },
    say::{finding::State, output::Output, stdout},
};

/// Time between the two looks at the kernel's numbers.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long to wait for the census of a table.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks at this host. The state is that of `ctdrop status`.
pub fn run() -> Result<State> {
    let report = status::judge(&status::Options {
        output: Output::Text,
        root: Path::new("/").to_owned(),
        table: None,
        netns: None,
        interval: INTERVAL,
        patience: Some(PATIENCE),
        watch: None,
        bounds: Bounds::USUAL,
        state: PathBuf::from(daemon::STATE),
        textfile: None,
        nagios: false,
    })?;
    stdout::lines(text::lines(&report, geteuid().is_root()))?;
    Ok(report.state)
}
