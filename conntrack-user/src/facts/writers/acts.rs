//! What single commands and settings do to the limit: what is written to a file, and
//! lines of sysctls.

use crate::facts::{
    reader::Source,
    sysctl::{Key, Variable, line, line::number},
    writers::writer::{Act, Does},
};

/// Texts that show that the limit is spoken of.
const NAMES: [&str; 3] = [
    "conntrack_max",
    "conntrack_buckets",
    "conntrack/parameters/hashsize",
];

/// Whether a text speaks of the limit.
pub(super) fn mentions(text: &str) -> bool {
    NAMES.iter().any(|name| text.contains(name))
}

/// Something that may set the limit, to what only the shell could tell.
pub(super) fn unknown(at: &Source) -> Act {
    Act {
        does: Does::Sets {
            variable: Variable::Max,
            name: None,
            value: None,
        },
        certain: false,
        source: at.clone(),
    }
}

/// A text is written to a file.
pub(super) fn written(
    path: Option<&str>,
    text: Option<&str>,
    (at, certain): (&Source, bool),
    acts: &mut Vec<Act>,
) {
    let Some(path) = path else {
        if mentions(&at.text) {
            acts.push(unknown(at));
        }
        return;
    };
    let path = normal(path);
    let (variable, name) = if let Some(name) = path.strip_prefix("/proc/sys/") {
        let key = Key::parse(&format!("/{name}"));
        let Some(variable) = key.variable() else {
            return;
        };
        (variable, Some(key.path))
    } else if path.starts_with("/sys/module/") && path.ends_with("_conntrack/parameters/hashsize") {
        (Variable::Buckets, None)
    } else {
        if !path.starts_with('/') && mentions(&path) {
            acts.push(unknown(at));
        }
        return;
    };
    let value = text.map(number);
    if value == Some(None) {
        // The kernel takes none of it.
        return;
    }
    acts.push(Act {
        does: Does::Sets {
            variable,
            name,
            value: value.flatten(),
        },
        certain,
        source: at.clone(),
    });
}

/// A path without `//` and `/./`.
fn normal(path: &str) -> String {
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    let start = if path.starts_with('/') { "/" } else { "" };
    format!("{start}{}", parts.collect::<Vec<_>>().join("/"))
}

/// The settings of a file or a text that `sysctl -p` is given.
pub(super) fn settings(
    text: &str,
    source: impl Fn(&line::Line) -> Source,
    certain: bool,
) -> Vec<Act> {
    let lines = line::parse(text);
    lines
        .iter()
        .filter_map(|line| {
            let variable = line.key.variable()?;
            let value = number(&line.value)?;
            Some(Act {
                does: Does::Sets {
                    variable,
                    name: Some(line.key.path.clone()),
                    value: Some(value),
                },
                // Whether a dash is known depends on the version.
                certain: certain && !line.dash,
                source: source(line),
            })
        })
        .collect()
}
