//! Something worth telling, and how it is ranked.

use std::fmt;

use serde::Serialize;

/// How bad it is. Worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something could not be judged.
    Unknown,
    /// It will hurt: the limit is lost by a boot, or the table is filling.
    Warning,
    /// It hurts: packets are refused, or are about to be.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, as a sentence.
    pub what: String,
    /// Why that is so, with files and lines.
    pub why: String,
    /// What to do; empty if nothing is to be done.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn new(
        severity: Severity,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            what: what.into(),
            why: why.into(),
            remedy: remedy.into(),
        }
    }
}

/// The overall state, as monitoring plugins tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing wrong.
    Ok,
    /// Something will hurt.
    Warning,
    /// Something hurts.
    Critical,
    /// Nothing wrong is known, and something could not be judged.
    Unknown,
}

impl State {
    /// The state that findings amount to.
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Critical) => Self::Critical,
            Some(Severity::Warning) => Self::Warning,
            Some(Severity::Unknown) => Self::Unknown,
            Some(Severity::Info) | None => Self::Ok,
        }
    }

    /// The exit code of a monitoring plugin.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => UNKNOWN,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// The exit code if nothing could be found out, as after wrong usage.
pub const UNKNOWN: u8 = 3;

/// The worst first; of the same severity in the order in which they were found.
pub(crate) fn rank(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides() {
        use Severity::{Critical, Info, Unknown, Warning};
        let of = |severities: &[Severity]| {
            let findings: Vec<Finding> = severities
                .iter()
                .map(|&severity| Finding::new(severity, "", "", ""))
                .collect();
            State::of(&findings).code()
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[Info]), 0);
        assert_eq!(of(&[Info, Unknown]), 3);
        assert_eq!(of(&[Unknown, Warning]), 1);
        assert_eq!(of(&[Warning, Critical, Unknown]), 2);
    }

    #[test]
    fn the_worst_comes_first() {
        let mut findings = [
            Finding::new(Severity::Info, "a", "", ""),
            Finding::new(Severity::Warning, "b", "", ""),
            Finding::new(Severity::Critical, "c", "", ""),
            Finding::new(Severity::Warning, "d", "", ""),
        ];
        rank(&mut findings);
        let order: Vec<&str> = findings
            .iter()
            .map(|finding| finding.what.as_str())
            .collect();
        assert_eq!(order, ["c", "b", "d", "a"]);
    }
}
