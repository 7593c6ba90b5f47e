//! `ctdrop completions`: a script that makes a shell complete the command line.

use anyhow::Result;

use crate::say::stdout;

/// What is printed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The script, for the shell that was asked for.
    pub script: String,
}

/// Prints the script.
///
/// # Errors
///
/// Standard output cannot be written.
pub fn run(options: &Options) -> Result<()> {
    stdout::text(&options.script)
}
