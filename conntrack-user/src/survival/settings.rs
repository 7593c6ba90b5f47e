//! Programs that apply files of settings.

use std::path::Path;

use crate::{
    facts::{
        Source,
        applier::Order,
        init::Init,
        sysctl::{Does, Line, SysctlFile, Taken, Variable, line::number},
    },
    survival::{
        machine::Machine,
        order,
        origin::{Actor, Caveat, Origin},
        outcome::{Action, Step},
    },
};

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is set, or none of ours.
    Done,
    /// The name is not there.
    NoSuchName,
    /// The kernel does not take it.
    Refused,
}

/// How a program reads lines.
#[derive(Clone, Copy)]
struct Reads<'p> {
    /// Whether it knows of a dash before a key.
    dash: bool,
    /// Whether it knows patterns.
    patterns: bool,
    /// Only names below these are set; all if there are none.
    prefixes: &'p [String],
}

/// Whether a name is below one of some prefixes, if there are any.
fn is_below(name: &str, prefixes: &[String]) -> bool {
    let path = format!("/{name}");
    let below = |prefix: &String| {
        path.strip_prefix(prefix.trim_start_matches("/proc/sys"))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    prefixes.is_empty() || prefixes.iter().any(below)
}

fn source(file: &Path, line: &Line) -> Source {
    Source {
        file: file.to_owned(),
        line: line.number,
        text: line.text.trim().to_owned(),
    }
}

impl Machine<'_> {
    /// What sets sysctls at boot does so.
    pub(super) fn run_boot_sysctl(&mut self) {
        let facts = self.facts;
        let by = Actor::Program(facts.applier.program);
        match facts.applier.order {
            Order::Systemd => self.run_systemd_sysctl(&by, &[]),
            Order::ProcpsSystem => self.run_sysctl_once(&by, &order::files(facts)),
            Order::Unsorted(_) => {
                let files = order::files(facts);
                self.run_sysctl(&by, &files);
                self.check_order_of_files(&files);
            }
            _ => self.run_sysctl(&by, &order::files(facts)),
        }
    }

    /// Files of one directory that are applied in no order: if two of them set
    /// the limit, and no file of a later directory does, it is not known.
    fn check_order_of_files(&mut self, files: &[&SysctlFile]) {
        let sets = |file: &&&SysctlFile| {
            let mut lines = file.lines.iter();
            lines.any(|line| line.sets(Variable::Max) && self.knows(&line.key.path))
        };
        let setting: Vec<&&SysctlFile> = files.iter().filter(sets).collect();
        let Some(last) = setting.last() else {
            return;
        };
        let same = |file: &&&&SysctlFile| file.directory == last.directory;
        let several = setting.iter().filter(same).count() > 1;
        if several {
            self.forget(Caveat::Unsorted(last.directory));
        }
    }

    /// systemd-sysctl: of settings of one name the last is kept, at its place.
    pub(super) fn run_systemd_sysctl(&mut self, by: &Actor, prefixes: &[String]) {
        let facts = self.facts;
        let mut kept: Vec<(&Path, &Line)> = Vec::new();
        for file in order::systemd(&facts.sysctl) {
            for line in &file.lines {
                let unclear = line.does == Does::Unclear;
                if !(unclear || line.key.is_pattern() || is_below(&line.key.path, prefixes)) {
                    continue;
                }
                let before = kept.iter().position(|(_, known)| {
                    !unclear && known.does != Does::Unclear && known.key == line.key
                });
                match before {
                    Some(at)
                        if (kept[at].1.does, &kept[at].1.value) == (line.does, &line.value) => {}
                    Some(at) => {
                        kept.remove(at);
                        kept.push((&file.file, line));
                    }
                    None => kept.push((&file.file, line)),
                }
            }
        }
        // It may be the end of it, so that nothing that follows is certain.
        kept.sort_by_key(|(_, line)| line.key.is_too_long());
        self.check_order_of_names(&kept);
        let reads = Reads {
            dash: facts.init.knows_dash(facts.procps),
            patterns: facts.sysctl.readers.boot.knows_patterns(),
            prefixes,
        };
        self.run_list(by, &kept, reads);
    }

    /// Settings that are applied together: patterns only say something about names
    /// that no line speaks of.
    fn run_list(&mut self, by: &Actor, lines: &[(&Path, &Line)], reads: Reads<'_>) {
        let speaks_of = |name: &str| {
            let mut lines = lines.iter();
            lines.any(|(_, line)| {
                line.does != Does::Unclear && line.key.path == name && !line.key.doubled
            })
        };
        for (file, line) in lines {
            if line.does != Does::Sets || !line.key.is_pattern() {
                self.assign(by, file, line, reads.dash);
            } else if reads.patterns {
                for variable in [Variable::Max, Variable::Buckets] {
                    for name in line.key.matches(variable) {
                        if self.knows(name) && is_below(name, reads.prefixes) && !speaks_of(name) {
                            self.set(by, &source(file, line), (variable, name), &line.value);
                        }
                    }
                }
            }
        }
    }

    /// Before 220 systemd-sysctl kept settings in no order.
    fn check_order_of_names(&mut self, kept: &[(&Path, &Line)]) {
        let Init::Systemd {
            version: Some(..220),
        } = self.facts.init
        else {
            return;
        };
        let limits: Vec<&Line> = kept
            .iter()
            .map(|(_, line)| *line)
            .filter(|line| line.sets(Variable::Max) && self.knows(&line.key.path))
            .collect();
        if limits.iter().any(|line| line.value != limits[0].value) {
            self.caveat(Caveat::NoOrder);
        }
    }

    /// `sysctl -p` of files, one call after the other.
    pub(super) fn run_sysctl(&mut self, by: &Actor, files: &[&SysctlFile]) {
        for file in files {
            self.run_lines(by, &file.file, &file.by_command);
        }
    }

    /// One call of `sysctl` that reads all files.
    pub(super) fn run_sysctl_once(&mut self, by: &Actor, files: &[&SysctlFile]) {
        let lines = files.iter().flat_map(|file| {
            let lines = file.by_command.iter();
            lines.map(|line| (file.file.as_path(), line))
        });
        let lines: Vec<_> = lines.collect();
        self.run_list(by, &lines, self.reads_of_command());
    }

    /// `sysctl -p` of these lines.
    pub(super) fn run_lines(&mut self, by: &Actor, file: &Path, lines: &[Line]) {
        let lines: Vec<_> = lines.iter().map(|line| (file, line)).collect();
        self.run_list(by, &lines, self.reads_of_command());
    }

    const fn reads_of_command(&self) -> Reads<'static> {
        Reads {
            dash: self.knows_dash(),
            patterns: self.facts.sysctl.readers.command.knows_patterns(),
            prefixes: &[],
        }
    }

    /// Whether the `sysctl` command knows of a dash before a key.
    pub(super) const fn knows_dash(&self) -> bool {
        self.facts.procps.knows_dash && !self.facts.init.uses_busybox()
    }

    /// Whether the kernel may have a name.
    fn knows(&self, name: &str) -> bool {
        self.facts.kernel.has_sysctl(name) != Some(false)
    }

    /// A program sets what a line says under the name in it.
    pub(super) fn assign(&mut self, by: &Actor, file: &Path, line: &Line, dash: bool) -> Fate {
        let source = source(file, line);
        match (line.does, line.key.variable()) {
            (Does::Unclear, _) => {
                if line.key.is_pattern() {
                    self.caveat(Caveat::Pattern(source.clone()));
                }
                self.doubt(by.clone(), &source);
                Fate::Done
            }
            (Does::Sets, Some(variable)) if line.dash && !dash => {
                self.without_effect(by, source, (variable, &line.value), Action::Refused);
                Fate::NoSuchName
            }
            (Does::Sets, Some(variable)) => {
                self.set(by, &source, (variable, &line.key.path), &line.value)
            }
            (Does::Sets | Does::TakesBack, _) => Fate::Done,
        }
    }

    /// A text is written to one of conntrack's sysctls.
    fn set(
        &mut self,
        by: &Actor,
        source: &Source,
        (variable, name): (Variable, &str),
        text: &str,
    ) -> Fate {
        let taken = match variable {
            Variable::Max => self.facts.kernel.takes(text),
            Variable::Buckets => number(text).map_or(Taken::Refused, Taken::Number),
        };
        let fate = if !self.knows(name) {
            Fate::NoSuchName
        } else if taken == Taken::Refused
            || (variable == Variable::Buckets && !self.may_set_buckets())
        {
            Fate::Refused
        } else {
            Fate::Done
        };
        if fate != Fate::Done {
            self.without_effect(by, source.clone(), (variable, text), Action::Refused);
            return fate;
        }
        if !self.is_loaded() {
            self.without_effect(by, source.clone(), (variable, text), Action::TooEarly);
            return Fate::NoSuchName;
        }
        match (variable, taken) {
            (Variable::Max, Taken::Number(value)) => {
                let known = self.facts.kernel.has_sysctl(name).is_some();
                if !known {
                    self.caveat(Caveat::NameUnknown(source.clone()));
                }
                let origin = Origin::Setting {
                    source: source.clone(),
                    by: by.clone(),
                };
                self.set_max(by.clone(), known.then_some(value), origin);
            }
            (Variable::Max, _) => self.doubt(by.clone(), source),
            (Variable::Buckets, _) => self.set_buckets(number(text)),
        }
        Fate::Done
    }

    /// The limit was to be set, in vain.
    fn without_effect(
        &mut self,
        by: &Actor,
        source: Source,
        (variable, text): (Variable, &str),
        does: Action,
    ) {
        if variable == Variable::Max {
            self.steps.push(Step {
                by: by.clone(),
                does,
                value: number(text),
                source: Some(source),
            });
        }
    }

    fn may_set_buckets(&self) -> bool {
        let kernel = self.facts.kernel.machine();
        kernel.is_none_or(|machine| machine.buckets_are_writable())
    }
}
