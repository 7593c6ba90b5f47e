//! Units of systemd that set the limit with a command, with their drop-ins, and
//! timers that start them.

use crate::facts::{
    reader::{Reader, TextFile},
    services::Services,
    writers::{
        commands::Commands,
        programs,
        scripts::writer,
        unit_files::{DIRECTORIES, files, settings},
        writer::{Applier, Does, Timing, Writer},
    },
};

pub(super) fn read(
    reader: &Reader<'_>,
    services: &Services,
    commands: &Commands<'_>,
) -> Vec<Writer> {
    let timers = timers(reader);
    let mut names: Vec<String> = reader
        .names(DIRECTORIES[0])
        .into_iter()
        .filter_map(|name| {
            let unit = name.strip_suffix(".d").unwrap_or(&name);
            Some(unit.strip_suffix(".service")?.to_owned())
        })
        .chain(services.enabled.iter().map(|enabled| enabled.name.clone()))
        .chain(timers.iter().map(|(service, _)| service.clone()))
        .collect();
    names.sort();
    names.dedup();
    let mut writers = Vec::new();
    for name in names {
        let files = files(reader, &format!("{name}.service"));
        let timer = timers.iter().find(|(service, _)| *service == name);
        let runs = services.starts(&name) || timer.is_some();
        let timing = match timer {
            Some((_, true)) if !services.starts(&name) => Timing::Always,
            _ => Timing::AtStart,
        };
        writers.extend(files.iter().find_map(|file| programs::calico(file, runs)));
        let mut acts = commands.of_unit(&files);
        if is_applier(&files) {
            acts.retain(|act| act.does != Does::AppliesFiles(Applier::Boot));
        }
        writers.extend(writer(acts, runs, timing));
    }
    writers
}

/// Whether a unit is the one that applies files of sysctls at boot, under whatever
/// name: what it does then is [`crate::facts::applier`]'s.
fn is_applier(files: &[TextFile]) -> bool {
    let own = files.first().and_then(|own| own.file.file_name());
    own.is_some_and(|name| name == "systemd-sysctl.service")
}

/// Services that timers start which are enabled, and whether again and again.
fn timers(reader: &Reader<'_>) -> Vec<(String, bool)> {
    let wanted = DIRECTORIES
        .iter()
        .map(|directory| format!("{directory}/timers.target.wants"));
    wanted
        .flat_map(|directory| reader.names(&directory))
        .filter_map(|timer| {
            let name = timer.strip_suffix(".timer")?;
            let files = files(reader, &timer);
            let unit = settings(&files, "Timer", "Unit").pop();
            let unit = unit.map_or_else(
                || name.to_owned(),
                |(unit, _)| unit.strip_suffix(".service").unwrap_or(&unit).to_owned(),
            );
            let again = ["OnCalendar", "OnUnitActiveSec", "OnUnitInactiveSec"]
                .iter()
                .any(|key| !settings(&files, "Timer", key).is_empty());
            Some((unit, again))
        })
        .collect()
}
