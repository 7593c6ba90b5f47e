//! What every command prints its results with: lines for people, and lines of
//! JSON.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What could not be done, if standard output cannot be written to.
pub const CANNOT_WRITE: &str = "cannot write to standard output";

/// Prints lines, without colours where these are not wanted.
pub fn lines(lines: impl IntoIterator<Item = impl Display>) -> Result<()> {
    let mut out = anstream::stdout().lock();
    for line in lines {
        writeln!(out, "{line}").context(CANNOT_WRITE)?;
    }
    out.flush().context(CANNOT_WRITE)
}

/// Prints a whole text as it is.
pub fn text(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context(CANNOT_WRITE)
}

/// Prints a line of JSON.
pub fn json(line: &impl Serialize) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer(&mut out, line)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .and_then(|()| out.flush())
        .context(CANNOT_WRITE)
}
