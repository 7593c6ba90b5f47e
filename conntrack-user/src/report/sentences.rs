//! The three sentences at the top: what happened, who filled the table, what to do now.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use crate::{
    kernel::limits::is_full,
    report::model::{Census, Incident, Limits, Report, Summary},
    say::number::{counted, counted_entries, duration, number},
};

/// The three sentences.
pub(super) fn summary(report: &Report) -> Summary {
    let worst = report.incidents.iter().max_by_key(|it| it.refused);
    let what = match (report.incident, worst) {
        (Some(_), Some(incident)) => incident_sentence(incident, report),
        _ => time_sentence(report),
    };
    Summary {
        what: format!("{what}; {}.", log_sentence(report)),
        who: worst.map_or_else(
            || "No incident is recorded in this time, so ctdrop did not read the table.".to_owned(),
            |incident| who(incident, &report.censuses),
        ),
        now: now(worst, &report.limits),
    }
}

/// A time as people read it.
pub(super) fn moment(time: &str) -> String {
    let text = time.replace('T', " ");
    text.strip_suffix('Z')
        .map(|text| format!("{text} UTC"))
        .unwrap_or(text)
}

/// Packets, with how exactly they are known.
fn packets(refused: u64, report: &Report) -> String {
    let method = &report.method;
    match (method.at_least, method.at_most) {
        (Some(least), Some(most)) if !method.exact => format!(
            "between {} and {}",
            number(least.min(refused)),
            counted(most.max(refused), "packet")
        ),
        _ if method.exact => format!("exactly {}", counted(refused, "packet")),
        _ => format!("at least {}", counted(refused, "packet")),
    }
}

/// What was refused, by reason.
pub(super) fn reason(name: &str) -> &str {
    match name {
        "table_full" => "table full",
        "no_memory" => "no memory",
        "clash" => "clash",
        "nat_exhausted" => "no free port for NAT",
        "chain_too_long" => "hash chain too long",
        "dying" => "entry was being deleted",
        "stale_extension" => "stale extension",
        "already_confirmed" => "already confirmed",
        "other" => "not explained",
        "not_told" => "reason unknown",
        other => other,
    }
}

/// Counts by reason, the highest first.
pub(super) fn most_first(drops: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let drops = drops
        .iter()
        .map(|(name, packets)| (name.as_str(), *packets));
    let mut drops: Vec<(&str, u64)> = drops.collect();
    drops.sort_by_key(|&(_, packets)| Reverse(packets));
    drops
}

fn incident_sentence(incident: &Incident, report: &Report) -> String {
    let place = match incident.netns_name.as_str() {
        "host" => "on the host".to_owned(),
        name => format!("in network namespace {name}"),
    };
    let length = duration(Duration::from_secs_f64(incident.seconds.clamp(0.0, 1e12)));
    let open = if incident.closed.is_some() {
        ""
    } else {
        "; the incident is still open"
    };
    let reasons: Vec<String> = most_first(&incident.drops)
        .into_iter()
        .filter(|(_, packets)| *packets > 0)
        .map(|(name, packets)| format!("{}: {}", reason(name), number(packets)))
        .collect();
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join(", "))
    };
    format!(
        "Since {}, within {length}, conntrack refused {} {place}{reasons}{open}",
        moment(&incident.since),
        packets(incident.refused, report)
    )
}

fn time_sentence(report: &Report) -> String {
    let incidents = u64::try_from(report.incidents.len()).unwrap_or(u64::MAX);
    format!(
        "From {} to {}, conntrack refused {}; ctdrop recorded {}",
        moment(&report.since),
        moment(&report.until),
        packets(report.victims.refused, report),
        counted(incidents, "incident")
    )
}

fn log_sentence(report: &Report) -> String {
    let log = &report.method.log;
    let suppressed = if log.suppressed > 0 {
        format!(
            ", and reports {} as suppressed",
            counted(log.suppressed, "message")
        )
    } else {
        String::new()
    };
    format!(
        "the kernel's log shows {} about a full table{suppressed}",
        counted(log.lines, "line")
    )
}

fn who(incident: &Incident, censuses: &[Census]) -> String {
    let kind = format!("{} ({})", incident.kind_text, incident.confidence);
    let looks = censuses.iter();
    let looks = looks.filter(|census| census.incident == incident.incident);
    let fullest = looks.max_by_key(|census| census.entries);
    match (&incident.culprit, fullest) {
        (Some(culprit), Some(census)) => format!(
            "Who filled the table: flows {culprit}; the table had {}; diagnosis: {kind}.",
            counted_entries(census.entries)
        ),
        (Some(culprit), None) => format!("Look first at flows {culprit}; diagnosis: {kind}."),
        (None, Some(census)) => {
            let first = census.sources.first();
            let first = first.map_or_else(String::new, |first| {
                format!(
                    "; the largest source, {}, has {} of {} entries",
                    first.key,
                    number(first.entries),
                    number(census.entries)
                )
            });
            let who = match incident.entries.zip(incident.max) {
                Some((entries, max)) if max > 0 && !is_full(entries, max) => format!(
                    "The table was not full: it had {} of {} entries",
                    number(entries),
                    number(max)
                ),
                _ => "No single client or service filled the table".to_owned(),
            };
            format!("{who}{first}; diagnosis: {kind}.")
        }
        (None, None) => format!(
            "ctdrop did not read the table, so who filled it is unknown; diagnosis: {kind}."
        ),
    }
}

fn now(worst: Option<&Incident>, limits: &Limits) -> String {
    let remedies = worst.map(|incident| incident.remedies.iter().take(2));
    let mut steps: Vec<String> = remedies
        .into_iter()
        .flatten()
        .map(|remedy| match remedy.commands.first() {
            Some(command) => format!("{} ({command})", remedy.what),
            None => remedy.what.clone(),
        })
        .collect();
    steps.extend(lost(limits));
    if steps.is_empty() {
        return "What to do now: ctdrop has no advice.".to_owned();
    }
    format!("What to do now: {}.", steps.join("; "))
}

/// That the limit in force does not last.
fn lost(limits: &Limits) -> Option<String> {
    let last = limits.after.as_ref().or(limits.before.as_ref())?;
    let max = last.max?;
    let lower = |then: Option<u64>| then.is_some_and(|then| then != 0 && (max == 0 || then < max));
    let events = [
        ("a boot", last.boot.max),
        ("a restart of the firewall", last.service_restart.max),
        ("a reload of the module", last.module_reload.max),
    ];
    let events: Vec<&str> = events
        .into_iter()
        .filter(|(_, then)| lower(*then))
        .map(|(event, _)| event)
        .collect();
    (!events.is_empty()).then(|| {
        format!(
            "make the limit of {} last: {} would lower it (ctdrop fix)",
            number(max),
            events.join(" and ")
        )
    })
}
