//! `TuneD`: the active profile sets sysctls after boot, and then by default applies
//! the files of `/run` and `/etc` once more (`tuned/plugins/plugin_sysctl.py`).

mod profile;
mod variables;

use crate::facts::{
    reader::{Reader, TextFile},
    services::Services,
    sysctl::{Key, Taken, Variable, value::taken},
    writers::{
        acts::{mentions, unknown, written},
        commands::Commands,
        tuned::{
            profile::{Profiles, Section, Setting},
            variables::Variables,
        },
        writer::{Act, Applier, Does, Sets, Timing, Writer},
    },
};

pub(super) fn read(
    reader: &Reader<'_>,
    services: &Services,
    commands: &Commands<'_>,
) -> Option<Writer> {
    let active = reader.text("/etc/tuned/active_profile")?;
    let runs = services.starts("tuned");
    let mut profiles = Profiles::default();
    for list in [
        Some(active.clone()),
        reader.text("/etc/tuned/post_loaded_profile"),
    ]
    .into_iter()
    .flatten()
    {
        profiles.load(reader, &list.text, &list.as_source());
    }
    let missing = std::mem::take(&mut profiles.missing);
    let acts = Applied {
        reader,
        commands,
        variables: Variables::of(reader, profiles.settings("variables")),
        reapplies: reapplies(reader),
    }
    .acts(profiles);
    // On a host that runs it is an error of TuneD, which then does nothing.
    if runs && !reader.is_this_host() && !acts.iter().any(|act| act.certain && sets_limit(act)) {
        for (path, line) in &missing {
            reader.misses(path, line);
        }
    }
    let sets = Sets::of(acts, Timing::AtStart)?;
    let limit = sets.acts.iter().rfind(|act| sets_limit(act));
    let evidence = limit.map_or_else(|| active.as_source(), |act| act.source.clone());
    Some(Writer {
        name: "tuned",
        active: runs,
        behaviour: behaviour(limit, &sets),
        knob: knob(limit),
        sets: runs.then(|| Sets {
            source: evidence.clone(),
            ..sets
        }),
        evidence: vec![evidence],
    })
}

fn sets_limit(act: &Act) -> bool {
    match act.does {
        Does::Sets { variable, .. } => variable == Variable::Max,
        Does::Moves { .. } => true,
        Does::AppliesFiles(_) => false,
    }
}

const FILES: &str = "applies the files of /run/sysctl.d, /etc/sysctl.d and /etc/sysctl.conf once \
                     more";

fn behaviour(limit: Option<&Act>, sets: &Sets) -> String {
    let what = match limit {
        Some(_) if sets.max.is_none() => {
            "sets the limit of its profile after boot, to a value that ctdrop cannot predict"
        }
        Some(_) if sets.reapplies => "sets the limit of its profile after boot",
        Some(_) => "sets the limit of its profile after boot, which overrides all files",
        None => "sets other sysctls after boot",
    };
    if sets.reapplies {
        format!("{what}, and {FILES}")
    } else {
        what.to_owned()
    }
}

fn knob(limit: Option<&Act>) -> String {
    limit.map_or_else(String::new, |act| {
        let file = &act.source.file;
        if file.starts_with("/etc") {
            format!("change the line in {}", file.display())
        } else {
            format!(
                "set the limit in a profile of your own that includes the one in {}",
                file.display()
            )
        }
    })
}

/// What the sections of profiles do.
struct Applied<'r> {
    reader: &'r Reader<'r>,
    commands: &'r Commands<'r>,
    variables: Variables,
    reapplies: bool,
}

impl Applied<'_> {
    fn acts(&self, profiles: Profiles) -> Vec<Act> {
        let mut acts: Vec<Act> = profiles.unclear.iter().map(unknown).collect();
        let mut sections = profiles.sections;
        sections.sort_by_key(|section| section.priority);
        for section in sections.iter().filter(|section| section.enabled) {
            let mut found = Vec::new();
            match section.kind.as_str() {
                "sysctl" => self.sysctls(section, &mut found),
                "sysfs" => self.files(section, &mut found),
                "net" => self.hashsize(section, &mut found),
                "script" => self.scripts(section, "script", "start", &mut found),
                _ => {}
            }
            self.scripts(section, "script_pre", "apply", &mut found);
            self.scripts(section, "script_post", "apply", &mut found);
            acts.extend(found.into_iter().map(|act| Act {
                certain: act.certain && section.certain,
                ..act
            }));
        }
        acts
    }

    fn sysctls(&self, section: &Section, acts: &mut Vec<Act>) {
        for setting in &section.settings {
            acts.extend(self.sysctl(setting));
        }
        if self.reapplies {
            let source = section
                .settings
                .first()
                .map(|setting| setting.source.clone());
            acts.extend(source.map(|source| Act {
                does: Does::AppliesFiles(Applier::Tuned),
                certain: true,
                source,
            }));
        }
    }

    /// A value may begin with a sign: the larger, or the smaller one, counts.
    fn sysctl(&self, setting: &Setting) -> Option<Act> {
        // Dots are always slashes here, and slashes are dots.
        let swapped = |letter| match letter {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        let name: String = setting.key.chars().map(swapped).collect();
        let Some(variable) = Key::parse(&format!("/{name}")).variable() else {
            // A name with a variable in it.
            let may_be = setting.key.contains("${") && mentions(&setting.source.text);
            return may_be.then(|| unknown(&setting.source));
        };
        let text = self.variables.expand(unquoted(&setting.value));
        let sign = text.as_deref().and_then(|text| text.chars().next());
        let bare = text
            .as_deref()
            .map(|text| text.trim_start_matches(['<', '>']));
        let value = match bare.map(|text| taken(text, None)) {
            Some(Taken::Refused) => return None,
            Some(Taken::Number(value)) => Some(value),
            Some(Taken::Unclear) | None => None,
        };
        let does = match (sign, variable, value) {
            (Some('<' | '>'), Variable::Max, Some(value)) => Does::Moves {
                up: sign == Some('>'),
                name: name.clone(),
                value,
            },
            _ => Does::Sets {
                variable,
                name: Some(name),
                value,
            },
        };
        Some(Act {
            does,
            certain: setting.certain,
            source: setting.source.clone(),
        })
    }

    /// Files below `/sys`; others are refused.
    fn files(&self, section: &Section, acts: &mut Vec<Act>) {
        for setting in &section.settings {
            if setting.key.starts_with("/sys/") {
                let value = self.variables.expand(&setting.value);
                let at = (&setting.source, setting.certain);
                written(&setting.key, value.as_deref(), at, acts);
            }
        }
    }

    fn hashsize(&self, section: &Section, acts: &mut Vec<Act>) {
        let of_us = |setting: &&Setting| setting.key == "nf_conntrack_hashsize";
        acts.extend(section.settings.iter().filter(of_us).map(|setting| {
            Act {
                does: Does::Sets {
                    variable: Variable::Buckets,
                    name: None,
                    value: self
                        .variables
                        .expand(&setting.value)
                        .and_then(|value| value.parse().ok()),
                },
                certain: setting.certain,
                source: setting.source.clone(),
            }
        }));
    }

    /// Scripts, which are in the directory of the profile.
    fn scripts(&self, section: &Section, key: &str, argument: &str, acts: &mut Vec<Act>) {
        for setting in section.settings.iter().filter(|found| found.key == key) {
            let directory = setting
                .source
                .file
                .parent()
                .map(|path| path.to_string_lossy());
            let Some(path) = self.variables.expand(&setting.value) else {
                acts.push(unknown(&setting.source));
                continue;
            };
            let path = match directory {
                Some(directory) if !path.starts_with('/') => format!("{directory}/{path}"),
                _ => path,
            };
            match self.reader.program(&path) {
                Some(script) if script.executable => {
                    acts.extend(self.script(&script, argument, setting.certain));
                }
                Some(_) => {}
                None if self.reader.is_this_host() => {}
                None => self.reader.misses(&path, &setting.source),
            }
        }
    }

    fn script(&self, script: &TextFile, argument: &str, certain: bool) -> Vec<Act> {
        let acts = self
            .commands
            .of_script(script, &[Some(argument.to_owned())]);
        let acts = acts.into_iter().map(|act| Act {
            certain: act.certain && certain,
            ..act
        });
        acts.collect()
    }
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

/// Whether it applies the files once more, which is the default.
fn reapplies(reader: &Reader<'_>) -> bool {
    let Some(config) = reader.text("/etc/tuned/tuned-main.conf") else {
        return true;
    };
    let setting = config.lines().find_map(|(_, line)| {
        let (key, value) = line.trim().split_once('=')?;
        (key.trim() == "reapply_sysctl").then(|| value.trim().to_owned())
    });
    setting.is_none_or(|value| !["0", "no", "false", "n"].contains(&value.to_lowercase().as_str()))
}
