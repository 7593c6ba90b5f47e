//! Files that tell kube-proxy, k3s and RKE2 what to do: units with the variables that they
//! take from other files, and the file that `--config` names.

use crate::facts::{
    reader::{Reader, Source, TextFile},
    systemd::files,
    writers::kube_form::assigns,
};

/// What is found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files, those that count more later.
    pub(super) texts: Vec<TextFile>,
    /// A line of which it cannot be told what it gives.
    pub(super) unknown: Option<Source>,
}

/// Of a service: its unit with drop-ins, the files of variables that its command uses,
/// and its configuration: the file that a flag names, or those that are read without one.
pub(super) fn of_service(reader: &Reader<'_>, service: &str, usual: &[&str]) -> Found {
    let units = files::read(reader, &format!("{service}.service"));
    let mut found = Found::default();
    let mut flags = units.clone();
    let (variables, unknown) = variables(reader, &units);
    flags.extend(variables);
    found.unknown = unknown;
    let named = named(&flags);
    if let Some((path, line)) = &named {
        let texts = with_drop_ins(reader, path);
        if texts.is_empty() && !is_of_container(line) {
            found.unknown = Some(line.clone());
            if !reader.is_this_host() {
                reader.misses(path, line);
            }
        }
        found.texts.extend(texts);
    } else {
        let usual = usual.iter().flat_map(|path| with_drop_ins(reader, path));
        found.texts.extend(usual);
    }
    found.texts.extend(flags);
    found
}

/// Whether a line is of a manifest, whose paths are those inside of a container.
fn is_of_container(line: &Source) -> bool {
    line.file.to_string_lossy().contains("/manifests/")
}

/// A file, and what is put over it: the files in `config.yaml.d` of k3s and RKE2.
fn with_drop_ins(reader: &Reader<'_>, path: &str) -> Vec<TextFile> {
    let mut files: Vec<TextFile> = reader.text(path).into_iter().collect();
    let names = reader.names(&format!("{path}.d"));
    let names = names
        .iter()
        .filter(|name| name.strip_suffix(".yaml").is_some());
    files.extend(names.filter_map(|name| reader.text(&format!("{path}.d/{name}"))));
    files
}

/// The file that `--config` names.
fn named(flags: &[TextFile]) -> Option<(String, Source)> {
    let mut found = None;
    for text in flags {
        for (number, line) in text.lines() {
            if line.trim_start().starts_with(['#', ';']) {
                continue;
            }
            let blank = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | '=');
            let mut words = line.split(blank).filter(|word| !word.is_empty());
            while let Some(word) = words.next() {
                let is_flag = [
                    "--config",
                    "-config",
                    "-c",
                    "K3S_CONFIG_FILE",
                    "RKE2_CONFIG_FILE",
                ];
                if is_flag.contains(&word)
                    && let Some(path) = words.next().filter(|path| path.starts_with('/'))
                {
                    found = Some((path.to_owned(), text.source(number, line)));
                }
            }
        }
    }
    found
}

/// The lines of `EnvironmentFile` that the command uses, each in its file with empty lines
/// in the place of others; and the command, if a variable of it is not to be found.
fn variables(reader: &Reader<'_>, units: &[TextFile]) -> (Vec<TextFile>, Option<Source>) {
    let named = files::settings(units, "Service", "EnvironmentFile");
    let paths: Vec<&str> = named
        .iter()
        .map(|(path, _)| path.trim_start_matches('-'))
        .collect();
    let files: Vec<TextFile> = paths.iter().filter_map(|path| reader.file(path)).collect();
    let complete = reader.is_this_host() || files.len() == paths.len();
    let own = files::settings(units, "Service", "Environment");
    let mut used = Vec::new();
    let mut unknown = None;
    for (command, source) in files::settings(units, "Service", "ExecStart") {
        for name in referred(&command) {
            let lines = files.iter().filter_map(|file| only(file, name));
            let lines: Vec<TextFile> = lines.collect();
            let given = own
                .iter()
                .any(|(text, _)| text.contains(&format!("{name}=")));
            if lines.is_empty() && !given && !complete {
                unknown = Some(source.clone());
            }
            used.extend(lines);
        }
    }
    (used, unknown)
}

/// The variables in a command.
fn referred(command: &str) -> impl Iterator<Item = &str> {
    command.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        (!name.is_empty()).then_some(name)
    })
}

/// A file with only the lines that give one variable its value.
fn only(file: &TextFile, name: &str) -> Option<TextFile> {
    let mut text = String::new();
    let mut inside = false;
    let mut any = false;
    for line in file.text.lines() {
        let begins = line.trim_start().strip_prefix(name);
        if begins.is_some_and(|rest| rest.starts_with('=')) && assigns(line) || inside {
            text.push_str(line);
            inside = line.ends_with('\\');
            any = true;
        }
        text.push('\n');
    }
    any.then(|| TextFile {
        text,
        ..file.clone()
    })
}
