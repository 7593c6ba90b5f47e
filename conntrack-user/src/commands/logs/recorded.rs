//! What ctdrop has recorded at the time of a burst: an exact count beside the bounds that a
//! log gives.

use std::path::Path;

use conntrack_ebpf::Reason;
use jiff::Timestamp;

use crate::{
    commands::logs::report::{Burst, LogReport, Recorded},
    say::{number, reason::reason_name},
    store::{Reader, exact::Exact, failure::Failure},
};

/// A minute in milliseconds.
const MINUTE: i64 = 60_000;

fn recorded(exact: Exact) -> Option<Recorded> {
    let time = |millis| Timestamp::from_millisecond(millis).ok();
    Some(Recorded {
        packets: exact.packets,
        since: time(exact.since)?.to_string(),
        until: time(exact.until)?.to_string(),
    })
}

/// Sets beside each burst what was recorded at its time, if the evidence is of the host
/// that wrote the logs. Evidence that cannot be read is a warning; none at all is nothing.
pub(super) fn set_beside(report: &mut LogReport, file: &Path, is_of: impl Fn(&str) -> bool) {
    if report.bursts.is_empty() {
        return;
    }
    match counted(&mut report.bursts, file, is_of) {
        Ok(()) => {
            let contradictions = report.bursts.iter().filter_map(contradiction);
            report.warnings.extend(contradictions);
        }
        Err(Failure::Missing(_)) => {}
        Err(failure) => report.warnings.push(format!(
            "cannot read the exact counts that ctdrop has recorded: {failure}"
        )),
    }
}

/// The warning that there is no such file of evidence, for a directory that the user named.
pub(super) fn missing(file: &Path) -> Option<String> {
    matches!(file.try_exists(), Ok(false)).then(|| {
        format!(
            "there is no evidence in {}, so ctdrop logs shows no exact counts: name the directory of \
             ctdrop daemon with --state-dir",
            file.display()
        )
    })
}

/// What is said if the log shows more packets than were recorded.
fn contradiction(burst: &Burst) -> Option<String> {
    let recorded = burst.recorded.as_ref()?;
    let shown = burst.drops.at_least;
    (recorded.packets < shown).then(|| {
        format!(
            "the log shows {} at {}, but ctdrop recorded {} from {} to {}: these lines are of \
             another host or time, or ctdrop did not see all packets (ctdrop report --since {} \
             shows gaps)",
            number::counted(shown, "packet"),
            burst.first,
            number::number(recorded.packets),
            recorded.since,
            recorded.until,
            recorded.since
        )
    })
}

fn counted(bursts: &mut [Burst], file: &Path, is_of: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let reader = Reader::open(file)?;
    let hosts = reader.hosts()?;
    let mut hosts = hosts.iter().filter(|host| is_of(host));
    // Bursts of several hosts are added up.
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Ok(());
    };
    let now = Timestamp::now().as_millisecond();
    for burst in bursts {
        let millis = |time: &str| time.parse::<Timestamp>().map(Timestamp::as_millisecond);
        let (Ok(first), Ok(last)) = (millis(&burst.first), millis(&burst.last)) else {
            continue;
        };
        let reason = reason_name(Reason::TableFull);
        let exact = reader.exact(host, reason, (first, last + MINUTE), now)?;
        burst.recorded = exact.and_then(recorded);
    }
    Ok(())
}
