//! Commands for when a module is loaded: `install` of modprobe.d, and udev rules.

use crate::{
    facts::{
        modules::{Modules, joined, masking},
        reader::Reader,
        writers::{
            commands::Commands,
            scripts::writer,
            writer::{Act, Timing, Writer},
        },
    },
    kernel::generation::Generation,
};

pub(super) fn read(
    reader: &Reader<'_>,
    modules: &Modules,
    generation: Generation,
    commands: &Commands<'_>,
) -> Vec<Writer> {
    let mut writers = Vec::new();
    writers.extend(install(modules, generation, commands));
    writers.extend(udev(reader, commands));
    writers
}

/// `install MODULE COMMAND`: a shell is given the command.
fn install(modules: &Modules, generation: Generation, commands: &Commands<'_>) -> Option<Writer> {
    let install = modules.install.as_ref()?;
    let (_, command) = install.text.split_once(generation.module()).or_else(|| {
        let dashed = generation.module().replace('_', "-");
        install.text.split_once(dashed.as_str())
    })?;
    let acts = commands.of_line(command, install);
    writer(acts, true, Timing::AtLoad)
}

/// Rules that run a command. Whether that comes before or after what else sets the
/// limit is not known.
fn udev(reader: &Reader<'_>, commands: &Commands<'_>) -> Vec<Writer> {
    let directories = [
        "/etc/udev/rules.d",
        "/run/udev/rules.d",
        "/usr/local/lib/udev/rules.d",
        "/usr/lib/udev/rules.d",
        "/lib/udev/rules.d",
    ];
    let files = masking(reader, &directories, |name| {
        name.strip_suffix(".rules").is_some()
    });
    let mut writers = Vec::new();
    for file in &files {
        for (number, line) in joined(&file.text) {
            let source = file.source(number, &line);
            let acts: Vec<Act> = runs(&line)
                .flat_map(|command| commands.of_line(&command, &source))
                .map(|act| Act {
                    certain: false,
                    ..act
                })
                .collect();
            let on_load = line.contains("\"module\"") && line.contains("_conntrack");
            let timing = if on_load {
                Timing::AtLoad
            } else {
                Timing::AtStart
            };
            writers.extend(writer(acts, true, timing));
        }
    }
    writers
}

/// The commands of a rule: `RUN+="…"`, `RUN{program}="…"`.
fn runs(line: &str) -> impl Iterator<Item = String> {
    line.split("RUN").skip(1).filter_map(|rest| {
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('{') {
            Some(kind) => kind.strip_prefix("program}")?.trim_start(),
            None => rest,
        };
        let value = rest.trim_start_matches(['+', ':']).strip_prefix('=')?;
        let value = value.trim_start().strip_prefix('"')?;
        let mut text = String::new();
        let mut letters = value.chars();
        loop {
            match letters.next()? {
                '"' => return Some(text),
                '\\' => text.push(letters.next()?),
                other => text.push(other),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_rules() {
        let of = |line| runs(line).collect::<Vec<_>>();
        assert_eq!(
            of("ACTION==\"add\", RUN+=\"/bin/sh -c 'echo \\\"9\\\" > /x'\", RUN{program}=\"y\""),
            ["/bin/sh -c 'echo \"9\" > /x'", "y"]
        );
        assert_eq!(of("RUN{builtin}+=\"kmod\", PROGRAM=\"x\""), [""; 0]);
    }
}
