//! Which command to run next.

use crate::{
    commands::status::report::StatusReport,
    say::finding::{Code, Severity},
};

/// A command line, and what it is for.
pub(super) type Next = (&'static str, &'static str);

const WATCH: Next = ("ctdrop watch", "which flows are refused, and why");
const WHO: Next = ("ctdrop who", "who fills the table");
const FIX: Next = (
    "ctdrop fix --dry-run",
    "the right limit and how to keep it; changes nothing",
);
const LOGS: Next = ("ctdrop logs", "when packets were refused before");
const AS_ROOT: Next = ("sudo ctdrop", "the same report as root");
const STATUS: Next = ("ctdrop status", "all numbers and findings");
const HELP: Next = ("ctdrop --help", "all commands");

/// At most so many commands before the last two.
const MOST: usize = 3;

/// The commands that the findings call for, the most urgent first.
pub(super) fn commands(report: &StatusReport, root: bool) -> Vec<Next> {
    let mut next = Vec::new();
    let incident = &report.incident;
    let filling_known = !has(report, Code::FillingUnknown);
    for finding in &report.findings {
        let command = match finding.code {
            Code::PacketsRefused => Some(WATCH),
            Code::TableNearlyFull | Code::TableFilling | Code::FillingUnknown => Some(WHO),
            Code::FewBuckets
            | Code::LimitNotInForce
            | Code::LimitLostAtBoot
            | Code::LimitLostByRestart
            | Code::LimitLostByReload
            | Code::SettingIneffective
            | Code::SettingNotRead => (finding.severity > Severity::Info).then_some(FIX),
            Code::RefusedSinceBoot => Some(LOGS),
            Code::NamespacesUnreadable
            | Code::NamespacesHidden
            | Code::FileUnreadable
            | Code::NumbersUnreadable => (!root).then_some(AS_ROOT),
            _ => None,
        };
        next.extend(command);
        // A flood or a leak fills any limit, so a higher one does not help for long.
        let helps = incident.wants_room() && !incident.fills_any_limit();
        if finding.code == Code::PacketsRefused && helps && filling_known {
            next.push(FIX);
        }
    }
    if next.is_empty() {
        next.push((
            "ctdrop watch",
            "show refused packets as soon as there are any",
        ));
    }
    let mut distinct: Vec<Next> = Vec::new();
    for one in next {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct.truncate(MOST);
    distinct.extend([STATUS, HELP]);
    distinct
}

fn has(report: &StatusReport, code: Code) -> bool {
    report.findings.iter().any(|finding| finding.code == code)
}
