//! Programs that apply files of settings.

use std::path::Path;

use crate::{
    facts::{
        Source,
        applier::Order,
        init::Init,
        sysctl::{Line, SysctlFile, Variable, line::number},
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

impl Machine<'_> {
    /// What sets sysctls at boot does so.
    pub(super) fn run_boot_sysctl(&mut self) {
        let facts = self.facts;
        let by = Actor::Program(facts.applier.program);
        match facts.applier.order {
            Order::Systemd => self.run_systemd_sysctl(&by, &[]),
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
            lines.any(|line| line.key.variable() == Some(Variable::Max) && self.knows(line))
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

    /// systemd-sysctl: of settings of one name the last is kept, at its place;
    /// patterns only say something about names that none sets.
    pub(super) fn run_systemd_sysctl(&mut self, by: &Actor, prefixes: &[String]) {
        let facts = self.facts;
        let mut kept: Vec<(&Path, &Line)> = Vec::new();
        for file in order::systemd(&facts.sysctl) {
            for line in &file.lines {
                let path = format!("/{}", line.key.path);
                let below = |prefix: &String| {
                    path.strip_prefix(prefix.trim_start_matches("/proc/sys"))
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                if !prefixes.is_empty() && !prefixes.iter().any(below) {
                    continue;
                }
                match kept.iter().position(|(_, known)| known.key == line.key) {
                    Some(at) if kept[at].1.value == line.value => {}
                    Some(at) => {
                        kept.remove(at);
                        kept.push((&file.file, line));
                    }
                    None => kept.push((&file.file, line)),
                }
            }
        }
        self.check_order_of_names(&kept);
        let dash = facts.init.knows_dash(facts.procps);
        for (file, line) in kept {
            self.assign(by, file, line, dash);
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
            .filter(|line| line.key.variable() == Some(Variable::Max) && self.knows(line))
            .collect();
        if limits.iter().any(|line| line.value != limits[0].value) {
            self.caveat(Caveat::NoOrder);
        }
    }

    /// `sysctl -p` of files, one line after the other.
    pub(super) fn run_sysctl(&mut self, by: &Actor, files: &[&SysctlFile]) {
        for file in files {
            self.run_lines(by, &file.file, &file.lines);
        }
    }

    /// The same, of lines.
    pub(super) fn run_lines(&mut self, by: &Actor, file: &Path, lines: &[Line]) {
        let dash = self.knows_dash();
        for line in lines {
            self.assign(by, file, line, dash);
        }
    }

    /// Whether the `sysctl` command knows of a dash before a key.
    pub(super) const fn knows_dash(&self) -> bool {
        self.facts.procps.knows_dash && !self.facts.init.uses_busybox()
    }

    /// Whether the kernel has the name of a setting; it may be unknown.
    fn has_name(&self, line: &Line) -> Option<bool> {
        self.facts.kernel.has_sysctl(&line.key.path)
    }

    /// Whether the kernel may have the name of a setting.
    fn knows(&self, line: &Line) -> bool {
        self.has_name(line) != Some(false)
    }

    /// A program sets what a line says.
    pub(super) fn assign(&mut self, by: &Actor, file: &Path, line: &Line, dash: bool) -> Fate {
        let source = Source {
            file: file.to_owned(),
            line: line.number,
            text: line.text.trim().to_owned(),
        };
        if line.key.matches(Variable::Max).next().is_some() {
            self.caveat(Caveat::Pattern(source));
            return Fate::Done;
        }
        let Some(variable) = line.key.variable() else {
            return Fate::Done;
        };
        let value = number(&line.value);
        let fate = if (line.dash && !dash) || !self.knows(line) {
            Fate::NoSuchName
        } else if value.is_none() || (variable == Variable::Buckets && !self.may_set_buckets()) {
            Fate::Refused
        } else {
            Fate::Done
        };
        if fate == Fate::Done && self.is_loaded() {
            match variable {
                Variable::Max => {
                    let known = self.has_name(line).is_some();
                    if !known {
                        self.caveat(Caveat::NameUnknown(source.clone()));
                    }
                    let origin = Origin::Setting {
                        source,
                        by: by.clone(),
                    };
                    self.set_max(by.clone(), value.filter(|_| known), origin);
                }
                Variable::Buckets => self.set_buckets(value),
            }
            return Fate::Done;
        }
        if variable == Variable::Max {
            self.steps.push(Step {
                by: by.clone(),
                does: if fate == Fate::Done {
                    Action::TooEarly
                } else {
                    Action::Refused
                },
                value,
                source: Some(source),
            });
        }
        if fate == Fate::Done {
            Fate::NoSuchName
        } else {
            fate
        }
    }

    fn may_set_buckets(&self) -> bool {
        let kernel = self.facts.kernel.machine();
        kernel.is_none_or(|machine| machine.buckets_are_writable())
    }
}
