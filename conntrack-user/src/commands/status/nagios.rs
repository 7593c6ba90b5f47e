//! `ctdrop status --nagios`: the output of a Nagios plugin, for Nagios, Icinga, Naemon, NRPE
//! and others. One line with the state and performance data, then the findings
//! (<https://www.monitoring-plugins.org/doc/guidelines.html>).

use std::fmt::Display;

use crate::{
    commands::status::{
        capacity::Bounds,
        report::StatusReport,
        text::essence,
        textfile::{SOON, named},
    },
    say::{
        finding::{Finding, State},
        text::plain,
    },
};

/// The most tables with performance data of their own: the fullest ones.
const TABLES: usize = 10;

/// All lines.
pub(super) fn lines(report: &StatusReport, bounds: Bounds) -> Vec<String> {
    let data = performance(report, bounds).join(" ");
    let first = format!("{}|{data}", headline(report.state, &essence(report)));
    let findings = report.findings.iter().map(finding);
    [first].into_iter().chain(findings).collect()
}

/// The line if `ctdrop status` failed, or could not read its command line.
pub(crate) fn failure(why: &impl Display) -> String {
    headline(State::Unknown, &plain(&format!("{why:#}")))
}

fn headline(state: State, what: &str) -> String {
    format!("CTDROP {state} - {}", without_bar(what))
}

fn finding(finding: &Finding) -> String {
    let Finding {
        severity,
        what,
        why,
        ..
    } = finding;
    let remedy = match finding.remedies() {
        none if none.is_empty() => none,
        remedies => format!(". Remedy: {remedies}"),
    };
    let line = format!("{severity}: {what}. Why: {why}{remedy}");
    without_bar(&plain(&line))
}

/// Replaces `|`: performance data begin at the first one.
fn without_bar(text: &str) -> String {
    text.replace('|', "/")
}

/// `LABEL=VALUE[UNIT];WARNING;CRITICAL;LEAST;MOST` of each number that is known.
fn performance(report: &StatusReport, bounds: Bounds) -> Vec<String> {
    let mut data = Vec::new();
    for (name, table) in named(&report.namespaces).into_iter().take(TABLES) {
        if let Some(entries) = table.used.entries {
            let label = format!("entries {name}");
            data.push(match table.used.max.filter(|&max| max > 0) {
                Some(max) => {
                    let share = |percent: u8| max.saturating_mul(percent.into()) / 100;
                    let (warning, critical) = (share(bounds.warning), share(bounds.critical));
                    datum(&label, format!("{entries};{warning};{critical};0;{max}"))
                }
                None => datum(&label, format!("{entries};;;0")),
            });
        }
        if let Some(seconds) = table.full_in.filter(|&time| time <= SOON.as_secs_f64()) {
            data.push(datum(
                &format!("full in {name}"),
                format!("{seconds:.0}s;;;0"),
            ));
        }
    }
    if let Some(refused) = report.refused {
        let packets = refused.packets;
        data.push(datum(
            "refused at least",
            format!("{};;;0", packets.at_least),
        ));
        data.push(datum("refused at most", format!("{};;;0", packets.at_most)));
    }
    let counters = report.counters.as_ref();
    let counters = [
        ("drop", counters.and_then(|counters| counters.drop)),
        (
            "early_drop",
            counters.and_then(|counters| counters.early_drop),
        ),
        (
            "insert_failed",
            counters.and_then(|counters| counters.insert_failed),
        ),
    ];
    for (name, value) in counters {
        data.extend(value.map(|value| datum(name, format!("{value}c"))));
    }
    let survives = &report.survives;
    let limits = [
        ("limit", report.limit.max),
        ("buckets", report.limit.buckets),
        ("limit after boot", survives.boot.value),
        (
            "limit after service restart",
            survives.service_restart.value,
        ),
        ("limit after module reload", survives.module_reload.value),
    ];
    for (name, value) in limits {
        data.extend(value.map(|value| datum(name, format!("{value};;;0"))));
    }
    data
}

/// A number with its label, which has no equals sign; a quote in it is doubled.
fn datum(label: &str, value: impl Display) -> String {
    let label = without_bar(&plain(label))
        .replace('=', "_")
        .replace('\'', "''");
    format!("'{label}'={value}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::anyhow;

    use super::*;
    use crate::{
        facts::{Facts, root::Root},
        incident::look::SavedTable,
    };

    const BOUNDS: Bounds = Bounds {
        warning: 75,
        critical: 90,
    };

    fn report(tree: &str) -> StatusReport {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/trees")
            .join(tree);
        let facts = Facts::read(&Root::open(&root).unwrap()).unwrap();
        StatusReport::of_tree(facts, root, &SavedTable::default(), BOUNDS)
    }

    #[test]
    fn a_full_table_is_critical_and_its_thresholds_are_entries() {
        let lines = lines(&report("el5-curly-quotes"), BOUNDS);
        let (text, data) = lines[0].split_once('|').unwrap();
        assert!(
            text.starts_with("CTDROP CRITICAL - the table of host is 99 % full"),
            "{text}"
        );
        assert!(
            data.starts_with("'entries host'=65530;49152;58982;0;65536 "),
            "{data}"
        );
        assert!(data.contains(" 'drop'=5991c "), "{data}");
        assert!(data.contains(" 'limit after boot'=1048576;;;0"), "{data}");
        assert!(
            lines.len() > 2 && lines[1].starts_with("critical: "),
            "{lines:?}"
        );
        assert!(lines[1..].iter().all(|line| !line.contains('|')));
        let garbled = |line: &String| line.contains('\u{fffd}');
        assert!(!lines.iter().any(garbled), "{lines:?}");
    }

    #[test]
    fn labels_are_such_as_plugins_may_have() {
        assert_eq!(
            datum("entries it's=a|b\n", 1),
            "'entries it''s_a/b\u{fffd}'=1"
        );
    }

    #[test]
    fn a_failure_is_unknown() {
        let line = failure(&anyhow!("no | tree"));
        assert_eq!(line, "CTDROP UNKNOWN - no / tree");
    }
}
