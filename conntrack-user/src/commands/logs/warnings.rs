//! What may be wrong with what the logs say.

use crate::{
    commands::logs::values::{text, time},
    logs::{
        account::{moment::Moment, tally::Tally},
        read::summary::Summary,
    },
    say::number::counted,
};

/// The warnings of reading, and those that follow from the counts.
pub(super) fn of(read: &Summary) -> Vec<String> {
    let tally = &read.tally;
    let mut warnings = read.warnings.clone();
    warnings.extend(open(tally, read.lacks_reports));
    warnings.extend(damaged(tally));
    warnings.extend(excerpt(read.unfollowed));
    warnings.extend(without_time(tally));
    warnings
}

/// Says which lines have no time, among others that have one.
fn without_time(tally: &Tally) -> Option<String> {
    let minutes = tally.by_minute();
    let lines = minutes.get(&Moment::Unknown)?.lines;
    (lines > 0 && minutes.len() > 1).then(|| {
        format!(
            "{} about a full table without a time of day: not counted by minute. dmesg -e and -H give \
             some lines only the seconds since the line before ([  +0.000005]); dmesg without \
             options gives each line a time",
            counted(lines, "line")
        )
    })
}

/// Says which bursts may have been larger because nothing was reported of them.
fn open(tally: &Tally, lacks_reports: bool) -> Option<String> {
    let minutes = minutes(&tally.minutes_with(|count| count.open))?;
    let why = if lacks_reports {
        "the kernel reports what it suppressed in lines of their own (callbacks suppressed, \
         messages suppressed), and this log has nothing but lines about a full table: read the \
         whole log"
    } else {
        "the kernel reports what it suppressed only with its next message, and the log has none \
         after that burst"
    };
    Some(format!(
        "at_most is not an upper bound for the {minutes}: {why}"
    ))
}

/// Says which bursts may have been larger because a report is not whole.
fn damaged(tally: &Tally) -> Option<String> {
    let minutes = minutes(&tally.minutes_with(|count| count.damaged))?;
    Some(format!(
        "at_most is not an upper bound for the {minutes}: the line that says how many messages \
         the kernel suppressed is damaged"
    ))
}

/// Says that lines are missing.
fn excerpt(unfollowed: u64) -> Option<String> {
    let (reports, was) = match unfollowed {
        0 => return None,
        1 => ("report".to_owned(), "it is"),
        more => (counted(more, "report"), "they are"),
    };
    let after = if unfollowed == 1 { "the" } else { "each of" };
    Some(format!(
        "the log is an excerpt: the line that the kernel writes right after {after} {reports} of \
         suppressed messages is missing. It may have been about a full table, so {was} in at_most \
         although no line about a full table is near; a whole log gives a closer bound"
    ))
}

/// Moments that a warning names, at most.
const NAMED: usize = 3;

/// Names minutes of hosts; none if there are none.
fn minutes(minutes: &[(Moment, Option<&[u8]>)]) -> Option<String> {
    if minutes.is_empty() {
        return None;
    }
    let named: Vec<String> = minutes
        .iter()
        .take(NAMED)
        .map(|&(moment, host)| {
            let at = match moment {
                Moment::Uptime(at) => format!("{} s after the kernel's start", at / 1_000_000),
                _ => time(moment).unwrap_or_else(|| "an unknown time".to_owned()),
            };
            host.map_or_else(|| at.clone(), |host| format!("{at} on {}", text(host)))
        })
        .collect();
    let more = match minutes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let unit = if minutes.len() == 1 {
        "minute"
    } else {
        "minutes"
    };
    Some(format!("{unit} {}{more}", named.join(", ")))
}
