//! What commands do to the limit: of scripts, and of lines that a shell is given.

mod languages;
mod other;
mod program;
mod rights;
mod services;
mod sysctl_command;
pub(super) mod wrappers;

use crate::facts::{
    reader::{Reader, Source, TextFile},
    shell::{
        self, Dialect, Files, Surroundings,
        directory::joined,
        effect::{self, Effect, GAP, Word},
    },
    writers::{
        acts::{may_set, mentions, unknown, written_by},
        writer::Act,
    },
};

/// How far scripts may call one another.
const DEEPEST: usize = 5;

/// What commands do, on a tree.
pub(super) struct Commands<'r> {
    reader: &'r Reader<'r>,
    /// What `/bin/sh` is.
    sh: Dialect,
}

/// How a program is run.
#[derive(Clone)]
struct Run<'c> {
    /// The line that does so, and whether it surely comes to that.
    at: &'c Source,
    certain: bool,
    /// The script or the line that it is a part of.
    script: &'c str,
    /// What it reads on standard input; none if that is nothing, or not known.
    input: Option<&'c str>,
    surroundings: Surroundings,
    /// How many scripts called one another before.
    depth: usize,
}

impl Run<'_> {
    /// A path from the root, as far as the working directory is known.
    fn absolute(&self, path: &Word) -> Word {
        let directory = self.surroundings.directory.as_deref();
        match (path.known(), directory) {
            (Some(known), Some(directory)) if !known.starts_with('/') => {
                Word::new(joined(directory, known))
            }
            (Some(known), None) if !known.starts_with('/') => {
                Word::new(format!("{GAP}/{}", known.trim_start_matches("./")))
            }
            _ => path.clone(),
        }
    }
}

impl Files for Commands<'_> {
    fn read(&self, path: &str) -> Option<TextFile> {
        if is_of_kernel(path) {
            return None;
        }
        self.reader.file(path)
    }

    fn exists(&self, path: &str) -> Option<bool> {
        let of_limit = mentions(path) || LIMIT.contains(&path.trim_end_matches('/'));
        if path.starts_with("/proc/sys/net") && of_limit {
            // If it is not, what is set there fails anyhow.
            return Some(true);
        }
        if is_of_kernel(path) || !path.starts_with('/') {
            return None;
        }
        // A tree may be without what its host has.
        let there = self.reader.exists(path);
        (there || self.reader.is_this_host()).then_some(there)
    }

    fn names(&self, directory: &str) -> Option<Vec<String>> {
        if is_of_kernel(&format!("{directory}/")) {
            return None;
        }
        let names = self.reader.names_if_directory(directory);
        // A tree may be without what its host has.
        let nothing = || self.reader.is_this_host().then(Vec::new);
        names.or_else(nothing)
    }
}

/// Directories of the limit.
const LIMIT: [&str; 4] = [
    "/proc/sys/net",
    "/proc/sys/net/netfilter",
    "/proc/sys/net/ipv4",
    "/proc/sys/net/ipv4/netfilter",
];

/// Whether a file is none of the host's own, or not there for long.
fn is_of_kernel(path: &str) -> bool {
    ["/proc/", "/sys/", "/dev/", "/run/", "/tmp/", "/var/run/"]
        .iter()
        .any(|directory| path.starts_with(directory))
}

impl<'r> Commands<'r> {
    pub(super) fn new(reader: &'r Reader<'r>) -> Self {
        let sh = reader.resolve("/bin/sh");
        let is_bash = sh.is_some_and(|file| file.ends_with("bash"));
        Self {
            reader,
            sh: if is_bash { Dialect::Bash } else { Dialect::Sh },
        }
    }

    /// What a script does that is run at boot, in the root directory.
    pub(super) fn of_script(&self, script: &TextFile, arguments: &[Option<String>]) -> Vec<Act> {
        self.script(script, arguments, Surroundings::in_root(), 0)
    }

    /// What a line does that `sh -c` is given, with what it reads.
    pub(super) fn of_line(&self, command: &str, at: &Source) -> Vec<Act> {
        let surroundings = Surroundings::default();
        self.line(command, &[], at, (self.sh, surroundings), 0)
    }

    fn script(
        &self,
        script: &TextFile,
        arguments: &[Option<String>],
        surroundings: Surroundings,
        depth: usize,
    ) -> Vec<Act> {
        let first = script.text.lines().next().unwrap_or_default();
        let Some(dialect) = self.dialect(script, first) else {
            let found = languages::setting_line(script);
            return found.iter().map(unknown).collect();
        };
        let surroundings = Surroundings {
            name: Some(script.file.display().to_string()),
            ..surroundings
        };
        let arguments = arguments.to_vec();
        let effects = shell::effects(script, arguments, &surroundings, (self, dialect));
        self.acts(&effects, (&script.text, Some(script)), depth)
    }

    /// Which shell runs a script; none if none does.
    fn dialect(&self, script: &TextFile, first: &str) -> Option<Dialect> {
        if script.text.starts_with("\u{7f}ELF") {
            return None;
        }
        let Some(program) = first.strip_prefix("#!") else {
            return Some(self.sh);
        };
        let mut words = program.split(['/', ' ', '\t', '\r']);
        words.find_map(|word| match word {
            "bash" => Some(Dialect::Bash),
            "sh" => Some(self.sh),
            "dash" | "ash" | "ksh" => Some(Dialect::Sh),
            _ => None,
        })
    }

    fn line(
        &self,
        command: &str,
        arguments: &[Option<String>],
        at: &Source,
        (dialect, surroundings): (Dialect, Surroundings),
        depth: usize,
    ) -> Vec<Act> {
        if shell::is_left_open(command) {
            // A syntax error: nothing of a single line is run.
            return Vec::new();
        }
        let script = TextFile {
            file: at.file.clone(),
            text: command.to_owned(),
            executable: false,
        };
        let arguments = arguments.to_vec();
        let effects: Vec<Effect> =
            shell::effects(&script, arguments, &surroundings, (self, dialect))
                .into_iter()
                .map(|effect| Effect {
                    at: at.clone(),
                    ..effect
                })
                .collect();
        self.acts(&effects, (command, None), depth)
    }

    fn acts(
        &self,
        effects: &[Effect],
        (script, file): (&str, Option<&TextFile>),
        depth: usize,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        for effect in effects {
            let at = (&effect.at, effect.certain);
            match &effect.does {
                effect::Does::Writes { path, text } => {
                    written_by(script, path, text.as_deref(), at, &mut acts);
                }
                effect::Does::Runs {
                    words,
                    input,
                    directory,
                } => {
                    let run = Run {
                        at: &effect.at,
                        certain: effect.certain,
                        script,
                        input: input.as_deref(),
                        // What it exports is not followed.
                        surroundings: Surroundings {
                            directory: directory.clone(),
                            ..Surroundings::default()
                        },
                        depth,
                    };
                    self.program(words, &run, &mut acts);
                }
                effect::Does::Anything => {
                    if mentions(&effect.at.text) || may_set(script) {
                        acts.push(unknown(&telling(&effect.at, file)));
                    }
                }
            }
        }
        acts
    }
}

/// The line to tell where anything may be done: one of the script that speaks of the
/// limit, which what is not followed may lead to.
fn telling(at: &Source, script: Option<&TextFile>) -> Source {
    let script = script.filter(|script| script.file == at.file && !may_set(&at.text));
    let found = script.and_then(|script| script.first(|line| may_set(line) && mentions(line)));
    found.unwrap_or_else(|| at.clone())
}

/// Words as arguments of a script, each none if only the shell could tell.
fn as_arguments(words: &[Word]) -> Vec<Option<String>> {
    let known = |word: &Word| word.known().map(str::to_owned);
    words.iter().map(known).collect()
}

/// What a script does that may not be run at all.
fn under(acts: Vec<Act>, certain: bool) -> impl Iterator<Item = Act> {
    acts.into_iter().map(move |act| Act {
        certain: act.certain && certain,
        ..act
    })
}
