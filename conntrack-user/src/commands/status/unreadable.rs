//! Network namespaces whose numbers are not known: that none of them is full is
//! not known either.

use serde::Serialize;

use crate::{
    kernel::netns,
    say::{
        finding::{Finding, Severity},
        number::shortened,
    },
};

/// Reasons that a finding gives; of a host with many namespaces they are alike.
const REASONS: usize = 2;

/// A network namespace that was found and could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// What it is called.
    pub name: String,
    /// Why.
    pub why: String,
    /// Whether it is privilege that was missing.
    #[serde(skip)]
    pub denied: bool,
}

impl Unseen {
    /// Of a namespace that could not be read; none if it has ended, and so is
    /// no part of the host any more.
    pub(crate) fn of(name: &str, error: &netns::Unreadable) -> Option<Self> {
        let denied = match error {
            netns::Unreadable::Gone { .. } => return None,
            netns::Unreadable::Denied { .. } => true,
            netns::Unreadable::Failed(_) => false,
        };
        Some(Self {
            name: name.to_owned(),
            why: error.to_string(),
            denied,
        })
    }
}

/// Why a part of the host may be full without being seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing {
    /// Why no namespace could be found; none if some were.
    pub(crate) not_found: Option<String>,
    /// Those that were found, with and without success.
    pub(crate) found: usize,
    /// Those that could not be looked into.
    pub(crate) unseen: Vec<Unseen>,
    /// Processes whose namespaces are not even known.
    pub(crate) hidden: usize,
    /// What to do where it is privilege that was missing.
    pub(crate) remedies: Remedies,
}

/// What keeps this process from looking, or what to do about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remedies {
    /// Into a namespace.
    pub(crate) to_enter: String,
    /// At the namespace of a process.
    pub(crate) to_see: String,
}

impl Remedies {
    /// Those of this process.
    pub(crate) fn now() -> Self {
        Self {
            to_enter: netns::why_not_entered(),
            to_see: netns::why_not_seen(),
        }
    }
}

impl Missing {
    /// What is to be said about it.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let hidden = (self.hidden > 0).then(|| {
            Finding::new(
                Severity::Unknown,
                format!(
                    "the network namespaces of {} cannot be seen",
                    match self.hidden {
                        1 => "1 process".to_owned(),
                        hidden => format!("{hidden} processes"),
                    }
                ),
                "a table that is full among them is not noticed",
                self.remedies.to_see.as_str(),
            )
        });
        self.finding().into_iter().chain(hidden).collect()
    }

    /// Of those that are known.
    fn finding(&self) -> Option<Finding> {
        if let Some(error) = &self.not_found {
            return Some(Finding::new(
                Severity::Unknown,
                "network namespaces cannot be found",
                format!("{error}; whether a table is full is not known"),
                "run as root, with procfs mounted on /proc",
            ));
        }
        let unseen = &self.unseen;
        let names: Vec<&str> = unseen.iter().map(|unseen| unseen.name.as_str()).collect();
        let reasons: Vec<&str> = unseen
            .iter()
            .take(REASONS)
            .map(|unseen| unseen.why.as_str())
            .collect();
        let of = match self.found {
            1 => "the only network namespace was not looked into".to_owned(),
            found => {
                let were = if unseen.len() == 1 { "was" } else { "were" };
                format!(
                    "{} of {found} network namespaces {were} not looked into",
                    unseen.len()
                )
            }
        };
        (!unseen.is_empty()).then(|| {
            Finding::new(
                Severity::Unknown,
                format!("{of}: {}", shortened(&names)),
                reasons.join("; "),
                if unseen.iter().any(|unseen| unseen.denied) {
                    self.remedies.to_enter.as_str()
                } else {
                    "mend what the reason names"
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(name: &str) -> Unseen {
        let error = netns::Unreadable::Denied {
            name: name.into(),
            why: "CAP_SYS_ADMIN is missing".to_owned(),
        };
        Unseen::of(name, &error).unwrap()
    }

    #[test]
    fn what_was_not_looked_into_is_unknown() {
        let missing = |found, unseen: Vec<Unseen>| Missing {
            found,
            unseen,
            remedies: Remedies {
                to_enter: "run as root".to_owned(),
                to_see: "grant it".to_owned(),
            },
            ..Missing::default()
        };
        assert_eq!(missing(3, Vec::new()).findings(), []);
        let hidden = Missing {
            hidden: 2,
            ..missing(3, Vec::new())
        };
        let findings = hidden.findings();
        assert_eq!(findings[0].severity, Severity::Unknown);
        assert!(findings[0].what.contains("of 2 processes"), "{findings:?}");
        assert_eq!(findings[0].remedy, "grant it");
        let finding = missing(3, vec![denied("blue"), denied("green")]).finding();
        let finding = finding.unwrap();
        assert_eq!(finding.severity, Severity::Unknown);
        assert_eq!(
            finding.what,
            "2 of 3 network namespaces were not looked into: blue, green"
        );
        assert!(finding.why.contains("CAP_SYS_ADMIN"), "{}", finding.why);
        assert_eq!(finding.remedy, "run as root");
        let many = (0..9)
            .map(|number| denied(&format!("ns{number}")))
            .collect();
        let finding = missing(10, many).finding().unwrap();
        assert!(finding.what.ends_with("ns0, ns1, ns2 and others"));
        assert_eq!(finding.why.matches("cannot enter").count(), REASONS);
    }

    #[test]
    fn privilege_does_not_mend_everything() {
        let failed = netns::Unreadable::Failed(anyhow::anyhow!("it needs Linux 3.17"));
        let missing = Missing {
            found: 1,
            unseen: Unseen::of("blue", &failed).into_iter().collect(),
            ..Missing::default()
        };
        let finding = missing.finding().unwrap();
        assert_eq!(
            finding.what,
            "the only network namespace was not looked into: blue"
        );
        assert!(!finding.remedy.contains("root"), "{}", finding.remedy);
    }

    #[test]
    fn what_has_ended_is_not_missing() {
        let gone = netns::Unreadable::Gone {
            name: "blue".to_owned(),
        };
        assert_eq!(Unseen::of("blue", &gone), None);
    }

    #[test]
    fn a_host_without_procfs_is_unknown() {
        let missing = Missing {
            not_found: Some("cannot list processes".to_owned()),
            ..Missing::default()
        };
        let finding = missing.finding().unwrap();
        assert_eq!(finding.severity, Severity::Unknown);
        assert!(finding.why.contains("cannot list processes"));
    }
}
