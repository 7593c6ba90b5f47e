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
        acts::{mentions, unknown},
        commands::Commands,
        cron::becomes_root,
        hooks::in_doubt,
        programs,
        scripts::writer,
        writer::{Act, Applier, Does, Timing, Writer},
    },
};

/// Commands that are run when a unit starts, in their order.
const STARTING: [&str; 4] = [
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
];

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
        let mut acts = acts(reader, &files, commands);
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

fn acts(reader: &Reader<'_>, files: &[TextFile], commands: &Commands<'_>) -> Vec<Act> {
    let rights = Rights::of(files);
    let speaks = environment_speaks(reader, files);
    let directory = files::settings(files, "Service", "WorkingDirectory").pop();
    let directory = directory.map(|(directory, _)| directory);
    let mut acts = Vec::new();
    for key in STARTING {
        for (line, source) in files::settings(files, "Service", key) {
            let command = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
            let full = line[..line.len() - command.len()].contains('+');
            let words = placed(words(command), directory.as_deref());
            let program = words.first().and_then(Option::as_deref);
            if program.is_some_and(|program| cannot_run(reader, program)) {
                continue;
            }
            let mut found = commands.of_words(&words, &source);
            if found.is_empty() && speaks && words.contains(&None) {
                found.push(unknown(&source));
            }
            match rights {
                _ if full => acts.extend(found),
                Rights::Full => acts.extend(found),
                Rights::Unknown => acts.extend(in_doubt(found)),
                Rights::None => {}
            }
        }
    }
    acts
}

/// Whether the variables of a service speak of the limit.
fn environment_speaks(reader: &Reader<'_>, files: &[TextFile]) -> bool {
    let set = files::settings(files, "Service", "Environment");
    let listed = files::settings(files, "Service", "EnvironmentFile");
    let mut texts = listed
        .iter()
        .filter_map(|(path, _)| reader.file(path.trim_start_matches('-')));
    set.iter().any(|(value, _)| mentions(value)) || texts.any(|text| mentions(&text.text))
}

/// Words with those that are below the directory in which a service runs.
fn placed(words: Vec<Option<String>>, directory: Option<&str>) -> Vec<Option<String>> {
    let place = |word: String| match (word.strip_prefix("./"), directory) {
        (Some(rest), Some(directory)) => {
            let directory = directory.trim_start_matches('-').trim_end_matches('/');
            format!("{directory}/{rest}")
        }
        _ => word,
    };
    words.into_iter().map(|word| word.map(place)).collect()
}

/// Whether a program is there and not executable.
fn cannot_run(reader: &Reader<'_>, program: &str) -> bool {
    program.starts_with('/')
        && reader
            .program(program)
            .is_some_and(|file| !file.executable && !file.text.is_empty())
}

/// Whether a service may set the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    Full,
    Unknown,
    None,
}

impl Rights {
    /// By `User=`, and by what makes the kernel's files read-only (systemd.exec(5)).
    fn of(files: &[TextFile]) -> Self {
        let last = |key: &str| {
            files::settings(files, "Service", key)
                .pop()
                .map(|(value, _)| value)
        };
        let flag = |key: &str| files::flag(files, "Service", key) == Some(true);
        if flag("ProtectKernelTunables") {
            return Self::None;
        }
        let root = last("User").is_none_or(|user| ["root", "0"].contains(&user.as_str()));
        let is_root = root && !flag("DynamicUser");
        let elsewhere = flag("PrivateNetwork")
            || ["NetworkNamespacePath", "RootDirectory", "RootImage"]
                .iter()
                .any(|key| last(key).is_some());
        let bounded = last("CapabilityBoundingSet").is_some() || last("ReadOnlyPaths").is_some();
        if is_root {
            return if elsewhere || bounded {
                Self::Unknown
            } else {
                Self::Full
            };
        }
        let capable = last("AmbientCapabilities").is_some();
        let lines = STARTING
            .iter()
            .flat_map(|key| files::settings(files, "Service", key));
        let becomes = lines.into_iter().any(|(line, _)| becomes_root(&line));
        if capable || becomes {
            Self::Unknown
        } else {
            Self::None
        }
    }
}

/// The words of a command line as systemd splits it, which is no shell; each none
/// if it holds a variable or a specifier.
fn words(line: &str) -> Vec<Option<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut known = true;
    let mut quote = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (' ' | '\t', None) => {
                words.extend(word.take().map(|word| known.then_some(word)));
                known = true;
                continue;
            }
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
                continue;
            }
            (letter, Some(open)) if letter == open => {
                quote = None;
                continue;
            }
            _ => {}
        }
        let word = word.get_or_insert_default();
        match letter {
            '\\' => match letters.next() {
                Some('n') => word.push('\n'),
                Some('t') => word.push('\t'),
                Some('s') => word.push(' '),
                Some(other @ ('\\' | '"' | '\'')) => word.push(other),
                _ => known = false,
            },
            '%' if letters.next_if_eq(&'%').is_some() => word.push('%'),
            '$' if letters.next_if_eq(&'$').is_some() => word.push('$'),
            '%' | '$' => known = false,
            other => word.push(other),
        }
    }
    words.extend(word.map(|word| known.then_some(word)));
    words
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_systemd_does() {
        let split = |line| {
            words(line)
                .into_iter()
                .map(|word| word.unwrap_or_else(|| "?".to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            split("/bin/sh -c 'echo 9 > /x'  \"a b\""),
            ["/bin/sh", "-c", "echo 9 > /x", "a b"]
        );
        assert_eq!(split("a$$b $X %i %% ''"), ["a$b", "?", "?", "%", ""]);
    }
}
