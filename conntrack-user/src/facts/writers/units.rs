//! Units of systemd that set the limit with a command, with their drop-ins, and
//! timers that start them.

use crate::facts::{
    init::Init,
    reader::{Reader, TextFile},
    systemd::{
        condition,
        files::{self, DIRECTORIES},
        order::UnitOrder,
        reached::{self, Reached},
    },
    writers::{
        commands::Commands,
        hooks::in_doubt,
        programs,
        scripts::writer,
        writer::{Applier, Does, Timing, Writer},
    },
};

/// What each unit does, with the name of the unit.
pub(super) fn read(
    reader: &Reader<'_>,
    init: &Init,
    commands: &Commands<'_>,
) -> (Vec<Writer>, UnitOrder) {
    if !init.is_systemd() {
        return (Vec::new(), UnitOrder::default());
    }
    let reached = reached::read(reader);
    let mut order = UnitOrder::read(reader, &reached);
    let timers = timers(reader, &reached);
    let units = reached.iter().map(|reached| reached.unit.clone());
    let names = reader.names(DIRECTORIES[0]).into_iter();
    let names = names.map(|name| name.strip_suffix(".d").unwrap_or(&name).to_owned());
    let mut names: Vec<String> = names
        .chain(units)
        .chain(timers.iter().map(|timer| timer.service.clone()))
        .filter(|name| name.strip_suffix(".service").is_some() && !name.ends_with("@.service"))
        .collect();
    names.sort();
    names.dedup();
    let mut writers = Vec::new();
    for name in names {
        let files = files::read(reader, &name);
        let started = reached.iter().find(|reached| reached.unit == name);
        let timer = timers.iter().find(|timer| timer.service == name);
        let condition = condition::holds(reader, &files);
        let runs = (started.is_some() || timer.is_some()) && condition != Some(false);
        let certain = started.is_none_or(|started| started.certain) && condition == Some(true);
        let timing = match timer {
            Some(timer) if started.is_none() && timer.again => Timing::Always,
            Some(_) if started.is_none() => Timing::AtStart,
            _ => timing(&name, &files, &order),
        };
        writers.extend(files.iter().find_map(|file| programs::calico(file, runs)));
        let mut acts = commands.of_unit(&files);
        if is_applier(&files) {
            acts.retain(|act| act.does != Does::AppliesFiles(Applier::Boot));
        }
        if !certain {
            acts = in_doubt(acts);
        }
        let found = writer(acts, runs, timing);
        if let Some(sets) = found.as_ref().and_then(|found| found.sets.as_ref()) {
            for act in &sets.acts {
                order.note(act.source.clone(), &name);
            }
        }
        writers.extend(found);
    }
    (writers, order)
}

/// When a unit runs, beside what applies files of sysctls.
fn timing(name: &str, files: &[TextFile], order: &UnitOrder) -> Timing {
    const APPLIER: &str = "systemd-sysctl.service";
    let late = files::flag(files, "Unit", "DefaultDependencies") != Some(false);
    if name == APPLIER {
        Timing::AfterFiles
    } else if order.comes_before(name, APPLIER) {
        Timing::BeforeFiles
    } else if late || order.comes_before(APPLIER, name) {
        Timing::AtStart
    } else {
        Timing::Early
    }
}

/// Whether a unit is the one that applies files of sysctls at boot, under whatever
/// name: what it does then is [`crate::facts::applier`]'s.
fn is_applier(files: &[TextFile]) -> bool {
    let own = files.first().and_then(|own| own.file.file_name());
    own.is_some_and(|name| name == "systemd-sysctl.service")
}

/// A service that a timer starts.
struct Timer {
    service: String,
    /// Whether again and again.
    again: bool,
}

/// The timers that a boot starts.
fn timers(reader: &Reader<'_>, reached: &[Reached]) -> Vec<Timer> {
    let timers = reached.iter().filter_map(|reached| {
        let name = reached.unit.strip_suffix(".timer")?;
        let files = files::read(reader, &reached.unit);
        let named = files::settings(&files, "Timer", "Unit").pop();
        let again = ["OnCalendar", "OnUnitActiveSec", "OnUnitInactiveSec"]
            .iter()
            .any(|key| !files::settings(&files, "Timer", key).is_empty());
        Some(Timer {
            service: named.map_or_else(|| format!("{name}.service"), |(named, _)| named),
            again,
        })
    });
    timers.collect()
}
