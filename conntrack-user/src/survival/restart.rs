//! Restarts of services, and a reload of the module.

use crate::{
    facts::{
        Source,
        host_kernel::Form,
        iptables::{IptablesService, LoadSysctl},
        sysctl::{Does, Variable, line::number},
        writers::Timing,
    },
    survival::{
        machine::Machine,
        order,
        origin::{Actor, Caveat, Origin},
        outcome::{Outcome, ServiceRestart},
        settings::Fate,
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
                machine.unload(Actor::Stop("firewalld".to_owned()), source);
            }
            machine.load(Actor::Service("firewalld".to_owned()));
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
        outcome.origin = Origin::BuiltIn(Box::new(outcome.origin));
        return outcome;
    }
    machine.unload(Actor::Program("rmmod"), None);
    machine.load(Actor::Program("modprobe"));
    machine.run_writers(Timing::Always);
    machine.outcome()
}

fn restart_iptables(machine: &mut Machine<'_>, service: &IptablesService) {
    if !service.has_rules && service.idle_without_rules {
        return;
    }
    if let Some(source) = service.may_unload() {
        let mut kept = machine.clone();
        started_again(&mut kept, service);
        stop_iptables(machine, service);
        started_again(machine, service);
        if machine.max() != kept.max() {
            machine.doubt(Actor::Stop(service.name.to_owned()), source);
        }
        return;
    }
    if service.unloads() {
        stop_iptables(machine, service);
    }
    started_again(machine, service);
}

fn stop_iptables(machine: &mut Machine<'_>, service: &IptablesService) {
    let by = Actor::Stop(service.name.to_owned());
    machine.unload(by, service.unload.clone());
    let twin = machine.facts.iptables.iter().find(|other| {
        other.name != service.name
            && other.loads_conntrack()
            && machine.facts.services.starts(other.name)
    });
    if let Some(twin) = twin {
        machine.caveat(Caveat::KeptLoaded(twin.name));
    }
}

fn started_again(machine: &mut Machine<'_>, service: &IptablesService) {
    start_iptables(machine, service);
    if !machine.is_loaded() {
        // With the next rule that needs it, from whatever side.
        machine.load(Actor::FirstUser);
    }
}

/// What the start of `iptables` or `ip6tables` does: it loads modules by name,
/// then rules, then sets sysctls.
pub(super) fn start_iptables(machine: &mut Machine<'_>, service: &IptablesService) {
    if !service.has_rules {
        return;
    }
    if service.loads_conntrack() {
        machine.load(Actor::Service(service.name.to_owned()));
    }
    let Some(load) = &service.load else {
        return;
    };
    if let Some(unknown) = service.list.unknown() {
        machine.caveat(Caveat::ComputedList {
            list: list_name(service),
            source: unknown.clone(),
        });
        if may_set_another(machine, load) {
            machine.doubt(Actor::LoadSysctl(load.source.file.clone()), unknown);
        }
    }
    for word in service.words() {
        if word.contains(['*', '?', '[']) {
            machine.caveat(Caveat::FilePattern {
                word: word.to_owned(),
                list: list_name(service),
            });
        }
        load_sysctl(machine, service, load, word);
    }
}

/// Whether one of the lines that a list could choose sets another limit.
fn may_set_another(machine: &Machine<'_>, load: &LoadSysctl) -> bool {
    let files = load
        .files
        .iter()
        .flat_map(|pattern| order::expand(&machine.facts.sysctl, pattern));
    files.flat_map(|file| &file.by_command).any(|line| {
        line.does == Does::Unclear
            || line.sets(Variable::Max) && number(&line.value) != machine.max()
    })
}

/// Gives the lines that have a word in them to `sysctl -p -`.
fn load_sysctl(
    machine: &mut Machine<'_>,
    service: &IptablesService,
    load: &LoadSysctl,
    word: &str,
) {
    let facts = machine.facts;
    let by = Actor::LoadSysctl(load.source.file.clone());
    let dash = machine.knows_dash();
    for pattern in &load.files {
        for file in order::expand(&facts.sysctl, pattern) {
            for line in file
                .by_command
                .iter()
                .filter(|line| line.text.contains(word))
            {
                let setting = || Source {
                    file: file.file.clone(),
                    line: line.number,
                    text: line.text.trim().to_owned(),
                };
                if load.prefixed {
                    machine.caveat(Caveat::Prefixed {
                        script: load.source.clone(),
                        setting: setting(),
                    });
                    continue;
                }
                let fate = machine.assign(&by, &file.file, line, dash);
                let name = line.key.path.as_str();
                if fate != Fate::Done && load.failure_is_fatal {
                    machine.caveat(Caveat::StartFails {
                        setting: setting(),
                        service: service.name,
                    });
                } else if name.starts_with("net/bridge/") && load.failure_is_fatal {
                    machine.caveat(Caveat::NeedsBridge {
                        setting: setting(),
                        service: service.name,
                    });
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
        machine.run_lines(
            &Actor::Service("ufw".to_owned()),
            &sysctl.file,
            &sysctl.lines,
        );
    }
}
