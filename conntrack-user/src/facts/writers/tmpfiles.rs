//! tmpfiles.d(5): lines that write to a file, early at boot.

use crate::facts::{
    reader::{Reader, TextFile},
    writers::{
        acts::written,
        scripts::writer,
        writer::{Timing, Writer},
    },
};

/// Where they are, the first of a name counts.
const DIRECTORIES: [&str; 5] = [
    "/etc/tmpfiles.d",
    "/run/tmpfiles.d",
    "/usr/local/lib/tmpfiles.d",
    "/usr/lib/tmpfiles.d",
    "/lib/tmpfiles.d",
];

pub(super) fn read(reader: &Reader<'_>) -> Option<Writer> {
    let mut names: Vec<(String, String)> = Vec::new();
    for directory in DIRECTORIES {
        for name in reader.names(directory) {
            if name.strip_suffix(".conf").is_some()
                && !names.iter().any(|(known, _)| *known == name)
            {
                let path = format!("{directory}/{name}");
                names.push((name, path));
            }
        }
    }
    names.sort();
    let mut acts = Vec::new();
    for file in names.iter().filter_map(|(_, path)| reader.file(path)) {
        lines(&file, &mut acts);
    }
    writer(acts, true, Timing::Early)
}

fn lines(file: &TextFile, acts: &mut Vec<crate::facts::writers::writer::Act>) {
    for (number, line) in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        let kind = fields.next().unwrap_or_default();
        if !kind.starts_with('w') {
            continue;
        }
        let path = fields.next().unwrap_or_default().trim_matches(['"', '\'']);
        let argument = fields.nth(4).unwrap_or_default().trim_matches(['"', '\'']);
        let plain = !argument.contains(['%', '\\']);
        let at = file.source(number, line);
        written(path, plain.then_some(argument), (&at, true), acts);
    }
}
