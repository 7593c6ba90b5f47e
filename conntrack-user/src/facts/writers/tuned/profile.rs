//! Profiles of `TuneD`: their sections, those of profiles that they include first,
//! merged as `tuned/profiles/{loader,merger}.py` do.

use std::path::{Path, PathBuf};

use crate::facts::reader::{Reader, Source, TextFile};

/// How far profiles may include one another.
const DEEPEST: usize = 10;

/// Where profiles are; the first of a name counts.
const DIRECTORIES: [&str; 4] = [
    "/etc/tuned",
    "/etc/tuned/profiles",
    "/usr/lib/tuned",
    "/usr/lib/tuned/profiles",
];

/// Names of settings that are about the section itself.
const OF_SECTION: [&str; 4] = ["type", "enabled", "replace", "priority"];

/// Names of settings that make a section count on some hosts only.
const CONDITIONS: [&str; 2] = ["cpuinfo_regex", "uname_regex"];

/// A line of a section.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Its name.
    pub(super) key: String,
    /// Its value as it is written.
    pub(super) value: String,
    /// Whether it surely counts.
    pub(super) certain: bool,
    /// The line.
    pub(super) source: Source,
}

/// A section.
#[derive(Clone, Debug)]
pub(super) struct Section {
    name: String,
    /// Which plugin it is for.
    pub(super) kind: String,
    /// Whether it counts.
    pub(super) enabled: bool,
    /// Whether it does so on every host.
    pub(super) certain: bool,
    /// Those with a small number come first.
    pub(super) priority: i64,
    /// Its lines.
    pub(super) settings: Vec<Setting>,
}

/// All sections of the active profiles.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    /// In the order in which they are applied, but for their priority.
    pub(super) sections: Vec<Section>,
    /// Lines that cannot be followed, so that others may say anything.
    pub(super) unclear: Vec<Source>,
    /// Profiles that are not there, with the line that names each.
    pub(super) missing: Vec<(String, Source)>,
    loaded: Vec<PathBuf>,
}

impl Profiles {
    /// Those that a line names.
    pub(super) fn load(&mut self, reader: &Reader<'_>, names: &str, at: &Source) {
        for name in names.split_ascii_whitespace() {
            self.add(reader, name, at, (true, DEEPEST));
        }
    }

    /// The settings of the section of that name.
    pub(super) fn settings(&self, name: &str) -> &[Setting] {
        let mut sections = self.sections.iter();
        let section = sections.find(|section| section.name == name);
        section.map_or(&[], |section| &section.settings)
    }

    fn add(
        &mut self,
        reader: &Reader<'_>,
        name: &str,
        at: &Source,
        (certain, depth): (bool, usize),
    ) {
        let optional = name.starts_with('-');
        let name = name.trim_start_matches('-');
        let mut paths = DIRECTORIES
            .iter()
            .map(|directory| format!("{directory}/{name}/tuned.conf"));
        let Some(text) = paths.find_map(|path| reader.file(&path)) else {
            if !optional {
                let path = format!("{}/{name}/tuned.conf", DIRECTORIES[3]);
                self.missing.push((path, at.clone()));
            }
            return;
        };
        if depth == 0 || self.loaded.contains(&text.file) {
            return;
        }
        self.loaded.push(text.file.clone());
        let sections = self.parse(&text);
        for section in &sections {
            if section.name == "main" {
                self.include(reader, &section.settings, (certain, depth - 1));
            }
        }
        for section in sections.into_iter().filter(|found| found.name != "main") {
            self.merge(section, certain);
        }
    }

    fn include(&mut self, reader: &Reader<'_>, main: &[Setting], (certain, depth): (bool, usize)) {
        let Some(include) = main.iter().find(|setting| setting.key == "include") else {
            return;
        };
        // Which of the two depends on the hardware.
        let either = include.value.strip_prefix("${f:virt_check:");
        if let Some(names) = either.and_then(|rest| rest.strip_suffix('}')) {
            for name in names.split(':') {
                self.add(reader, name, &include.source, (false, depth));
            }
        } else if include.value.contains("${") {
            self.unclear.push(include.source.clone());
        } else {
            let names = include.value.split([',', ';']).map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                self.add(reader, name, &include.source, (certain, depth));
            }
        }
    }

    /// The sections of a file, as Python's `configparser` reads them.
    fn parse(&mut self, text: &TextFile) -> Vec<Section> {
        let directory = text.file.parent().unwrap_or(Path::new("/"));
        let directory = directory.to_string_lossy();
        let mut sections: Vec<Section> = Vec::new();
        let mut current: Option<usize> = None;
        for (number, line) in text.lines() {
            let code = without_comment(line);
            if code.is_empty() {
                continue;
            }
            let source = text.source(number, line);
            if let Some(name) = code
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                let known = sections.iter().position(|section| section.name == name);
                current = known.or_else(|| {
                    sections.push(Section::new(name));
                    Some(sections.len() - 1)
                });
                continue;
            }
            let Some(section) = current.map(|at| &mut sections[at]) else {
                self.unclear.push(source);
                continue;
            };
            let continues = line.starts_with([' ', '\t']);
            match (code.split_once('='), section.settings.last_mut()) {
                (_, Some(last)) if continues => {
                    last.value.push('\n');
                    last.value.push_str(code);
                }
                (Some((key, value)), _) => section.set(Setting {
                    key: key.trim().to_owned(),
                    value: value.trim().replace("${i:PROFILE_DIR}", &directory),
                    certain: true,
                    source,
                }),
                // TuneD does not load such a profile.
                (None, _) => self.unclear.push(source),
            }
        }
        sections.iter_mut().for_each(Section::judge);
        sections
    }

    /// A section is put over those of the same name that came before.
    fn merge(&mut self, mut section: Section, certain: bool) {
        let replaces = section
            .settings
            .iter()
            .any(|setting| setting.key == "replace" && is_true(&setting.value));
        for setting in &mut section.settings {
            setting.certain &= certain;
        }
        section
            .settings
            .retain(|setting| !OF_SECTION.contains(&setting.key.as_str()));
        let mut known = self.sections.iter_mut();
        match known.find(|known| known.name == section.name) {
            Some(known) if replaces && certain => *known = section,
            Some(known) if replaces => {
                for setting in &mut known.settings {
                    setting.certain = false;
                }
                known.merge(section);
            }
            Some(known) => known.merge(section),
            None => self.sections.push(section),
        }
    }
}

impl Section {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: name.to_owned(),
            enabled: true,
            certain: true,
            priority: 0,
            settings: Vec::new(),
        }
    }

    /// What its lines say about itself.
    fn judge(&mut self) {
        for Setting { key, value, .. } in &self.settings {
            match key.as_str() {
                "type" => self.kind.clone_from(value),
                "enabled" => self.enabled = is_true(value),
                "priority" => self.priority = value.parse().unwrap_or(0),
                key if CONDITIONS.contains(&key) => self.certain = false,
                _ => {}
            }
        }
    }

    fn set(&mut self, setting: Setting) {
        let mut known = self.settings.iter_mut();
        match known.find(|known| known.key == setting.key) {
            Some(known) => *known = setting,
            None => self.settings.push(setting),
        }
    }

    /// A later section of the same name.
    fn merge(&mut self, later: Self) {
        self.kind = later.kind;
        self.enabled = later.enabled;
        self.certain &= later.certain;
        for setting in later.settings {
            match setting.key.as_str() {
                "drop" => {
                    let dropped: Vec<&str> = setting.value.split(',').map(str::trim).collect();
                    self.settings
                        .retain(|known| !dropped.contains(&known.key.as_str()));
                }
                // Both are run.
                "script" if self.name == "script" => self.settings.push(setting),
                _ => self.set(setting),
            }
        }
    }
}

fn is_true(value: &str) -> bool {
    value == "true" || value == "1"
}

/// A line without white space around it and without a comment.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(';') {
        return "";
    }
    let begins = |at: &usize| {
        line[..*at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace)
    };
    let mut marks = line.match_indices('#').map(|(at, _)| at);
    let end = marks.find(begins).unwrap_or(line.len());
    line[..end].trim()
}
