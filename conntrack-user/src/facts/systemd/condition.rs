//! `Condition…=` and `Assert…=` of a unit (systemd.unit(5)): whether they hold in a
//! boot, as far as the files tell.

use crate::facts::{
    lines::{Format, joined},
    reader::{Reader, TextFile},
};

/// Whether all conditions of a unit hold; none if that cannot be told.
pub(in crate::facts) fn holds(reader: &Reader<'_>, files: &[TextFile]) -> Option<bool> {
    let conditions = conditions(files);
    let [mut all, mut any] = [Some(true), Some(false)];
    let mut triggers = false;
    for (kind, value) in &conditions {
        let triggering = value.starts_with('|');
        let value = value.trim_start_matches('|').trim_start();
        let (negated, value) = match value.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, value),
        };
        let outcome = one(reader, kind, value).map(|holds| holds != negated);
        if triggering {
            triggers = true;
            any = or(any, outcome);
        } else {
            all = and(all, outcome);
        }
    }
    if triggers { and(all, any) } else { all }
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    and(a.map(|a| !a), b.map(|b| !b)).map(|neither| !neither)
}

/// What the conditions are: an empty one takes all back that come before.
fn conditions(files: &[TextFile]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for file in files {
        let mut inside = false;
        for (_, line) in joined(&file.text, Format::Systemd) {
            let line = line.trim();
            if line.starts_with('[') {
                inside = line == "[Unit]";
                continue;
            }
            let Some((name, value)) = line.split_once('=').filter(|_| inside) else {
                continue;
            };
            let name = name.trim_end();
            for begin in ["Condition", "Assert"] {
                let Some(kind) = name.strip_prefix(begin) else {
                    continue;
                };
                if value.trim().is_empty() {
                    found.clear();
                } else {
                    found.push((kind.to_owned(), value.trim().to_owned()));
                }
            }
        }
    }
    found
}

fn one(reader: &Reader<'_>, kind: &str, value: &str) -> Option<bool> {
    if value.contains('%') {
        return None;
    }
    match kind {
        "PathExists" => exists(reader, value),
        "PathIsDirectory" => exists(reader, value)
            .map(|there| there && reader.file(value).is_none() && reader.exists(value)),
        "FileNotEmpty" => {
            let there = exists(reader, value)?;
            let text = reader.file(value);
            Some(there && text.is_some_and(|text| !text.text.is_empty()))
        }
        "FileIsExecutable" => {
            let there = exists(reader, value)?;
            Some(there && reader.program(value).is_none_or(|file| file.executable))
        }
        "DirectoryNotEmpty" => {
            let there = exists(reader, value)?;
            Some(there && !reader.names(value).is_empty())
        }
        "PathIsReadWrite" if value.starts_with("/proc/sys") => Some(true),
        "FirstBoot" => Some(!is_yes(value)),
        // Containers do not decide the limit of their host.
        "Virtualization" if value == "container" => Some(false),
        "Capability" => Some(true),
        "KernelCommandLine" => {
            let text = reader.text("/proc/cmdline")?;
            let mut words = text.text.split_ascii_whitespace();
            Some(words.any(|word| {
                let name = word.split('=').next();
                word == value || (!value.contains('=') && name == Some(value))
            }))
        }
        _ => None,
    }
}

fn is_yes(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].contains(&value.to_ascii_lowercase().as_str())
}

/// Whether a path is there at boot: a copied tree may be without it.
fn exists(reader: &Reader<'_>, path: &str) -> Option<bool> {
    let fleeting = ["/proc/", "/sys/", "/run/", "/dev/", "/tmp/", "/var/run/"];
    if fleeting.iter().any(|directory| path.starts_with(directory)) {
        return None;
    }
    let there = reader.exists(path);
    (there || reader.is_this_host()).then_some(there)
}
