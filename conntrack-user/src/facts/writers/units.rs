//! Units of systemd that set the limit with a command, with their drop-ins, and
//! timers that start them.

use crate::facts::{
    reader::{Reader, Source, TextFile},
    services::Services,
    writers::{
        commands::Commands,
        programs,
        scripts::{joined, writer},
        writer::{Act, Applier, Does, Timing, Writer},
    },
};

/// Where units are, the first of a name counts.
pub(super) const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Commands that are run when a unit starts, in their order.
const STARTING: [&str; 4] = [
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
];

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
        let mut acts = acts(&files, commands);
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

/// A unit and its drop-ins, in the order in which they are read.
pub(super) fn files(reader: &Reader<'_>, unit: &str) -> Vec<TextFile> {
    let own = DIRECTORIES
        .iter()
        .find_map(|directory| reader.file(&format!("{directory}/{unit}")));
    let template = unit
        .split_once('@')
        .map(|(name, _)| format!("{name}@.service"));
    let own = own.or_else(|| {
        let template = template?;
        DIRECTORIES
            .iter()
            .find_map(|directory| reader.file(&format!("{directory}/{template}")))
    });
    // Masked: a link to /dev/null.
    if own
        .as_ref()
        .is_some_and(|file| file.file == std::path::Path::new("/dev/null"))
    {
        return Vec::new();
    }
    let mut drop_ins: Vec<(String, String)> = Vec::new();
    for directory in DIRECTORIES {
        for name in reader.names(&format!("{directory}/{unit}.d")) {
            if name.strip_suffix(".conf").is_some()
                && !drop_ins.iter().any(|(known, _)| *known == name)
            {
                let path = format!("{directory}/{unit}.d/{name}");
                drop_ins.push((name, path));
            }
        }
    }
    drop_ins.sort();
    let drop_ins = drop_ins.iter().filter_map(|(_, path)| reader.file(path));
    own.into_iter().chain(drop_ins).collect()
}

/// The lines of a section that set something: of one that is set to nothing, those
/// before are gone.
pub(super) fn settings(files: &[TextFile], section: &str, key: &str) -> Vec<(String, Source)> {
    let mut found = Vec::new();
    for file in files {
        let mut inside = false;
        for (number, line) in joined(&file.text) {
            let line = line.trim();
            if line.starts_with('[') {
                inside = line == format!("[{section}]");
            } else if inside
                && let Some((name, value)) = line.split_once('=')
                && name.trim_end() == key
            {
                let value = value.trim();
                if value.is_empty() {
                    found.clear();
                } else {
                    found.push((value.to_owned(), file.source(number, line)));
                }
            }
        }
    }
    found
}

fn acts(files: &[TextFile], commands: &Commands<'_>) -> Vec<Act> {
    let mut acts = Vec::new();
    for key in STARTING {
        for (line, source) in settings(files, "Service", key) {
            let command = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
            let words = words(command);
            acts.extend(commands.of_words(&words, &source));
        }
    }
    acts
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

    #[test]
    fn an_empty_setting_takes_back_those_before() {
        let file = |text: &str| TextFile {
            file: "/etc/systemd/system/x.service".into(),
            text: text.to_owned(),
            executable: false,
        };
        let own = file("[Unit]\nExecStart=no\n[Service]\nExecStart=a \\\n  # gone\n b\n");
        let drop_in = file("[Service]\nExecStart=\nExecStart=c\n");
        let values = |files: &[TextFile]| {
            let found = settings(files, "Service", "ExecStart");
            found
                .into_iter()
                .map(|(value, _)| value)
                .collect::<Vec<_>>()
        };
        assert_eq!(values(std::slice::from_ref(&own)).len(), 1);
        assert_eq!(values(&[own, drop_in]), ["c"]);
    }
}
