//! What single commands and settings do to the limit: what is written to a file, and
//! lines of sysctls.

use crate::facts::{
    reader::Source,
    shell::effect::{GAP, Word},
    sysctl::{self, Dialect, Key, Line, Taken, Variable, line, value::taken},
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

/// Whether a line or a name speaks of conntrack, or of sysctls.
pub(super) fn speaks_of_conntrack(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("conntrack") || text.contains("sysctl")
}

/// Whether a name with gaps may be one of the limit or the buckets: of a sysctl, with
/// dots or slashes.
pub(super) fn may_be_limit(name: &str) -> bool {
    let name = Word::new(name);
    let names = Variable::Max
        .names()
        .iter()
        .chain(Variable::Buckets.names());
    names
        .into_iter()
        .any(|path| name.may_be(path) || name.may_be(&path.replace('/', ".")))
}

/// Whether a path with gaps may be one of the limit or the buckets.
fn may_be_path_of_limit(path: &Word) -> bool {
    let names = Variable::Max
        .names()
        .iter()
        .chain(Variable::Buckets.names());
    let mut paths = names.map(|name| format!("/proc/sys/{name}"));
    let parameter = |module| format!("/sys/module/{module}/parameters/hashsize");
    paths.any(|text| path.may_be(&text))
        || ["nf_conntrack", "ip_conntrack"]
            .into_iter()
            .any(|module| path.may_be(&parameter(module)))
}

/// Whether a script speaks of the limit, or runs `sysctl`, where it does not only read:
/// outside of its comments, `$(…)` and backquotes, and of `< FILE`.
pub(super) fn may_set(script: &str) -> bool {
    script.lines().any(|line| {
        let line = outside_substitutions(line.trim_start());
        !line.starts_with('#')
            && (line.contains("sysctl") || mentions(&line) && !only_reads_file(&line))
    })
}

/// Whether the limit is only named as what a line reads.
fn only_reads_file(line: &str) -> bool {
    let mut parts = line.split('<');
    let before = parts.next().unwrap_or_default();
    !mentions(before)
        && parts.all(|part| {
            let word = part
                .trim_start()
                .split([' ', '\t', ';', ')', '|', '&'])
                .next();
            let rest = &part.trim_start()[word.map_or(0, str::len)..];
            !mentions(rest)
        })
}

/// A line without its `$(…)` and backquotes. What is in them is run on its own account;
/// its output, as an argument, sets nothing.
fn outside_substitutions(line: &str) -> String {
    let mut outside = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['$', '`']) {
        let (before, from) = rest.split_at(at);
        outside.push_str(before);
        // What begins none is a letter like others.
        let length = substitution(from).unwrap_or_else(|| {
            outside.push_str(&from[..1]);
            1
        });
        rest = &from[length..];
    }
    outside.push_str(rest);
    outside
}

/// How long the substitution is that a text begins with; none if it begins with none.
fn substitution(text: &str) -> Option<usize> {
    if let Some(inside) = text.strip_prefix('`') {
        return Some(inside.find('`')? + 2);
    }
    text.strip_prefix("$(")?;
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at + 1),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
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

/// A text is written to a file, by a script.
pub(super) fn written_by(
    script: &str,
    path: &Word,
    text: Option<&str>,
    (at, certain): (&Source, bool),
    acts: &mut Vec<Act>,
) {
    if let Some(path) = path.known() {
        written(path, text, (at, certain), acts);
        return;
    }
    let refused = text.is_some_and(|text| taken(text, None) == Taken::Refused);
    let is_blank = |letter: char| letter == GAP || matches!(letter, '/' | '.');
    let speaks = if path.with_gaps().chars().all(is_blank) {
        mentions(&at.text) || may_set(script) && mentions(script)
    } else {
        may_be_path_of_limit(path)
    };
    if speaks && !refused {
        acts.push(unknown(at));
    }
}

/// A text is written to a file.
pub(super) fn written(
    path: &str,
    text: Option<&str>,
    (at, certain): (&Source, bool),
    acts: &mut Vec<Act>,
) {
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
    let value = match text.map(|text| taken(text, None)) {
        // The kernel takes none of it.
        Some(Taken::Refused) => return,
        Some(Taken::Number(value)) => Some(value),
        Some(Taken::Unclear) | None => None,
    };
    acts.push(Act {
        does: Does::Sets {
            variable,
            name,
            value,
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

/// How the `sysctl` command may read a text, whatever the host has.
const COMMANDS: [Dialect; 3] = [
    Dialect::Procps4,
    Dialect::Procps3 { any_length: false },
    Dialect::Busybox,
];

/// The settings of a file or a text that `sysctl -p` is given in this line. Where versions of it
/// read the text in different ways, they are not known.
pub(super) fn settings(text: &str, (at, certain): (&Source, bool)) -> Vec<Act> {
    let [mut lines, others @ ..] = COMMANDS.map(|command| {
        let mut lines = line::parse(text, command);
        lines.retain(speaks_of_limit);
        lines
    });
    let known = others.iter().all(|other| *other == lines);
    if !known {
        lines.extend(others.concat());
        lines.sort_by_key(|line| line.number);
        lines.dedup_by_key(|line| line.number);
    }
    let acts = lines.iter().filter_map(|line| {
        let variable = line.key.variable().filter(|_| known);
        let value = taken(&line.value, None);
        let (Some(variable), sysctl::Does::Sets) = (variable, line.does) else {
            return Some(unknown(at));
        };
        let value = match value {
            Taken::Refused => return None,
            Taken::Number(value) => Some(value),
            Taken::Unclear => None,
        };
        Some(Act {
            does: Does::Sets {
                variable,
                name: Some(line.key.path.clone()),
                value,
            },
            // Whether a dash is known depends on the version.
            certain: certain && !line.dash,
            source: at.clone(),
        })
    });
    acts.collect()
}

/// Whether a line sets the limit or the buckets, or may do so.
fn speaks_of_limit(line: &Line) -> bool {
    let matches = |variable| line.key.matches(variable).next().is_some();
    match line.does {
        sysctl::Does::Sets => {
            line.key.variable().is_some() || matches(Variable::Max) || matches(Variable::Buckets)
        }
        // Only patterns are affected.
        sysctl::Does::TakesBack => false,
        sysctl::Does::Unclear => true,
    }
}
