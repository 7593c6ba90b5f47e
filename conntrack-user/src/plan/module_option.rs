//! Where only the option `hashsize` of the module carries the limit: when the module
//! is loaded with it, the limit is eight times the buckets.

use crate::{
    facts::{
        Facts, applier::Order, firewalld::Firewalld, init::EarlyList, iptables::IptablesService,
    },
    survival::Event,
};

/// What leads to a limit that only the option decides, whatever files are changed.
pub(crate) fn decides_alone(facts: &Facts) -> Option<Event> {
    if !facts.kernel.is_module() || !facts.applier.is_known() {
        return None;
    }
    let firewalld = facts
        .firewalld
        .as_ref()
        .filter(|_| facts.services.starts("firewalld"));
    let restarted =
        |service: &&IptablesService| firewalld.is_none() || facts.services.starts(service.name);
    let iptables = facts
        .iptables
        .iter()
        .filter(restarted)
        .find(|service| forgets(service));
    if let Some(service) = iptables {
        return Some(Event::Restart(service.name.to_owned()));
    }
    if firewalld.is_some_and(Firewalld::unloads) && !sets_after_each_load(facts) {
        return Some(Event::Restart("firewalld".to_owned()));
    }
    let too_early = facts.modules.early.is_none() && facts.init.early_list() == EarlyList::None;
    (too_early || facts.applier.order == Order::Nothing).then_some(Event::Boot)
}

/// Whether a restart of the service unloads conntrack, and its start sets nothing.
fn forgets(service: &IptablesService) -> bool {
    let sets = service.has_rules && service.load.as_ref().is_some_and(|load| !load.prefixed);
    service.unloads() && !sets && (service.has_rules || !service.idle_without_rules)
}

/// Whether a udev rule can set the limit whenever the module has been loaded:
/// before 5.11 it may come too early.
pub(crate) fn sets_after_each_load(facts: &Facts) -> bool {
    facts.init.is_systemd() && facts.kernel.is_at_least(5, 11) == Some(true)
}
