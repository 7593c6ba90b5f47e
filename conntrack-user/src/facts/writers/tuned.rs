//! `TuneD`: the active profile sets sysctls after boot, and then by default applies
//! the files of `/run` and `/etc` once more (`tuned/plugins/plugin_sysctl.py`).

use crate::facts::{
    reader::{Reader, Source, TextFile},
    services::Services,
    sysctl::Variable,
    writers::writer::{Sets, Timing, Writer, assigned},
};

/// How far profiles may include one another.
const DEEPEST: usize = 10;

pub(super) fn read(reader: &Reader<'_>, services: &Services) -> Option<Writer> {
    let active = reader.text("/etc/tuned/active_profile")?;
    let mut settings = Vec::new();
    for profile in active.text.split_ascii_whitespace() {
        collect(reader, profile, DEEPEST, &mut settings);
    }
    if settings.is_empty() {
        return None;
    }
    let last = |wanted| {
        settings
            .iter()
            .rev()
            .find(|setting| setting.variable == Some(wanted))
    };
    let max = last(Variable::Max);
    let runs = services.starts("tuned");
    let reapplies = reapplies(reader);
    let evidence = max.map_or_else(|| active.as_source(), |setting| setting.source.clone());
    Some(Writer {
        name: "tuned",
        active: runs,
        behaviour: match (max, reapplies) {
            (Some(_), true) => {
                "sets the limit of its profile after boot, then applies the files of \
                 /run/sysctl.d, /etc/sysctl.d and /etc/sysctl.conf once more"
            }
            (Some(_), false) => {
                "sets the limit of its profile after boot, which overrides all files"
            }
            (None, true) => {
                "sets other sysctls after boot, then applies the files of /run/sysctl.d, \
                 /etc/sysctl.d and /etc/sysctl.conf once more"
            }
            (None, false) => "sets other sysctls",
        }
        .to_owned(),
        knob: "change the section [sysctl] of the active profile (tuned-adm active), or use a \
               profile of your own that includes it"
            .to_owned(),
        sets: (runs && (max.is_some() || reapplies)).then(|| Sets {
            max: max.and_then(|setting| setting.value),
            buckets: last(Variable::Buckets).and_then(|setting| setting.value),
            timing: Timing::AtStart,
            source: evidence.clone(),
            reapplies,
            acts: Vec::new(),
        }),
        evidence: vec![evidence],
    })
}

struct Setting {
    variable: Option<Variable>,
    value: Option<u64>,
    source: Source,
}

/// The sysctls of a profile, those that it includes first.
fn collect(reader: &Reader<'_>, profile: &str, depth: usize, settings: &mut Vec<Setting>) {
    let profile = profile.trim_start_matches('-');
    let found = [
        "/etc/tuned",
        "/etc/tuned/profiles",
        "/usr/lib/tuned",
        "/usr/lib/tuned/profiles",
    ]
    .into_iter()
    .find_map(|directory| reader.text(&format!("{directory}/{profile}/tuned.conf")));
    let Some(text) = found else {
        return;
    };
    if depth > 0
        && let Some(includes) = in_section(&text, "main").find(|(key, ..)| *key == "include")
    {
        let names = includes
            .1
            .split([',', ';', ' '])
            .filter(|name| !name.is_empty());
        for name in names {
            collect(reader, name, depth - 1, settings);
        }
    }
    for (key, value, source) in in_section(&text, "sysctl") {
        let assigned = assigned(key, value.trim_start_matches(['<', '>']));
        settings.push(Setting {
            variable: assigned.map(|(variable, _)| variable),
            value: assigned.and_then(|(_, value)| value),
            source,
        });
    }
}

fn in_section<'t>(
    text: &'t TextFile,
    section: &'t str,
) -> impl Iterator<Item = (&'t str, &'t str, Source)> {
    let mut inside = false;
    text.lines().filter_map(move |(number, line)| {
        let code = line.trim();
        if let Some(name) = code
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            inside = name == section;
            return None;
        }
        if !inside || code.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = code.split_once('=')?;
        Some((key.trim(), value.trim(), text.source(number, line)))
    })
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
