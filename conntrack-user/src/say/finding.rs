//! Something worth telling, and how it is ranked.

use std::{fmt, iter};

use serde::Serialize;

use crate::say::text::plain;

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

/// What is found: stable in JSON, and listed with its meaning in
/// docs/findings.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The network namespaces of the host cannot be found.
    NamespacesNotFound,
    /// Some network namespaces cannot be read. A table in them may be full.
    NamespacesUnreadable,
    /// The network namespaces of some processes cannot be seen.
    NamespacesHidden,
    /// Packets were refused between the two looks. With severity info: all of
    /// them may be clashes that were resolved.
    PacketsRefused,
    /// A table is fuller than `--critical` or `--warning`.
    TableNearlyFull,
    /// A table will be full within ten minutes if it goes on growing like this.
    TableFilling,
    /// Packets have been refused since boot.
    RefusedSinceBoot,
    /// The limit is 0, which is none: entries can take all memory.
    NoLimit,
    /// The hash table has few buckets for the limit.
    FewBuckets,
    /// A full table takes a large share of the memory.
    MemoryShare,
    /// Established TCP connections stay in the table for days after the last
    /// packet.
    LongTimeout,
    /// Files set a higher limit than the one in force.
    LimitNotInForce,
    /// The limit will be lower after a boot.
    LimitLostAtBoot,
    /// The limit will be lower after a restart of a firewall service.
    LimitLostByRestart,
    /// The limit will be lower after the module is loaded again. With severity
    /// info: no service of this host does that.
    LimitLostByReload,
    /// A line that sets the limit has no effect: its name or its value is wrong
    /// for this kernel, or it sets the number of entries, which can only be read.
    SettingIneffective,
    /// Nothing reads a file at boot that sets the limit.
    SettingNotRead,
    /// Lines that set the limit are overridden by another one.
    SettingsOverridden,
    /// A file that may decide the limit cannot be read.
    FileUnreadable,
    /// A number of the kernel cannot be read.
    NumbersUnreadable,
    /// Something that may change the limit cannot be predicted.
    PredictionIncomplete,
    /// The limit after a boot, a restart or a reload cannot be predicted.
    LimitUnknown,
    /// A configuration of the shell has letters that only look like quotes or
    /// blanks.
    TypographicQuotes,
    /// A line that should set the list of sysctls of `iptables` does not.
    ListNotSet,
    /// The start of `iptables` cannot set sysctls: its script is too old.
    ListNotSupported,
    /// A backup in `/etc/sysctl.d` is applied, because its suffix does not
    /// matter to a service.
    BackupApplied,
    /// An option of the module has no effect.
    ModuleOptionIneffective,
    /// Another program writes the limit.
    OtherWriter,
    /// The limit will be lower than wanted after a boot, a restart or a reload,
    /// in spite of the fix.
    LimitNotKept,
    /// The limit will be higher than wanted after a boot, a restart or a reload,
    /// because of the fix.
    LimitHigher,
    /// A line keeps modprobe from loading conntrack.
    ModuleKeptOut,
    /// Another program has changed the limit right after the fix.
    LimitChangedBack,
    /// The files were not changed, because one of them cannot be.
    FilesNotChanged,
    /// The demand is higher than the ceiling.
    AboveCeiling,
    /// The wanted limit is lower than the number of entries now.
    BelowEntries,
    /// The wanted limit is lower than the current one.
    BelowCurrent,
    /// The list of sysctls of `iptables` is left as it is: a further word would
    /// make the start fail.
    ListNotExtended,
    /// A file is left as it is: it has a form that cannot be edited safely.
    FileNotEditable,
    /// It is unknown what fills the table, so a leak or a flood is not noticed.
    FillingUnknown,
    /// This is a container, whose files do not decide the limit of the host.
    InContainer,
    /// A log says that the table of `ip_conntrack` was full.
    IpConntrackFull,
    /// A log says that the table of `nf_conntrack` was full.
    NfConntrackFull,
    /// A log says that tables of network namespaces besides the host's were full.
    NamespacesFull,
    /// A log says that tables of OpenVZ containers were full.
    ContainersFull,
    /// A log says that there were too many expected connections.
    ExpectationsFull,
    /// A log says that the module was loaded again while its kernel ran, with its
    /// default limit.
    LimitReset,
}

impl Code {
    /// All of them, in the order of the enumeration.
    pub const ALL: [Self; 46] = [
        Self::NamespacesNotFound,
        Self::NamespacesUnreadable,
        Self::NamespacesHidden,
        Self::PacketsRefused,
        Self::TableNearlyFull,
        Self::TableFilling,
        Self::RefusedSinceBoot,
        Self::NoLimit,
        Self::FewBuckets,
        Self::MemoryShare,
        Self::LongTimeout,
        Self::LimitNotInForce,
        Self::LimitLostAtBoot,
        Self::LimitLostByRestart,
        Self::LimitLostByReload,
        Self::SettingIneffective,
        Self::SettingNotRead,
        Self::SettingsOverridden,
        Self::FileUnreadable,
        Self::NumbersUnreadable,
        Self::PredictionIncomplete,
        Self::LimitUnknown,
        Self::TypographicQuotes,
        Self::ListNotSet,
        Self::ListNotSupported,
        Self::BackupApplied,
        Self::ModuleOptionIneffective,
        Self::OtherWriter,
        Self::LimitNotKept,
        Self::LimitHigher,
        Self::ModuleKeptOut,
        Self::LimitChangedBack,
        Self::FilesNotChanged,
        Self::AboveCeiling,
        Self::BelowEntries,
        Self::BelowCurrent,
        Self::ListNotExtended,
        Self::FileNotEditable,
        Self::FillingUnknown,
        Self::InContainer,
        Self::IpConntrackFull,
        Self::NfConntrackFull,
        Self::NamespacesFull,
        Self::ContainersFull,
        Self::ExpectationsFull,
        Self::LimitReset,
    ];
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, as a sentence.
    pub what: String,
    /// Why that is so, with files and lines; empty if there is no more to say.
    pub why: String,
    /// The remedies, one on each line; empty if there is nothing to do.
    pub remedy: String,
}

impl Finding {
    pub(crate) fn new(
        code: Code,
        severity: Severity,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            what: what.into(),
            why: why.into(),
            remedy: remedy.into(),
        }
    }

    /// The remedies on one line.
    pub(crate) fn remedies(&self) -> String {
        self.remedy.replace('\n', "; ")
    }

    /// Reason and remedy as lines of text below the finding.
    pub(crate) fn details(&self) -> Vec<String> {
        let rows = [("why", &self.why), ("remedy", &self.remedy)];
        rows.iter()
            .flat_map(|(label, text)| {
                let labels = iter::once(*label).chain(iter::repeat(""));
                labels.zip(text.lines())
            })
            .map(|(label, line)| format!("  {label:<7} {}", plain(line)))
            .collect()
    }
}

/// On one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for (sign, text) in [(": ", &self.why), ("; ", &self.remedies())] {
            if !text.is_empty() {
                write!(f, "{sign}{text}")?;
            }
        }
        Ok(())
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
                .map(|&severity| Finding::new(Code::NoLimit, severity, "", "", ""))
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
            Finding::new(Code::NoLimit, Severity::Info, "a", "", ""),
            Finding::new(Code::NoLimit, Severity::Warning, "b", "", ""),
            Finding::new(Code::NoLimit, Severity::Critical, "c", "", ""),
            Finding::new(Code::NoLimit, Severity::Warning, "d", "", ""),
        ];
        rank(&mut findings);
        let order: Vec<&str> = findings
            .iter()
            .map(|finding| finding.what.as_str())
            .collect();
        assert_eq!(order, ["c", "b", "d", "a"]);
    }

    #[test]
    fn the_documentation_lists_the_codes() {
        let page = include_str!("../../../docs/findings.md");
        let listed: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let codes = Code::ALL.map(|code| serde_json::to_value(code).unwrap());
        assert_eq!(listed, codes.each_ref().map(|code| code.as_str().unwrap()));
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number, "{code:?}");
        }
        assert_eq!(Code::ALL.len(), Code::LimitReset as usize + 1);
    }

    #[test]
    fn a_finding_fits_on_a_line() {
        let finding = |why, remedy| Finding::new(Code::NoLimit, Severity::Info, "a", why, remedy);
        assert_eq!(finding("b", "c").to_string(), "a: b; c");
        assert_eq!(finding("", "").to_string(), "a");
        assert_eq!(
            finding("b", "c\nd").details(),
            ["  why     b", "  remedy  c", "          d"]
        );
        assert_eq!(finding("b", "c\nd").to_string(), "a: b; c; d");
        assert_eq!(finding("b", "").details(), ["  why     b"]);
    }
}
