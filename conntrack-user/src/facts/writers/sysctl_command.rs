//! The `sysctl` command and its options: of procps 3 and 4, and of busybox.

use crate::facts::{
    reader::Source,
    shell::Files,
    sysctl::{Key, Taken, value::taken},
    writers::{
        acts::{mentions, settings, unknown},
        writer::{Act, Applier, Does},
    },
};

/// What it is asked to do.
#[derive(Default)]
struct Asked<'w> {
    applies_files: bool,
    reads_settings: bool,
    arguments: Vec<&'w str>,
    /// Whether it only says something.
    only_says: bool,
}

/// What `sysctl` with these arguments does.
pub(super) fn run(
    files: &dyn Files,
    words: &[&str],
    input: Option<&str>,
    (at, certain): (&Source, bool),
    acts: &mut Vec<Act>,
) {
    let asked = asked(words);
    if asked.only_says {
        return;
    }
    if asked.applies_files {
        acts.push(Act {
            does: Does::AppliesFiles(Applier::Procps),
            certain,
            source: at.clone(),
        });
        return;
    }
    if asked.reads_settings {
        let paths = if asked.arguments.is_empty() {
            vec!["/etc/sysctl.conf"]
        } else {
            asked.arguments
        };
        for path in paths {
            match path {
                "-" | "/dev/stdin" => match input {
                    Some(text) => acts.extend(settings(text, (at, certain))),
                    // What a search finds in the host's files, most likely.
                    None => acts.push(unknown(at)),
                },
                path if path.starts_with('/') && !path.contains(['*', '?', '[']) => {
                    // The writer is who runs it: the file's own lines are settings.
                    if let Some(found) = files.read(path) {
                        acts.extend(settings(&found.text, (at, certain)));
                    }
                }
                _ => acts.push(unknown(at)),
            }
        }
        return;
    }
    for argument in asked.arguments {
        let Some((key, value)) = argument.split_once('=') else {
            continue;
        };
        let key = Key::parse(key);
        if let Some(variable) = key.variable() {
            let value = match taken(value, None) {
                // What the kernel does not take is not set.
                Taken::Refused => continue,
                Taken::Number(value) => Some(value),
                Taken::Unclear => None,
            };
            acts.push(Act {
                does: Does::Sets {
                    variable,
                    name: Some(key.path),
                    value,
                },
                certain,
                source: at.clone(),
            });
        } else if mentions(argument) {
            acts.push(unknown(at));
        }
    }
}

fn asked<'w>(words: &[&'w str]) -> Asked<'w> {
    let mut asked = Asked::default();
    let mut words = words.iter().copied();
    let mut only_arguments = false;
    while let Some(word) = words.next() {
        if only_arguments || word == "-" || !word.starts_with('-') {
            asked.arguments.push(word);
            continue;
        }
        if word == "--" {
            only_arguments = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            match name {
                "system" => asked.applies_files = true,
                "load" => {
                    asked.reads_settings = true;
                    asked.arguments.extend(value);
                }
                "pattern" if value.is_none() => {
                    words.next();
                }
                "all" | "help" | "version" | "dry-run" => asked.only_says = true,
                _ => {}
            }
        } else {
            short(&word[1..], &mut words, &mut asked);
        }
    }
    asked
}

/// Options of one letter, several in a word.
fn short<'w>(letters: &'w str, words: &mut impl Iterator<Item = &'w str>, asked: &mut Asked<'w>) {
    for (at, letter) in letters.char_indices() {
        match letter {
            'p' | 'f' => {
                asked.reads_settings = true;
                let rest = &letters[at + 1..];
                // `-p FILE`, `-pFILE`; but `-pe` are two options to older ones.
                if rest.starts_with(['/', '.']) || rest == "-" {
                    asked.arguments.push(rest);
                    return;
                }
            }
            'r' => {
                if letters[at + 1..].is_empty() {
                    words.next();
                }
                return;
            }
            'a' | 'A' | 'X' | 'h' | 'V' => asked.only_says = true,
            _ => {}
        }
    }
}

/// Whether the service is started again that sets sysctls at boot.
pub(super) fn starts_at_boot(words: &[&str]) -> bool {
    let starts =
        |word: &&str| ["start", "restart", "reload-or-restart", "try-restart"].contains(word);
    words.iter().any(starts)
        && words.iter().any(|word| {
            let name = word.rsplit('/').next().unwrap_or(word);
            let name = name.strip_suffix(".service").unwrap_or(name);
            name == "systemd-sysctl" || name == "procps"
        })
}

/// All files are applied as at boot.
pub(super) fn as_at_boot(at: &Source, certain: bool) -> Act {
    Act {
        does: Does::AppliesFiles(Applier::Boot),
        certain,
        source: at.clone(),
    }
}
