//! What commands do to the limit: of scripts, and of lines that a shell is given.

use crate::facts::{
    reader::{Reader, Source, TextFile},
    shell::{
        self, Dialect, Files,
        effect::{self, Effect},
    },
    writers::{
        acts::{mentions, mentions_outside_substitutions, unknown, written},
        sysctl_command,
        wrappers::unwrapped,
        writer::Act,
    },
};

/// How far scripts may call one another.
const DEEPEST: usize = 5;

/// Programs that only look, or set nothing of ours.
const HARMLESS: [&str; 25] = [
    "cat",
    "grep",
    "egrep",
    "fgrep",
    "ls",
    "stat",
    "head",
    "tail",
    "wc",
    "cut",
    "logger",
    "modprobe",
    "insmod",
    "rmmod",
    "iptables",
    "nft",
    "conntrack",
    "chmod",
    "chown",
    "echo",
    "printf",
    // A udev rule that runs it is told apart.
    "systemd-sysctl",
    // Read where Kubernetes is: `kubernetes`.
    "k3s",
    "rke2",
    "kube-proxy",
];

/// Programs that set what they are told by their arguments, or run them: an argument that
/// only the shell could tell may be the limit.
const SETTING: [&str; 16] = [
    "sysctl", "tee", "sh", "bash", "dash", "ash", "ksh", "dd", "cp", "mv", "install", "xargs",
    "su", "perl", "python", "python3",
];

/// Where programs are that a package brings: what they do is not followed.
const PACKAGED: [&str; 8] = [
    "/bin/",
    "/sbin/",
    "/usr/bin/",
    "/usr/sbin/",
    "/lib/",
    "/usr/lib/",
    "/usr/libexec/",
    "/lib64/",
];

/// Where scripts are that a host's owner brings.
const OWN: [&str; 6] = ["/etc/", "/usr/local/", "/opt/", "/root/", "/srv/", "/home/"];

/// Scripts, and a directory of them, in which a host's owner sets what they want at boot.
const LOCAL: [&str; 6] = [
    "/etc/rc.local",
    "/etc/rc.d/rc.local",
    "/etc/init.d/rc.local",
    "/etc/init.d/boot.local",
    "/etc/conf.d/local.start",
    "/etc/local.d",
];

/// What commands do, on a tree.
pub(super) struct Commands<'r> {
    reader: &'r Reader<'r>,
    /// What `/bin/sh` is.
    sh: Dialect,
}

impl Files for Commands<'_> {
    fn read(&self, path: &str) -> Option<TextFile> {
        if is_of_kernel(path) {
            return None;
        }
        self.reader.file(path)
    }

    fn exists(&self, path: &str) -> Option<bool> {
        if path.starts_with("/proc/sys/net/") && mentions(path) {
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
}

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

    /// What a script does.
    pub(super) fn of_script(&self, script: &TextFile, arguments: &[Option<String>]) -> Vec<Act> {
        self.script(script, arguments, 0)
    }

    /// What a line does that `sh -c` is given, with what it reads.
    pub(super) fn of_line(&self, command: &str, at: &Source) -> Vec<Act> {
        self.line(command, at, self.sh, 0)
    }

    /// What a program does that is run without a shell.
    pub(super) fn of_words(&self, words: &[Option<String>], at: &Source) -> Vec<Act> {
        let mut acts = Vec::new();
        self.program(words, None, (at, true), 0, &mut acts);
        acts
    }

    /// A script of the host's own that is run; none for a program.
    fn own_script(&self, path: &str) -> Option<TextFile> {
        if is_of_kernel(path) || is_packaged(path) {
            return None;
        }
        self.reader.program(path)
    }

    fn script(&self, script: &TextFile, arguments: &[Option<String>], depth: usize) -> Vec<Act> {
        let first = script.text.lines().next().unwrap_or_default();
        let Some(dialect) = self.dialect(script, first) else {
            return if mentions(&script.text) && !script.text.contains('\0') {
                unknown_line(script).into_iter().collect()
            } else {
                Vec::new()
            };
        };
        let effects = shell::effects(script, arguments.to_vec(), (self, dialect));
        self.acts(&effects, &script.text, depth)
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

    fn line(&self, command: &str, at: &Source, dialect: Dialect, depth: usize) -> Vec<Act> {
        let script = TextFile {
            file: at.file.clone(),
            text: command.to_owned(),
            executable: false,
        };
        let effects: Vec<Effect> = shell::effects(&script, Vec::new(), (self, dialect))
            .into_iter()
            .map(|effect| Effect {
                at: at.clone(),
                ..effect
            })
            .collect();
        self.acts(&effects, command, depth)
    }

    fn acts(&self, effects: &[Effect], text: &str, depth: usize) -> Vec<Act> {
        let mut acts = Vec::new();
        for effect in effects {
            let at = (&effect.at, effect.certain);
            match &effect.does {
                effect::Does::Writes { path, text } => {
                    written(path.as_deref(), text.as_deref(), at, &mut acts);
                }
                effect::Does::Runs { words, input } => {
                    self.program(words, input.as_deref(), at, depth, &mut acts);
                }
                effect::Does::Anything => {
                    if mentions(text) || text.contains("sysctl") {
                        acts.push(unknown(&effect.at));
                    }
                }
            }
        }
        acts
    }

    fn program(
        &self,
        words: &[Option<String>],
        input: Option<&str>,
        (at, certain): (&Source, bool),
        depth: usize,
        acts: &mut Vec<Act>,
    ) {
        let words = unwrapped(words);
        let known: Option<Vec<&str>> = words.iter().map(Option::as_deref).collect();
        let Some(program) = words.first().and_then(Option::as_deref) else {
            if mentions(&at.text) {
                acts.push(unknown(at));
            }
            return;
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        match (name, known.as_deref()) {
            ("tee", Some([_, files @ ..])) => {
                for file in files.iter().filter(|file| !file.starts_with('-')) {
                    written(Some(file), input, (at, certain), acts);
                }
            }
            ("sysctl", Some([_, arguments @ ..])) => {
                sysctl_command::run(self, arguments, input, (at, certain), acts);
            }
            ("sh" | "bash" | "dash" | "ash", Some([_, rest @ ..])) => {
                let dialect = if name == "bash" {
                    Dialect::Bash
                } else {
                    self.sh
                };
                self.shell(rest, dialect, (at, certain), depth, acts);
            }
            ("systemctl" | "service" | "procps" | "invoke-rc.d", Some(words))
                if sysctl_command::starts_at_boot(words) =>
            {
                acts.push(sysctl_command::as_at_boot(at, certain));
            }
            ("systemd-sysctl", Some([_])) => acts.push(sysctl_command::as_at_boot(at, certain)),
            _ => self.other(program, words, input, (at, certain), depth, acts),
        }
    }

    /// `sh -c LINE` or `sh FILE`.
    fn shell(
        &self,
        arguments: &[&str],
        dialect: Dialect,
        (at, certain): (&Source, bool),
        depth: usize,
        acts: &mut Vec<Act>,
    ) {
        let options = arguments.iter().take_while(|word| word.starts_with('-'));
        let options: Vec<&&str> = options.collect();
        let rest = &arguments[options.len()..];
        let gives_line = options.iter().any(|option| option.ends_with('c'));
        match rest {
            [line, ..] if gives_line && depth < DEEPEST => {
                let found = self.line(line, at, dialect, depth + 1);
                acts.extend(under(found, certain));
            }
            [path, ..] if !gives_line && depth < DEEPEST => {
                let script = self.own_script(path);
                let rest = rest[1..].iter().map(|word| Some((*word).to_owned()));
                let rest: Vec<Option<String>> = rest.collect();
                if let Some(script) = script {
                    acts.extend(under(self.script(&script, &rest, depth + 1), certain));
                }
            }
            _ => {
                if mentions(&at.text) {
                    acts.push(unknown(at));
                }
            }
        }
    }

    /// A program that may be a script of the host, or speak of the limit.
    fn other(
        &self,
        program: &str,
        words: &[Option<String>],
        input: Option<&str>,
        (at, certain): (&Source, bool),
        depth: usize,
        acts: &mut Vec<Act>,
    ) {
        let name = program.rsplit('/').next().unwrap_or(program);
        if HARMLESS.contains(&name) {
            return;
        }
        let paths = if program.starts_with('/') {
            vec![program.to_owned()]
        } else {
            vec![
                format!("/usr/local/sbin/{program}"),
                format!("/usr/local/bin/{program}"),
            ]
        };
        if depth < DEEPEST
            && !program.is_empty()
            && let Some(script) = paths.iter().find_map(|path| self.own_script(path))
        {
            acts.extend(under(self.script(&script, &words[1..], depth + 1), certain));
            return;
        }
        let own = OWN.iter().any(|directory| program.starts_with(directory));
        if own && !self.reader.is_this_host() && !self.reader.exists(program) {
            if is_plausible(program, at) {
                self.reader.misses(program, at);
            } else {
                self.reader.lacks(program, at);
            }
        }
        let speaks = words.iter().flatten().any(|word| mentions(word))
            || input.is_some_and(mentions)
            || (words.iter().any(Option::is_none)
                && if SETTING.contains(&name) {
                    mentions(&at.text)
                } else {
                    mentions_outside_substitutions(&at.text)
                });
        if speaks {
            acts.push(unknown(at));
        }
    }
}

/// Whether a script that is not in a tree may be about the limit: the line that runs it
/// says so, or is one of a script in which a host's owner sets what they want at boot.
/// Any other is taken for a program that leaves the limit alone.
fn is_plausible(program: &str, at: &Source) -> bool {
    let speaks = |text: &str| {
        let text = text.to_lowercase();
        text.contains("conntrack") || text.contains("sysctl")
    };
    let local = LOCAL.iter().any(|path| at.file.starts_with(path));
    local || speaks(program) || speaks(&at.text)
}

fn is_packaged(path: &str) -> bool {
    PACKAGED.iter().any(|directory| path.starts_with(directory))
}

/// What a script does that may not be run at all.
fn under(acts: Vec<Act>, certain: bool) -> impl Iterator<Item = Act> {
    acts.into_iter().map(move |act| Act {
        certain: act.certain && certain,
        ..act
    })
}

/// The line of a file in another language that speaks of the limit.
fn unknown_line(script: &TextFile) -> Option<Act> {
    let comment = |line: &str| line.trim_start().starts_with('#');
    let found = script.first(|line| !comment(line) && mentions(line))?;
    Some(unknown(&found))
}
