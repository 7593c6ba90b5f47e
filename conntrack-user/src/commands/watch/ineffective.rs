//! Options that do nothing on the rung that was taken.

use conntrack_ebpf::Reason;

use crate::{
    cli::{By, Watch},
    observe::{arming::Arm, backend::Backend},
    say::reason::{OTHER, reason_name},
};

/// The reasons that counters and log can bear out
/// ([`crate::observe::check::evidence`]); the rest is [`OTHER`].
const BORNE_OUT: [Reason; 5] = [
    Reason::TableFull,
    Reason::ChainTooLong,
    Reason::NonPacketChain,
    Reason::Evicted,
    Reason::ClashResolved,
];

/// What was asked for in vain, each as a sentence. `pins_module`: whether the
/// programs hold the conntrack module.
pub fn notes(options: &Watch, backend: Backend, pins_module: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if backend == Backend::Counters {
        notes.extend(reasons(options));
        notes.extend(rows(options));
    }
    if options.arm == Arm::Auto && !backend.can_rest() {
        notes.push(format!(
            "--arm auto does nothing with backend {backend}, which has nothing to attach for each \
             new flow"
        ));
    }
    if options.release_module && !pins_module {
        notes.push(format!(
            "--release-module does nothing: backend {backend} does not hold module nf_conntrack \
             here"
        ));
    }
    notes
}

/// Reasons that counters do not tell.
fn reasons(options: &Watch) -> Option<String> {
    let told = |name| name == OTHER || BORNE_OUT.map(reason_name).contains(&name);
    let untold: Vec<&str> = options
        .reason
        .iter()
        .map(|reason| reason.0)
        .filter(|&name| !told(name))
        .collect();
    (!untold.is_empty()).then(|| {
        format!(
            "--reason {}: the counters do not tell this reason, and packets lost to it are in {OTHER}",
            untold.join(", ")
        )
    })
}

/// Rows that would need flows.
fn rows(options: &Watch) -> Option<String> {
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
        options.proto.map(|_| "--proto"),
        options.all_flows.then_some("--all-flows"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!asked.is_empty()).then(|| {
        format!(
            "no rows for {}: the counters name no flow, only namespaces (--by netns)",
            asked.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;

    fn said(options: &str, backend: Backend) -> Vec<String> {
        let line = format!("ctdrop watch {options}");
        match Command::read(line.split_whitespace()).unwrap() {
            Command::Watch(watch) => notes(&watch, backend, backend == Backend::Fexit),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn assert_said(options: &str, backend: Backend, expected: &str) {
        let said = said(options, backend);
        assert_eq!(said.len(), 1, "{options}: {said:?}");
        assert!(said[0].contains(expected), "{options}: {said:?}");
    }

    #[test]
    fn what_works_is_not_spoken_of() {
        for backend in Backend::LADDER {
            assert!(said("", backend).is_empty());
        }
        let everything = "--arm auto --release-module --by sender --reason clash --proto udp";
        assert!(said(everything, Backend::Fexit).is_empty());
        assert!(
            said(
                "--reason table_full --reason other --by netns",
                Backend::Counters
            )
            .is_empty()
        );
    }

    #[test]
    fn counters_tell_few_reasons_and_no_flow() {
        let counters = Backend::Counters;
        assert_said("--reason clash", counters, "--reason clash: ");
        assert_said(
            "--reason dying --reason table_full --reason no_memory",
            counters,
            "dying, no_memory:",
        );
        for by in ["src", "dst", "service", "reason", "sender"] {
            let option = format!("--by {by}");
            assert_said(&option, counters, &option);
        }
        assert_said("--proto udp", counters, "--proto");
        assert_said("--all-flows", counters, "--all-flows");
    }

    #[test]
    fn what_is_always_attached_cannot_be_armed() {
        for backend in Backend::LADDER {
            assert_eq!(said("--arm auto", backend).is_empty(), backend.can_rest());
        }
    }

    #[test]
    fn only_what_holds_the_module_can_release_it() {
        assert_said("--release-module", Backend::Kprobe, "does not hold");
        assert_said("--release-module", Backend::Counters, "does not hold");
    }
}
