//! Commands for when a module is loaded: `install` of modprobe.d, and udev rules.

use crate::{
    facts::{
        host_kernel::HostKernel,
        lines::{Format, joined},
        modules::{Modules, masking},
        reader::{Reader, Source},
        writers::{
            acts::written,
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
    kernel: &HostKernel,
    commands: &Commands<'_>,
) -> Vec<Writer> {
    let mut writers = Vec::new();
    writers.extend(install(modules, kernel.generation, commands));
    writers.extend(udev(reader, kernel, commands));
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

/// Rules that run a command or set a sysctl. A rule for the module is applied soon
/// after it has been loaded: before 5.11 the kernel announced it before it was ready. At
/// boot it may come before or after what else sets the limit, as any other rule does.
fn udev(reader: &Reader<'_>, kernel: &HostKernel, commands: &Commands<'_>) -> Vec<Writer> {
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
    let in_time = kernel.is_at_least(5, 11) == Some(true);
    let mut writers = Vec::new();
    for file in &files {
        for (number, line) in joined(&file.text, Format::Modprobe) {
            let source = file.source(number, &line);
            let acts = rule(&line, &source, commands);
            let doubtful: Vec<Act> = acts
                .iter()
                .map(|act| Act {
                    certain: false,
                    ..act.clone()
                })
                .collect();
            if line.contains("\"module\"") && line.contains("_conntrack") {
                let certain = in_time && matches_each_load(&line);
                let acts = if certain { acts } else { doubtful.clone() };
                let on_load = writer(acts, true, Timing::AtLoad);
                let at_boot = writer(doubtful, true, Timing::AtStart);
                // It is one rule, and is told once.
                let at_boot = at_boot
                    .zip(on_load.as_ref())
                    .map(|(at_boot, on_load)| Writer {
                        behaviour: on_load.behaviour.clone(),
                        ..at_boot
                    });
                writers.extend(on_load.into_iter().chain(at_boot));
            } else {
                writers.extend(writer(doubtful, true, Timing::AtStart));
            }
        }
    }
    writers
}

/// What a rule does: sysctls first, commands when all rules have been gone through.
fn rule(line: &str, source: &Source, commands: &Commands<'_>) -> Vec<Act> {
    let mut acts = Vec::new();
    for (name, value) in sysctls(line) {
        let value = (!value.contains(['$', '%'])).then_some(value.as_str());
        // The first of dots and slashes tells which of them separates.
        let name = match name.find(['.', '/']) {
            Some(at) if name[at..].starts_with('.') => name.replace('.', "/"),
            _ => name,
        };
        let path = format!("/proc/sys/{name}");
        written(&path, value, (source, true), &mut acts);
    }
    acts.extend(runs(line).flat_map(|command| commands.of_line(&command, source)));
    acts
}

/// Whether a rule matches whenever the module is loaded, and asks for nothing else.
fn matches_each_load(line: &str) -> bool {
    let compact: String = line.chars().filter(|letter| *letter != ' ').collect();
    compact.split(',').all(|part| {
        let matches = part.contains("==") || part.contains("!=");
        let plain = [
            "ACTION==\"add\"",
            "SUBSYSTEM==\"module\"",
            "KERNEL==\"nf_conntrack\"",
        ];
        !matches || plain.contains(&part.trim())
    })
}

/// What is assigned to sysctls: `SYSCTL{NAME}="VALUE"`.
fn sysctls(line: &str) -> impl Iterator<Item = (String, String)> {
    line.split("SYSCTL{").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once('}')?;
        let value = rest.trim_start().strip_prefix('=')?.trim_start();
        let (value, _) = value.strip_prefix('"')?.split_once('"')?;
        Some((name.to_owned(), value.to_owned()))
    })
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
        let set: Vec<_> = sysctls("A==\"x\", SYSCTL{net/a}=\"9\", SYSCTL{net.b}==\"8\"").collect();
        assert_eq!(set, [("net/a".to_owned(), "9".to_owned())]);
    }
}
