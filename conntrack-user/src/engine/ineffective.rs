//! Options that have no effect with the backend that is used.

use conntrack_ebpf::Reason;

use crate::{
    engine::{by::By, options::Options},
    observe::{arming::Arm, backend::Backend, check::counter_history::can_prove},
    say::reason::{OTHER, reason_name},
};

/// The options without effect, each as a sentence. `pins_module`: whether the
/// programs hold the conntrack module.
pub fn notes(options: &Options, backend: Backend, pins_module: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if backend == Backend::Counters {
        notes.extend(reasons(options));
        notes.extend(rows(options));
    }
    if options.arm == Arm::Auto && !backend.can_rest() {
        notes.push(format!(
            "--arm auto has no effect with backend {backend}: it has no program that runs for \
             each new flow"
        ));
    }
    if options.release_module && !pins_module {
        notes.push(format!(
            "--release-module has no effect: backend {backend} does not hold module nf_conntrack \
             here"
        ));
    }
    notes
}

/// Reasons that counters cannot tell.
fn reasons(options: &Options) -> Option<String> {
    let proves = |name| {
        let mut reasons = Reason::ALL.into_iter();
        name == OTHER || reasons.any(|reason| reason_name(reason) == name && can_prove(reason))
    };
    let unknown: Vec<&str> = options
        .reasons
        .iter()
        .map(|reason| reason.as_str())
        .filter(|&name| !proves(name))
        .collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "--reason {}: backend counters cannot tell {this}; packets refused for it are counted as \
             {OTHER}",
            unknown.join(", "),
            this = if unknown.len() == 1 {
                "this reason"
            } else {
                "any of these reasons"
            }
        )
    })
}

/// Rows that would need flows.
fn rows(options: &Options) -> Option<String> {
    let by = match options.by {
        By::Flow | By::Netns => None,
        By::Src => Some("--by src"),
        By::Dst => Some("--by dst"),
        By::Service => Some("--by service"),
        By::Reason => Some("--by reason"),
        By::Sender => Some("--by sender"),
    };
    let asked: Vec<&str> = [
        by,
        options.protocol.map(|_| "--proto"),
        options.src.map(|_| "--src"),
        options.dst.map(|_| "--dst"),
        options.all_flows.then_some("--all-flows"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!asked.is_empty()).then(|| {
        format!(
            "no rows for {}: backend counters knows no flows, only namespaces (--by netns)",
            asked.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::say::reason::ReasonName;

    fn said(options: &Options, backend: Backend) -> Vec<String> {
        notes(options, backend, backend == Backend::Fexit)
    }

    #[track_caller]
    fn assert_said(options: &Options, backend: Backend, expected: &str) {
        let said = said(options, backend);
        assert_eq!(said.len(), 1, "{options:?}: {said:?}");
        assert!(said[0].contains(expected), "{options:?}: {said:?}");
    }

    fn by(by: By) -> Options {
        Options {
            by,
            ..Options::default()
        }
    }

    fn reasons(reasons: &[Reason]) -> Options {
        Options {
            reasons: reasons.iter().map(|&reason| reason.into()).collect(),
            ..Options::default()
        }
    }

    fn released() -> Options {
        Options {
            release_module: true,
            ..Options::default()
        }
    }

    fn armed_by_pressure() -> Options {
        Options {
            arm: Arm::Auto,
            ..Options::default()
        }
    }

    #[test]
    fn what_works_is_not_spoken_of() {
        for backend in Backend::ALL {
            assert!(said(&Options::default(), backend).is_empty());
        }
        let everything = Options {
            arm: Arm::Auto,
            protocol: Some(17),
            release_module: true,
            by: By::Sender,
            ..reasons(&[Reason::Clash])
        };
        assert!(said(&everything, Backend::Fexit).is_empty());
        let mut told = reasons(&[Reason::TableFull]);
        told.reasons.extend(ReasonName::find(OTHER));
        told.by = By::Netns;
        assert!(said(&told, Backend::Counters).is_empty());
    }

    #[test]
    fn counters_tell_few_reasons_and_no_flow() {
        let counters = Backend::Counters;
        assert_said(&reasons(&[Reason::Clash]), counters, "--reason clash: ");
        assert_said(
            &reasons(&[Reason::Dying, Reason::TableFull, Reason::NoMemory]),
            counters,
            "dying, no_memory:",
        );
        for (rows, option) in [
            (By::Src, "--by src"),
            (By::Dst, "--by dst"),
            (By::Service, "--by service"),
            (By::Reason, "--by reason"),
            (By::Sender, "--by sender"),
        ] {
            assert_said(&by(rows), counters, option);
        }
        let udp = Options {
            protocol: Some(17),
            ..Options::default()
        };
        assert_said(&udp, counters, "--proto");
        let from = Options {
            src: "10.0.0.0/8".parse().ok(),
            dst: "192.0.2.1/32".parse().ok(),
            ..Options::default()
        };
        assert_said(&from, counters, "--src, --dst");
        let all = Options {
            all_flows: true,
            ..Options::default()
        };
        assert_said(&all, counters, "--all-flows");
    }

    #[test]
    fn what_is_always_attached_cannot_be_armed() {
        for backend in Backend::ALL {
            assert_eq!(
                said(&armed_by_pressure(), backend).is_empty(),
                backend.can_rest()
            );
        }
    }

    #[test]
    fn only_what_holds_the_module_can_release_it() {
        assert_said(&released(), Backend::Kprobe, "does not hold");
        assert_said(&released(), Backend::Counters, "does not hold");
    }
}
