//! Restarts of services, and a reload of the module.

use crate::{
    facts::{
        host_kernel::Form,
        iptables::{IptablesService, LoadSysctl},
        writers::Timing,
    },
    survival::{
        machine::{Fate, Machine},
        order,
        outcome::{Because, Outcome, ServiceRestart},
    },
};

/// What a restart of each service leads to that unloads conntrack or sets
/// sysctls; of those that run, or could.
pub(super) fn services(begin: &Machine<'_>) -> Vec<ServiceRestart> {
    let facts = begin.facts;
    let firewalld = facts
        .firewalld
        .as_ref()
        .filter(|_| facts.services.starts("firewalld"));
    let mut outcomes = Vec::new();
    let mut after = |service: &str, restart: &dyn Fn(&mut Machine<'_>)| {
        let mut machine = begin.again();
        restart(&mut machine);
        machine.run_writers(Timing::Always);
        outcomes.push(ServiceRestart {
            service: service.to_owned(),
            outcome: machine.outcome(),
        });
    };
    for iptables in &facts.iptables {
        // Where firewalld does the work, the other one is only installed.
        if firewalld.is_none() || facts.services.starts(iptables.name) {
            after(iptables.name, &|machine| {
                restart_iptables(machine, iptables);
            });
        }
    }
    if let Some(firewalld) = firewalld {
        after("firewalld", &|machine| {
            if firewalld.unloads() {
                let source = firewalld.cleanup.as_ref().map(|(_, source)| source.clone());
                machine.unload("the stop of firewalld", source);
            }
            machine.load("firewalld");
        });
    }
    if facts.ufw.as_ref().is_some_and(|ufw| ufw.enabled) {
        after("ufw", &start_ufw);
    }
    outcomes
}

/// What a restart leads to where no service does anything.
pub(super) fn none(begin: &Machine<'_>) -> Outcome {
    let mut machine = begin.again();
    machine.run_writers(Timing::Always);
    machine.outcome()
}

/// What a reload of the module leads to.
pub(super) fn reload(begin: &Machine<'_>) -> Outcome {
    let mut machine = begin.again();
    if machine.facts.kernel.form == Form::BuiltIn {
        let mut outcome = none(begin);
        outcome.because = Because {
            why: format!(
                "conntrack is built in and cannot be unloaded; {}",
                outcome.because.why
            ),
            ..outcome.because
        };
        return outcome;
    }
    machine.unload("rmmod", None);
    machine.load("modprobe");
    machine.run_writers(Timing::Always);
    machine.outcome()
}

fn restart_iptables(machine: &mut Machine<'_>, service: &IptablesService) {
    if service.unloads() {
        let by = format!("the stop of {}", service.name);
        machine.unload(&by, service.unload.clone());
        let twin = machine.facts.iptables.iter().find(|other| {
            other.name != service.name
                && other.loads_conntrack()
                && machine.facts.services.starts(other.name)
        });
        if let Some(twin) = twin {
            machine.caveat(format!(
                "while {} runs, its rules may keep the module loaded, and the limit with it",
                twin.name
            ));
        }
    }
    start_iptables(machine, service);
    if !machine.is_loaded() {
        // With the next rule that needs it, from whatever side.
        machine.load("whatever needs it first");
    }
}

/// What the start of `iptables` or `ip6tables` does: it loads modules by name,
/// then rules, then sets sysctls.
pub(super) fn start_iptables(machine: &mut Machine<'_>, service: &IptablesService) {
    if !service.has_rules {
        return;
    }
    if service.loads_conntrack() {
        machine.load(service.name);
    }
    let Some(load) = &service.load else {
        return;
    };
    if service.list.computed {
        machine.caveat(format!(
            "{} is set in a way that only the shell could tell",
            list_name(service)
        ));
    }
    for word in service.words() {
        if word.contains(['*', '?', '[']) {
            machine.caveat(format!(
                "the shell takes {word} in {} for a pattern of file names",
                list_name(service)
            ));
        }
        load_sysctl(machine, service, load, word);
    }
}

/// Gives the lines that have a word in them to `sysctl -p -`.
fn load_sysctl(
    machine: &mut Machine<'_>,
    service: &IptablesService,
    load: &LoadSysctl,
    word: &str,
) {
    let facts = machine.facts;
    let by = format!("load_sysctl of {}", service.name);
    let dash = machine.knows_dash();
    for pattern in &load.files {
        for file in order::expand(&facts.sysctl, pattern) {
            for line in file.lines.iter().filter(|line| line.text.contains(word)) {
                let place = format!("{}:{}", file.file.display(), line.number);
                if load.prefixed {
                    machine.caveat(format!(
                        "{} puts the name of the file before what it finds, so that {place} is not \
                         understood",
                        load.source
                    ));
                    continue;
                }
                let fate = machine.assign(&by, &file.file, line, dash);
                let name = line.key.path.as_str();
                if fate != Fate::Done && load.failure_is_fatal {
                    machine.caveat(format!(
                        "{place} cannot be set, so that the start of {} fails although the rules \
                         are loaded",
                        service.name
                    ));
                } else if name.starts_with("net/bridge/") && load.failure_is_fatal {
                    machine.caveat(format!(
                        "{place} needs br_netfilter; without, the start of {} fails",
                        service.name
                    ));
                }
            }
        }
    }
}

fn list_name(service: &IptablesService) -> String {
    format!("{}_SYSCTL_LOAD_LIST", service.name.to_ascii_uppercase())
}

/// What the start of ufw does after its rules.
pub(super) fn start_ufw(machine: &mut Machine<'_>) {
    let facts = machine.facts;
    if let Some(sysctl) = facts.ufw.as_ref().and_then(|ufw| ufw.sysctl.as_ref()) {
        machine.run_lines("ufw", &sysctl.file, &sysctl.lines);
    }
}
