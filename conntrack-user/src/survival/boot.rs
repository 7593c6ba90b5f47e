//! A boot: modules that are loaded early, sysctls, services, and whoever writes
//! afterwards.

use crate::{
    facts::{Facts, init::Init, writers::Timing},
    survival::{machine::Machine, origin::Actor, restart, starting},
};

/// Boots.
pub(super) fn boot(facts: &Facts) -> Machine<'_> {
    let mut machine = Machine::off(facts);
    if let Some(early) = &facts.modules.early {
        machine.load(Actor::Line(early.clone()));
    }
    machine.run_writers(Timing::BeforeFiles);
    machine.run_boot_sysctl();
    machine.run_writers(Timing::AfterFiles);
    machine.run_early_writers();
    match facts.init {
        Init::RcSysinit { .. } => start_by_number(&mut machine),
        Init::Upstart => start_by_upstart(&mut machine),
        _ => start_firewalls(&mut machine),
    }
    // Nobody needs conntrack until a rule or a program does.
    machine.load(Actor::FirstUser);
    if !facts.applier.is_known() {
        machine.forget_boot();
    }
    starting::run(&mut machine);
    machine.run_writers(Timing::Always);
    machine.forget_rebuilt();
    machine
}

/// Services in the order of their numbers; `network` sets sysctls once more.
fn start_by_number(machine: &mut Machine<'_>) {
    let facts = machine.facts;
    for service in &facts.services.enabled {
        let iptables = facts
            .iptables
            .iter()
            .find(|found| found.name == service.name);
        if let Some(iptables) = iptables {
            restart::start_iptables(machine, iptables);
        } else if service.name == "network" {
            machine.run_boot_sysctl();
        } else if facts
            .loaders
            .iter()
            .any(|loader| loader.service == service.name)
        {
            machine.load(Actor::Service(service.name.clone()));
        }
    }
}

/// Upstart: ufw before the network; the job that sets sysctls once more when the
/// network is up; services after that (`/etc/init/ufw.conf`, `procps.conf`,
/// `rc-sysinit.conf` of Ubuntu 14.04).
fn start_by_upstart(machine: &mut Machine<'_>) {
    if machine.facts.ufw.as_ref().is_some_and(|ufw| ufw.enabled) {
        machine.load(Actor::Service("ufw".to_owned()));
        restart::start_ufw(machine);
    }
    machine.run_boot_sysctl();
    for loader in &machine.facts.loaders {
        machine.load(Actor::Service(loader.service.clone()));
    }
}

/// Firewalls, which start before the network, then what loads conntrack later.
fn start_firewalls(machine: &mut Machine<'_>) {
    let facts = machine.facts;
    for iptables in &facts.iptables {
        if facts.services.starts(iptables.name) {
            restart::start_iptables(machine, iptables);
        }
    }
    if let Some(unknown) = facts.ufw.as_ref().and_then(|ufw| ufw.unknown.as_ref()) {
        let by = Actor::Service("ufw".to_owned());
        machine.load(by.clone());
        machine.doubt(by, unknown);
    }
    for loader in &facts.loaders {
        machine.load(Actor::Service(loader.service.clone()));
        if loader.service == "ufw" {
            restart::start_ufw(machine);
        }
    }
}
