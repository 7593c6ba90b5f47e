//! The `sysctl` command and its options: of procps 3 and 4, and of busybox.

use crate::facts::{
    reader::Source,
    shell::{
        Files,
        directory::joined,
        effect::{GAP, Word},
    },
    sysctl::{Key, SYSCTL_CONF, Taken, value::taken},
    writers::{
        acts::{may_be_limit, mentions, settings, unknown},
        writer::{Act, Applier, Does},
    },
};

/// What it is asked to do; of several, the last one here counts.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    #[default]
    TakesArguments,
    ReadsSettings,
    AppliesFiles,
    OnlySays,
}

/// How it is called.
#[derive(Default)]
struct Asked<'w> {
    task: Task,
    arguments: Vec<&'w Word>,
    /// Files that an option names.
    files: Vec<Word>,
    /// Whether it is to print values.
    prints: bool,
    /// Whether it is to set something.
    sets: bool,
}

impl Asked<'_> {
    fn ask(&mut self, task: Task) {
        self.task = self.task.max(task);
    }
}

/// What `sysctl` with these arguments does, in a working directory.
pub(super) fn run(
    files: &dyn Files,
    (words, directory): (&[Word], Option<&str>),
    input: Option<&str>,
    (at, certain): (&Source, bool),
    acts: &mut Vec<Act>,
) {
    let asked = asked(words);
    if asked.task == Task::OnlySays {
        return;
    }
    if asked.task == Task::AppliesFiles {
        acts.push(Act {
            does: Does::AppliesFiles(Applier::Procps),
            certain,
            source: at.clone(),
        });
        return;
    }
    if asked.task == Task::ReadsSettings {
        let mut paths = asked.files;
        paths.extend(asked.arguments.into_iter().cloned());
        if paths.is_empty() {
            paths.push(Word::new(SYSCTL_CONF));
        }
        for path in &paths {
            acts.extend(of_file(files, (path, directory), input, (at, certain)));
        }
        return;
    }
    for argument in &asked.arguments {
        acts.extend(set(argument, &asked, (at, certain)));
    }
}

/// `sysctl -p FILE`
fn of_file(
    files: &dyn Files,
    (path, directory): (&Word, Option<&str>),
    input: Option<&str>,
    (at, certain): (&Source, bool),
) -> Vec<Act> {
    let Some(path) = path.known() else {
        return vec![unknown(at)];
    };
    let path = match (path, directory) {
        ("-" | "/dev/stdin", _) => {
            // What a search finds in the host's files, most likely.
            return input.map_or_else(|| vec![unknown(at)], |text| settings(text, (at, certain)));
        }
        (path, _) if path.contains(['*', '?', '[']) => return vec![unknown(at)],
        (path, _) if path.starts_with('/') => path.to_owned(),
        (path, Some(directory)) => joined(directory, path),
        (_, None) => return vec![unknown(at)],
    };
    match files.read(&path) {
        // The writer is who runs it: the file's own lines are settings.
        Some(found) => settings(&found.text, (at, certain)),
        None if path == SYSCTL_CONF || files.exists(&path) == Some(false) => Vec::new(),
        None => vec![unknown(at)],
    }
}

/// `sysctl NAME=VALUE`
fn set(argument: &Word, asked: &Asked<'_>, (at, certain): (&Source, bool)) -> Option<Act> {
    let text = argument.with_gaps();
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (Word::new(key), Word::new(value)),
        // What only has a name is printed.
        None if argument.known().is_some() || asked.prints && !asked.sets => return None,
        None => (Word::new(text), Word::unknown()),
    };
    let Some(name) = key.known() else {
        return may_be_limit(key.with_gaps()).then(|| unknown(at));
    };
    let key = Key::parse(name);
    let Some(variable) = key.variable() else {
        return mentions(name).then(|| unknown(at));
    };
    let value = match value.known().map(|value| taken(value, None)) {
        // What the kernel does not take is not set.
        Some(Taken::Refused) => return None,
        Some(Taken::Number(value)) => Some(value),
        Some(Taken::Unclear) | None => None,
    };
    Some(Act {
        does: Does::Sets {
            variable,
            name: Some(key.path),
            value,
        },
        certain,
        source: at.clone(),
    })
}

fn asked(words: &[Word]) -> Asked<'_> {
    let mut asked = Asked::default();
    let mut words = words.iter();
    let mut only_arguments = false;
    while let Some(given) = words.next() {
        let word = given.with_gaps();
        if only_arguments || word == "-" || !word.starts_with('-') {
            asked.arguments.push(given);
            continue;
        }
        if word == "--" {
            only_arguments = true;
        } else if let Some(long) = word.strip_prefix("--") {
            long_option(long, &mut words, &mut asked);
        } else {
            short(&word[1..], &mut words, &mut asked);
        }
    }
    asked
}

fn long_option<'w>(
    option: &str,
    words: &mut impl Iterator<Item = &'w Word>,
    asked: &mut Asked<'w>,
) {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    match name {
        "system" => asked.ask(Task::AppliesFiles),
        "load" => {
            asked.ask(Task::ReadsSettings);
            asked.files.extend(value.map(Word::new));
        }
        "pattern" if value.is_none() => {
            words.next();
        }
        "write" => asked.sets = true,
        "values" | "names" | "binary" => asked.prints = true,
        "all" | "help" | "version" | "dry-run" => asked.ask(Task::OnlySays),
        _ => {}
    }
}

/// Options of one letter, several in a word.
fn short<'w>(letters: &str, words: &mut impl Iterator<Item = &'w Word>, asked: &mut Asked<'w>) {
    for (at, letter) in letters.char_indices() {
        match letter {
            'p' | 'f' => {
                asked.ask(Task::ReadsSettings);
                let rest = &letters[at + 1..];
                // `-p FILE`, `-pFILE`; but `-pe` are two options to older ones.
                if rest.starts_with(['/', '.', GAP]) || rest == "-" {
                    asked.files.push(Word::new(rest));
                    return;
                }
            }
            'r' => {
                if letters[at + 1..].is_empty() {
                    words.next();
                }
                return;
            }
            'w' => asked.sets = true,
            'n' | 'N' | 'b' => asked.prints = true,
            'a' | 'A' | 'X' | 'h' | 'V' => asked.ask(Task::OnlySays),
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
