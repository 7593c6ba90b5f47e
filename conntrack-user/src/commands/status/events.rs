//! What may happen to a host, and whether the limit lasts through all of it.

use crate::{
    say::number::number,
    survival::{Action, Origin, Outcome, Survival},
};

/// Whether conntrack is unloaded and stays so: then there is no limit to tell.
pub(crate) fn leaves_unloaded(outcome: &Outcome) -> bool {
    let mut steps = outcome.steps.iter().rev();
    steps
        .find(|step| matches!(step.does, Action::Loads | Action::Unloads))
        .is_some_and(|step| step.does == Action::Unloads)
}

/// The limit after a boot, and what becomes of it: it lasts only if everything
/// else leads to the same.
pub(crate) fn sentence(survival: &Survival) -> String {
    let boot = &survival.boot;
    let others = survival
        .outcomes()
        .into_iter()
        .skip(1)
        .filter(|(_, outcome)| outcome.value != boot.value)
        .map(|(event, outcome)| format!("{} after {event}", limit(outcome)));
    let mut parts = vec![format!("the limit is {} after a boot", limit(boot))];
    parts.extend(others);
    if parts.len() == 1 && boot.value.is_some() {
        parts.push("and lasts".to_owned());
    }
    parts.join(", ")
}

/// The limit in words.
fn limit(outcome: &Outcome) -> String {
    match outcome.value {
        Some(0) => "0 (none)".to_owned(),
        Some(value) => number(value),
        None if leaves_unloaded(outcome) => "gone (conntrack is unloaded)".to_owned(),
        None if outcome.origin == Origin::NotLoaded => "none (conntrack is not loaded)".to_owned(),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survival::{Actor, ServiceRestart, Step};

    fn outcome(value: Option<u64>, does: &[Action]) -> Outcome {
        let steps = does.iter().map(|&does| Step {
            by: Actor::Program("iptables"),
            does,
            value: None,
            source: None,
        });
        Outcome {
            value,
            origin: Origin::Current,
            buckets: None,
            steps: steps.collect(),
            caveats: Vec::new(),
        }
    }

    fn said(boot: Option<u64>, restart: &Outcome, reload: Option<u64>) -> String {
        sentence(&Survival {
            boot: outcome(boot, &[Action::Loads]),
            service_restart: restart.clone(),
            module_reload: outcome(reload, &[Action::Unloads, Action::Loads]),
            services: vec![ServiceRestart {
                service: "iptables".to_owned(),
                outcome: restart.clone(),
            }],
        })
    }

    #[test]
    fn only_what_lasts_is_said_to() {
        let same = outcome(Some(1000), &[]);
        assert_eq!(
            said(Some(1000), &same, Some(1000)),
            "the limit is 1,000 after a boot, and lasts"
        );
        assert_eq!(
            said(Some(1000), &same, Some(500)),
            "the limit is 1,000 after a boot, 500 after a reload of the module"
        );
        assert_eq!(
            said(Some(1000), &outcome(Some(0), &[]), Some(2000)),
            "the limit is 1,000 after a boot, 0 (none) after a restart of iptables, \
             2,000 after a reload of the module"
        );
    }

    #[test]
    fn what_is_not_known_does_not_last() {
        let unknown = outcome(None, &[Action::Unloads, Action::Loads]);
        assert_eq!(
            said(None, &unknown, None),
            "the limit is unknown after a boot"
        );
        assert_eq!(
            said(Some(1000), &unknown, Some(1000)),
            "the limit is 1,000 after a boot, unknown after a restart of iptables"
        );
        let unloaded = outcome(None, &[Action::Loads, Action::Unloads]);
        assert!(leaves_unloaded(&unloaded) && !leaves_unloaded(&unknown));
        assert_eq!(
            said(Some(1000), &unloaded, Some(1000)),
            "the limit is 1,000 after a boot, gone (conntrack is unloaded) after a restart of iptables"
        );
    }
}
