//! Values of settings as they are written, on the command line and in the file.

use std::time::Duration;

use crate::store::keep::LEAST_BYTES;

/// The units of sizes, the largest first, as powers of 2.
const UNITS: [(&str, u32); 3] = [("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// Seconds of a day.
const DAY: u64 = 86_400;

/// A length of time, such as `30s` or `90d`.
///
/// # Errors
///
/// What is to be given instead.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text)
        .map_err(|_| "not a time: give a number and a unit, such as 500ms, 30s or 5m".to_owned())?;
    if parsed.is_zero() {
        return Err("must be longer than 0".to_owned());
    }
    Ok(parsed)
}

/// A size in bytes, with a unit of 1,024.
///
/// # Errors
///
/// What is to be given instead.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let unit = unit.trim();
    let is_meant =
        |name: &str| unit.eq_ignore_ascii_case(name) || unit.eq_ignore_ascii_case(&name[..1]);
    let Some((_, shift)) = UNITS.into_iter().find(|(name, _)| is_meant(name)) else {
        return Err("not a size: give a number and a unit, such as 64MiB or 1GiB".to_owned());
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a size: give one such as 64MiB".to_owned())?;
    let bytes = number.checked_mul(1 << shift);
    match bytes.filter(|bytes| (LEAST_BYTES..1 << 44).contains(bytes)) {
        Some(bytes) => Ok(bytes),
        None => Err("give a size of 4 MiB or more, and less than 16 TiB".to_owned()),
    }
}

/// A size as [`size`] reads it.
pub(super) fn size_text(bytes: u64) -> String {
    let exact = |&(_, shift): &(&str, u32)| bytes.is_multiple_of(1 << shift);
    match UNITS.into_iter().find(exact) {
        Some((name, shift)) => format!("{}{name}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// A length of time as [`duration`] reads it.
pub(super) fn duration_text(time: Duration) -> String {
    // Its months and years are no whole number of days.
    match time.as_secs() / DAY {
        days if days > 0 && time == Duration::from_secs(days * DAY) => format!("{days}days"),
        _ => humantime::format_duration(time).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for bytes in [4 << 20, 256 << 20, 3 << 30, (5 << 20) + 1024] {
            assert_eq!(size(&size_text(bytes)), Ok(bytes));
        }
        assert_eq!(size_text(256 << 20), "256MiB");
        for seconds in [1, DAY, 90 * DAY, DAY - 1, 400 * DAY + 1] {
            let time = Duration::from_secs(seconds);
            assert_eq!(duration(&duration_text(time)), Ok(time));
        }
        assert_eq!(duration_text(Duration::from_secs(90 * DAY)), "90days");
    }
}
