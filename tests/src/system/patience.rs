//! Waits for what comes soon.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::vm::DiskGuest;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Waits until something is so; otherwise the error has what a command prints.
pub(super) fn until(
    host: &mut DiskGuest,
    what: &str,
    explanation: &str,
    is_so: impl Fn(&mut DiskGuest) -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(host)? {
        if Instant::now() > deadline {
            let explanation = host.run(["sh", "-c", explanation])?;
            bail!(
                "not so after {} s: {what}: {}{}",
                PATIENCE.as_secs(),
                explanation.stdout,
                explanation.stderr
            );
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}
