//! The files of a unit: its own and its drop-ins (systemd.unit(5)).

use std::path::Path;

use crate::facts::{
    lines::{Format, joined},
    reader::{Reader, Source, TextFile},
};

/// Where units are, the first of a name counts.
pub(in crate::facts) const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A unit and its drop-ins, in the order in which they are read; none of one that is
/// masked.
pub(in crate::facts) fn read(reader: &Reader<'_>, unit: &str) -> Vec<TextFile> {
    let own = own(reader, unit);
    if own.as_ref().is_some_and(is_mask) {
        return Vec::new();
    }
    let mut names = vec![unit.to_owned()];
    let real = own.as_ref().and_then(|own| own.file.file_name()?.to_str());
    names.extend(real.filter(|real| *real != unit).map(str::to_owned));
    names.extend(template(unit));
    // What is for many units makes none.
    if own.is_some() {
        names.extend(prefixes(unit));
    }
    let mut drop_ins: Vec<(String, String)> = Vec::new();
    for name in &names {
        for directory in DIRECTORIES {
            let directory = format!("{directory}/{name}.d");
            for file in reader.names(&directory) {
                if file.strip_suffix(".conf").is_some()
                    && !drop_ins.iter().any(|(known, _)| *known == file)
                {
                    let path = format!("{directory}/{file}");
                    drop_ins.push((file, path));
                }
            }
        }
    }
    drop_ins.sort();
    let drop_ins = drop_ins.iter().filter_map(|(_, path)| reader.file(path));
    own.into_iter().chain(drop_ins).collect()
}

/// A unit's own file, or that of its template.
pub(in crate::facts) fn own(reader: &Reader<'_>, unit: &str) -> Option<TextFile> {
    let named = |unit: &str| {
        DIRECTORIES
            .iter()
            .find_map(|directory| reader.file(&format!("{directory}/{unit}")))
    };
    named(unit).or_else(|| named(&template(unit)?))
}

/// Whether a unit is a link to `/dev/null`.
pub(in crate::facts) fn is_mask(file: &TextFile) -> bool {
    file.file == Path::new("/dev/null")
}

/// `x@.service` of `x@a.service`.
fn template(unit: &str) -> Option<String> {
    let (name, instance) = unit.split_once('@')?;
    let (_, suffix) = instance.rsplit_once('.')?;
    Some(format!("{name}@.{suffix}"))
}

/// `a-b-.service`, `a-.service` and `service` of `a-b-c.service`.
fn prefixes(unit: &str) -> Vec<String> {
    let Some((name, suffix)) = unit.rsplit_once('.') else {
        return Vec::new();
    };
    let mut name = name.split('@').next().unwrap_or_default();
    let mut prefixes = Vec::new();
    while let Some((begin, _)) = name.trim_end_matches('-').rsplit_once('-') {
        prefixes.push(format!("{begin}-.{suffix}"));
        name = begin;
    }
    prefixes.push(suffix.to_owned());
    prefixes
}

/// The lines of a section that set something: of one that is set to nothing, those
/// before are gone.
pub(in crate::facts) fn settings(
    files: &[TextFile],
    section: &str,
    key: &str,
) -> Vec<(String, Source)> {
    let mut found = Vec::new();
    for file in files {
        let mut inside = false;
        for (number, line) in joined(&file.text, Format::Systemd) {
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

/// The words of all lines of a setting that is a list.
pub(in crate::facts) fn words(files: &[TextFile], section: &str, key: &str) -> Vec<String> {
    let lines = settings(files, section, key);
    let words = lines
        .iter()
        .flat_map(|(value, _)| value.split_ascii_whitespace());
    words.map(str::to_owned).collect()
}

/// What the last line of a setting says about yes or no.
pub(in crate::facts) fn flag(files: &[TextFile], section: &str, key: &str) -> Option<bool> {
    let (value, _) = settings(files, section, key).pop()?;
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn directories_of_drop_ins() {
        assert_eq!(
            prefixes("a-b-c.service"),
            ["a-b-.service", "a-.service", "service"]
        );
        assert_eq!(prefixes("a@b-c.service"), ["service"]);
        assert_eq!(template("a@b.service").as_deref(), Some("a@.service"));
        assert_eq!(template("a.service"), None);
    }
}
