//! The options of `ctdrop status`.

use std::{path::PathBuf, time::Duration};

use crate::{commands::status::capacity::Bounds, say::output::Output};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// The tree to judge; `/` is the running host.
    pub root: PathBuf,
    /// The saved table of that tree, if it is not where it was copied from.
    pub table: Option<PathBuf>,
    /// The only network namespace to judge: its name, inode number, `pid:PID` or path; all
    /// of them if none is given.
    pub netns: Option<String>,
    /// Time between the two looks at the kernel's numbers.
    pub interval: Duration,
    /// How long to wait for the census of the worst namespace, if the report needs one. None
    /// waits until it is done.
    pub patience: Option<Duration>,
    /// With `--watch`, the time from the start of one report to the start of the next.
    pub watch: Option<Duration>,
    /// How full a table has to be.
    pub bounds: Bounds,
    /// Where `ctdrop daemon` keeps evidence, for the trend of each table.
    pub state: PathBuf,
    /// A file for `node_exporter`, which is written and nothing printed.
    pub textfile: Option<PathBuf>,
    /// Whether to print the output of a Nagios plugin.
    pub nagios: bool,
}
