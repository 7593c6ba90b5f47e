//! Findings about network namespaces whose numbers are not known: a table in
//! them may be full.

use crate::{
    kernel::netns::namespaces_of,
    observe::unread::Unread,
    say::{
        finding::{Code, Finding, Severity},
        number::shortened,
    },
};

/// Reasons that a finding gives; of a host with many namespaces they are alike.
const REASONS: usize = 2;

/// What is to be said about the part of a host that could not be read.
pub(crate) fn findings(unread: &Unread) -> Vec<Finding> {
    let hidden = (!unread.hidden.is_empty()).then(|| {
        Finding::new(
            Code::NamespacesHidden,
            Severity::Unknown,
            format!("{} cannot be seen", namespaces_of(&unread.hidden)),
            "one of them may have a full table",
            unread.remedies.to_see.as_str(),
        )
    });
    of_namespaces(unread).into_iter().chain(hidden).collect()
}

/// Of those that are known.
fn of_namespaces(unread: &Unread) -> Option<Finding> {
    if let Some(error) = &unread.not_found {
        return Some(Finding::new(
            Code::NamespacesNotFound,
            Severity::Unknown,
            "the network namespaces cannot be found",
            format!("{error}; a table may be full"),
            "mount procfs on /proc",
        ));
    }
    let namespaces = &unread.namespaces;
    let names: Vec<&str> = namespaces.iter().map(|it| it.name.as_str()).collect();
    let reasons = namespaces.iter().take(REASONS).map(|it| it.why.as_str());
    let reasons: Vec<&str> = reasons.collect();
    let of = match unread.found {
        1 => "the only network namespace cannot be read".to_owned(),
        found => format!(
            "{} of {found} network namespaces cannot be read",
            namespaces.len()
        ),
    };
    (!namespaces.is_empty()).then(|| {
        Finding::new(
            Code::NamespacesUnreadable,
            Severity::Unknown,
            format!("{of}: {}", shortened(&names)),
            reasons.join("; "),
            if namespaces.iter().any(|it| it.denied) {
                unread.remedies.to_enter.as_str()
            } else {
                "fix the error shown under why, then run the command again"
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::netns,
        observe::unread::{Remedies, UnreadableNamespace},
    };

    fn denied(name: &str) -> UnreadableNamespace {
        let error = netns::Unreadable::Denied {
            name: name.into(),
            why: "CAP_SYS_ADMIN is missing".to_owned(),
        };
        UnreadableNamespace::of(name, &error).unwrap()
    }

    #[test]
    fn a_namespace_that_cannot_be_read_is_unknown() {
        let unread = |found, namespaces: Vec<UnreadableNamespace>| Unread {
            found,
            namespaces,
            remedies: Remedies {
                to_enter: "run as root".to_owned(),
                to_see: "grant it".to_owned(),
            },
            ..Unread::default()
        };
        assert_eq!(findings(&unread(3, Vec::new())), []);
        let process = |pid, comm: &str| netns::HiddenProcess {
            pid,
            comm: Some(comm.to_owned()),
        };
        let hidden = Unread {
            hidden: vec![process(7, "nginx"), process(8, "envoy")],
            ..unread(3, Vec::new())
        };
        let found = findings(&hidden);
        assert_eq!(found[0].severity, Severity::Unknown);
        assert_eq!(
            found[0].what,
            "the network namespaces of processes 7 (nginx) and 8 (envoy) cannot be seen"
        );
        assert_eq!(found[0].remedy, "grant it");
        let finding = of_namespaces(&unread(3, vec![denied("blue"), denied("green")]));
        let finding = finding.unwrap();
        assert_eq!(finding.severity, Severity::Unknown);
        assert_eq!(
            finding.what,
            "2 of 3 network namespaces cannot be read: blue, green"
        );
        assert!(finding.why.contains("CAP_SYS_ADMIN"), "{}", finding.why);
        assert_eq!(finding.remedy, "run as root");
        let many = (0..9)
            .map(|number| denied(&format!("ns{number}")))
            .collect();
        let finding = of_namespaces(&unread(10, many)).unwrap();
        assert!(finding.what.ends_with("ns0, ns1, ns2 and others"));
        assert_eq!(finding.why.matches("cannot enter").count(), REASONS);
    }

    #[test]
    fn privilege_does_not_mend_everything() {
        let failed = netns::Unreadable::Failed(anyhow::anyhow!("it needs Linux 3.17"));
        let unread = Unread {
            found: 1,
            namespaces: UnreadableNamespace::of("blue", &failed)
                .into_iter()
                .collect(),
            ..Unread::default()
        };
        let finding = of_namespaces(&unread).unwrap();
        assert_eq!(
            finding.what,
            "the only network namespace cannot be read: blue"
        );
        assert!(!finding.remedy.contains("root"), "{}", finding.remedy);
    }

    #[test]
    fn a_namespace_that_has_ended_is_no_part_of_the_host() {
        let gone = netns::Unreadable::Gone {
            name: "blue".to_owned(),
        };
        assert_eq!(UnreadableNamespace::of("blue", &gone), None);
    }

    #[test]
    fn a_host_without_procfs_is_unknown() {
        let unread = Unread {
            not_found: Some("cannot list processes".to_owned()),
            ..Unread::default()
        };
        let finding = of_namespaces(&unread).unwrap();
        assert_eq!(finding.severity, Severity::Unknown);
        assert!(finding.why.contains("cannot list processes"));
    }
}
