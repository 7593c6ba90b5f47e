//! What is tried on a kernel, each scenario in one file.

pub mod command;
pub mod evidence;
pub mod fix;
pub mod life;
pub mod metrics;
pub mod refusal;
mod staged;

use anyhow::{Context as _, Result};

use self::{
    command::{
        bench_who, demo, errors, incident, matrix, picture, probe, screen, status, unit_rights, who,
    },
    evidence::{culprits, disk, kills, limits},
    life::{boots, churn, lifecycle, module_life, net_check},
    metrics::{clients, program_runs, prometheus},
    refusal::{arming, confirm, counters, eviction, pcap, rule_drops, senders, table_full, unload},
};
use crate::{
    bench::{self, daemon, footprint, limit_raised, packets, rate, run_time},
    stage::Scenario,
};

/// All scenarios.
pub static ALL: &[&Scenario] = &[
    &boots::BOOTS,
    &net_check::NET_CHECK,
    &table_full::TABLE_FULL,
    &table_full::MANY_FLOWS,
    &table_full::PROTOCOLS,
    &table_full::TWO_NAMESPACES,
    &table_full::LOCAL,
    &table_full::ZONES,
    &eviction::EVICTION,
    &confirm::CLASH,
    &confirm::CLASH_BY_COUNTERS,
    &confirm::NAT_EXHAUSTED,
    &confirm::CHAIN_TOO_LONG,
    &confirm::NON_PACKET,
    &arming::ARMING,
    &senders::SENDERS,
    &pcap::PCAP,
    &pcap::PCAP_CLASH,
    &rule_drops::RULE_DROPS,
    &counters::TABLE_FULL,
    &counters::PROTOCOLS,
    &counters::TWO_NAMESPACES,
    &counters::CLASH,
    &counters::REFUSALS,
    &unload::DYING,
    &unload::STALE_EXTENSION,
    &churn::NETNS_CHURN,
    &churn::CPU_HOTPLUG,
    &lifecycle::LEAVES_NOTHING,
    &lifecycle::EDGES,
    &lifecycle::PINS_MODULE,
    &module_life::WAITS,
    &module_life::RELOADS,
    &module_life::RELOADS_SEEN,
    &errors::ERRORS,
    &errors::NO_KERNEL_SUPPORT,
    &probe::PROBE,
    &probe::CONFINED,
    &probe::BENT,
    &matrix::MATRIX,
    &unit_rights::UNIT_RIGHTS,
    &status::STATUS,
    &status::MODULE,
    &fix::AUTO,
    &fix::PLAN,
    &fix::BACKS_OFF,
    &fix::CEILING,
    &fix::BUCKETS,
    &fix::UNDONE,
    &fix::UNWRITABLE,
    &fix::RULES,
    &demo::DEMO,
    &screen::SCREEN,
    &who::WHO,
    &who::CHOSEN,
    &who::CHANGING,
    &who::saved::SAVED,
    &incident::INCIDENT,
    &incident::IDLENESS,
    &culprits::CULPRITS,
    &kills::KILLS,
    &disk::DISK,
    &limits::LIMITS,
    &clients::CLIENTS,
    &prometheus::PROMETHEUS,
    &program_runs::PROGRAM_RUNS,
    &bench_who::BENCH_WHO,
    &picture::PICTURE,
    &packets::PACKETS,
    &rate::RATE,
    &run_time::RUN_TIME,
    &limit_raised::LIMIT_RAISED,
    &footprint::FOOTPRINT,
    &daemon::DAEMON,
    &bench::screen::SCREEN,
];

/// The scenario of that name.
pub fn find(name: &str) -> Result<&'static Scenario> {
    let found = ALL.iter().copied().find(|scenario| scenario.name == name);
    found.with_context(|| format!("no scenario {name}: ctdrop-tests list shows all"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_into_a_kernel_parameter() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(names.iter().all(|name| name.bytes().all(fits)), "{names:?}");
    }
}
