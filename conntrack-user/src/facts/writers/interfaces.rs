//! `/etc/network/interfaces` and the files that it sources: commands for when an
//! interface comes up.

use crate::facts::{
    lines::{Format, joined},
    reader::{Reader, TextFile},
    sysctl::key::matches,
    writers::{
        commands::Commands,
        names::Names,
        scripts::writer,
        writer::{Timing, Writer},
    },
};

/// How far files may source one another.
const DEEPEST: usize = 5;

pub(super) fn read(reader: &Reader<'_>, commands: &Commands<'_>) -> Vec<Writer> {
    let mut files = Vec::new();
    add(reader, "/etc/network/interfaces", DEEPEST, &mut files);
    let writers = files.iter().filter_map(|text| {
        let mut acts = Vec::new();
        for (number, line) in joined(&text.text, Format::Interfaces) {
            if let Some((option, command)) = line.trim().split_once([' ', '\t'])
                && ["up", "pre-up", "post-up"].contains(&option)
            {
                acts.extend(commands.of_line(command, &text.source(number, &line)));
            }
        }
        writer(acts, true, Timing::AtStart)
    });
    writers.collect()
}

/// A file, and those that it sources.
fn add(reader: &Reader<'_>, path: &str, depth: usize, files: &mut Vec<TextFile>) {
    let Some(text) = reader.file(path) else {
        return;
    };
    if depth == 0 || files.iter().any(|known| known.file == text.file) {
        return;
    }
    let mut sourced = Vec::new();
    for (_, line) in joined(&text.text, Format::Interfaces) {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("source") => sourced.extend(words.flat_map(|pattern| expand(reader, pattern))),
            Some("source-directory" | "source-dir") => {
                for directory in words {
                    let directory = absolute(directory);
                    let names = reader.names(&directory).into_iter();
                    let names = names.filter(|name| Names::RunParts.take(name));
                    sourced.extend(names.map(|name| format!("{directory}/{name}")));
                }
            }
            _ => {}
        }
    }
    files.push(text);
    for path in sourced {
        add(reader, &path, depth - 1, files);
    }
}

/// The files that a pattern stands for, of which the last part only has wildcards.
fn expand(reader: &Reader<'_>, pattern: &str) -> Vec<String> {
    let pattern = absolute(pattern);
    let Some((directory, last)) = pattern.rsplit_once('/') else {
        return Vec::new();
    };
    if !last.contains(['*', '?', '[']) {
        return vec![pattern.clone()];
    }
    let names = reader.names(directory).into_iter();
    names
        .filter(|name| !name.starts_with('.') && matches(last.as_bytes(), name.as_bytes()))
        .map(|name| format!("{directory}/{name}"))
        .collect()
}

/// A path that is relative to the directory of the file.
fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/etc/network/{path}")
    }
}
