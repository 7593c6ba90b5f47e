//! Commands that units run before files of sysctls are applied.

use crate::facts::{
    reader::{Reader, Source},
    systemd::{condition, files, order::UnitOrder, reached},
};

/// What applies files of sysctls, and what loads modules before it.
const APPLIER: &str = "systemd-sysctl.service";
const LOADER: &str = "systemd-modules-load.service";

/// Settings whose commands are run until a unit is started.
const STARTING: [&str; 3] = ["ExecStartPre", "ExecStart", "ExecStartPost"];

/// The command lines of units that surely come before the files are applied, and of
/// what applies them, before it does.
pub(in crate::facts) fn commands(reader: &Reader<'_>) -> Vec<(String, Source)> {
    let reached = reached::read(reader);
    let order = UnitOrder::read(reader, &reached);
    let mut found = Vec::new();
    let certain = reached.iter().filter(|reached| reached.certain);
    let early = certain
        .map(|reached| reached.unit.as_str())
        .filter(|unit| *unit != LOADER && order.comes_before(unit, APPLIER));
    for unit in [APPLIER, LOADER].into_iter().chain(early) {
        let texts = files::read(reader, unit);
        // The conditions of these two hold on any host that can set the limit.
        let of_systemd = [APPLIER, LOADER].contains(&unit);
        if !of_systemd && condition::holds(reader, &texts) != Some(true) {
            continue;
        }
        let keys = if unit == APPLIER {
            &STARTING[..1]
        } else {
            &STARTING[..]
        };
        for key in keys {
            found.extend(files::settings(&texts, "Service", key));
        }
    }
    found
}
