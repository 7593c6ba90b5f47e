//! The time that a report is about, as it was given.

use anyhow::{Result, bail};

use crate::{
    commands::report::options::{Of, Options},
    logs::time::{When, zone},
    say::clock,
};

/// The requested times, in milliseconds since 1970.
pub(super) fn written_times(options: &Options) -> Result<(Option<i64>, Option<i64>)> {
    match options.of {
        Of::Time { since, until } => resolved(since, until),
        Of::Last | Of::Incident(_) => Ok((None, None)),
    }
}

/// Two given times, in milliseconds since 1970.
pub(super) fn resolved(
    since: Option<When>,
    until: Option<When>,
) -> Result<(Option<i64>, Option<i64>)> {
    let zone = zone(None)?;
    let millis = |when: Option<When>| -> Result<Option<i64>> {
        let micros = when.map(|when| when.resolve(&zone)).transpose()?;
        Ok(micros.map(|micros| micros.div_euclid(1000)))
    };
    let (since, until) = (millis(since)?, millis(until)?);
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        bail!(
            "--since ({}) must be earlier than --until ({})",
            clock::shown_millis(since),
            clock::shown_millis(until)
        );
    }
    Ok((since, until))
}

/// A time, for people.
pub(super) fn between((from, to): (i64, i64)) -> String {
    format!(
        "from {} to {}",
        clock::shown_millis(from),
        clock::shown_millis(to)
    )
}
