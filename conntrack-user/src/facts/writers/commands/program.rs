//! Programs that are run: what their arguments make of the limit.

use crate::facts::{
    shell::{Dialect, Files as _, effect::Word},
    writers::{
        acts::{may_set, mentions, unknown, written_by},
        commands::{
            Commands, DEEPEST, Run, as_arguments, languages,
            other::{is_packaged, tells},
            sysctl_command, under,
            wrappers::unwrapped,
        },
        writer::Act,
    },
};

impl Commands<'_> {
    pub(super) fn program(&self, words: &[Word], run: &Run<'_>, acts: &mut Vec<Act>) {
        let words = unwrapped(words);
        let Some((first, rest)) = words.split_first() else {
            return;
        };
        let Some(program) = first.known() else {
            if mentions(&run.at.text) || words.iter().any(tells) {
                acts.push(unknown(run.at));
            }
            return;
        };
        let name = program.rsplit('/').next().unwrap_or(program);
        match name {
            "tee" => {
                for file in rest
                    .iter()
                    .filter(|file| !file.with_gaps().starts_with('-'))
                {
                    let path = run.absolute(file);
                    let at = (run.at, run.certain);
                    written_by(run.script, &path, run.input, at, acts);
                }
            }
            "sysctl" => self.sysctl(rest, run, acts),
            "sh" | "bash" | "dash" | "ash" => {
                let dialect = if name == "bash" {
                    Dialect::Bash
                } else {
                    self.sh
                };
                self.shell(rest, dialect, run, acts);
            }
            "systemctl" | "service" | "procps" | "invoke-rc.d" | "rc-service" | "initctl" => {
                self.starts_services(name, words, run, acts);
            }
            "systemd-sysctl" if rest.is_empty() => {
                acts.push(sysctl_command::as_at_boot(run.at, run.certain));
            }
            "run-parts" => self.run_parts(rest, run, acts),
            "xargs" => self.xargs(rest, run, acts),
            name if languages::is_interpreter(name) => self.interpreter(name, rest, run, acts),
            _ => self.other(program, words, run, acts),
        }
    }

    pub(super) fn sysctl(&self, arguments: &[Word], run: &Run<'_>, acts: &mut Vec<Act>) {
        let directory = run.surroundings.directory.as_deref();
        let at = (run.at, run.certain);
        sysctl_command::run(self, (arguments, directory), run.input, at, acts);
    }

    /// `sh -c LINE`, `sh FILE`, or `sh` that reads a script.
    fn shell(&self, words: &[Word], dialect: Dialect, run: &Run<'_>, acts: &mut Vec<Act>) {
        let is_option = |word: &&Word| word.with_gaps().starts_with(['-', '+']);
        let options: Vec<&str> = words
            .iter()
            .take_while(is_option)
            .map(Word::with_gaps)
            .collect();
        let rest = &words[options.len()..];
        let gives_line = options
            .iter()
            .any(|option| option.ends_with('c') && !option.starts_with("--"));
        let reads_input = options.contains(&"-s") || rest.is_empty() || rest[0].with_gaps() == "-";
        if run.depth >= DEEPEST {
            acts.extend(mentions(run.script).then(|| unknown(run.at)));
            return;
        }
        let given = match rest {
            [line, ..] if gives_line => Some(line.clone()),
            _ if reads_input => run.input.map(Word::new),
            _ => None,
        };
        let depth = run.depth + 1;
        if let Some(text) = given.as_ref().and_then(Word::known) {
            // After `-c` the first word is a name.
            let skipped = usize::from(!options.contains(&"-s"));
            let arguments = as_arguments(
                rest.get(skipped + usize::from(gives_line)..)
                    .unwrap_or_default(),
            );
            let shell = (dialect, run.surroundings.clone());
            let found = self.line(text, &arguments, run.at, shell, depth);
            acts.extend(under(found, run.certain));
            return;
        }
        if let [path, rest @ ..] = rest
            && given.is_none()
            && !reads_input
            && let Some(path) = run.absolute(path).known()
        {
            match self.script_at(path) {
                Some(script) => {
                    let arguments = as_arguments(rest);
                    let surroundings = run.surroundings.clone();
                    let found = self.script(&script, &arguments, surroundings, depth);
                    acts.extend(under(found, run.certain));
                }
                None => self.missing(path, run),
            }
            return;
        }
        let speaks = |text: &str| mentions(text) || text.contains("sysctl");
        // What a package brings is taken to run nothing but its own.
        let is_piped = reads_input
            && run.at.text.contains(['|', '<'])
            && !is_packaged(&run.at.file.to_string_lossy());
        if mentions(&run.at.text)
            || given.as_ref().is_some_and(|line| speaks(line.with_gaps()))
            || may_set(run.script)
            || is_piped
        {
            acts.push(unknown(run.at));
        }
    }

    /// `run-parts DIRECTORY`
    fn run_parts(&self, words: &[Word], run: &Run<'_>, acts: &mut Vec<Act>) {
        let mut arguments = Vec::new();
        let mut directory = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.with_gaps() {
                "--test" | "--list" => return,
                "-a" => arguments.extend(words.next().cloned()),
                option if option.starts_with("--arg=") => {
                    arguments.push(Word::new(&option["--arg=".len()..]));
                }
                option if option.starts_with('-') => {}
                _ => directory = Some(run.absolute(word)),
            }
        }
        let Some(directory) = directory else {
            return;
        };
        let Some(directory) = directory.known() else {
            acts.push(unknown(run.at));
            return;
        };
        // Scripts in there are found by their place.
        if directory.starts_with("/etc/cron.") || run.depth >= DEEPEST {
            return;
        }
        let Some(names) = self.names(directory) else {
            self.missing(directory, run);
            return;
        };
        for name in names {
            let path = format!("{directory}/{name}");
            let script = self.script_at(&path).filter(|script| script.executable);
            let Some(script) = script else {
                continue;
            };
            // Debian leaves out names with a dot, others do not.
            let plain = name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            let surroundings = run.surroundings.clone();
            let arguments = as_arguments(&arguments);
            let found = self.script(&script, &arguments, surroundings, run.depth + 1);
            acts.extend(under(found, run.certain && plain));
        }
    }

    /// `xargs PROGRAM`, which gives it what it reads as arguments.
    fn xargs(&self, words: &[Word], run: &Run<'_>, acts: &mut Vec<Act>) {
        let mut plain = true;
        let mut words = words;
        while let Some((first, rest)) = words.split_first() {
            let option = first.with_gaps();
            if !option.starts_with('-') {
                break;
            }
            let takes = ["-n", "-L", "-P", "-d", "-I", "-s", "-E", "-a"].contains(&option);
            plain &= ["-r", "-t", "-n", "-P"].contains(&option);
            words = if takes {
                rest.get(1..).unwrap_or_default()
            } else {
                rest
            };
        }
        let mut all = words.to_vec();
        let text = run
            .input
            .filter(|text| plain && !text.contains(['\'', '"', '\\']));
        match text {
            Some(text) => all.extend(text.split_whitespace().map(Word::new)),
            None => all.push(Word::unknown()),
        }
        let run = Run {
            input: None,
            ..run.clone()
        };
        self.program(&all, &run, acts);
    }

    /// `python3 FILE`, `perl -e TEXT`.
    fn interpreter(&self, name: &str, words: &[Word], run: &Run<'_>, acts: &mut Vec<Act>) {
        let is_awk = name.contains("awk");
        let mut words_left = words.iter();
        while let Some(word) = words_left.next() {
            let text = word.with_gaps();
            if ["-c", "-e", "-E", "-r", "-ne", "-pe", "-le"].contains(&text) && !is_awk {
                let code = words_left.next().map_or("", Word::with_gaps);
                acts.extend(languages::may_set(code).then(|| unknown(run.at)));
                return;
            }
            if is_awk && text == "-f" {
                continue;
            }
            if is_awk && matches!(text, "-v" | "-F") {
                words_left.next();
            } else if is_awk && !text.starts_with('/') && !text.starts_with('-') {
                acts.extend(languages::may_set(text).then(|| unknown(run.at)));
                return;
            } else if !text.starts_with('-') {
                match run
                    .absolute(word)
                    .known()
                    .and_then(|path| self.script_at(path))
                {
                    Some(script) => {
                        let found = languages::setting_line(&script);
                        acts.extend(found.iter().map(unknown));
                    }
                    None => self.missing(text, run),
                }
                return;
            }
        }
        acts.extend(
            run.input
                .is_some_and(languages::may_set)
                .then(|| unknown(run.at)),
        );
    }
}
