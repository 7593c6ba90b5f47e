//! A host as far as the limit is concerned: whether conntrack is loaded, with
//! which limit and buckets, and what has made them so.

use std::path::Path;

use crate::{
    facts::{
        Facts, Source,
        host_kernel::Form,
        init::Init,
        sysctl::{Line, SysctlFile, Variable, line::number},
        writers::{Sets, Timing},
    },
    survival::{
        order,
        outcome::{Action, Because, Outcome, Step},
    },
};

/// The state of a host in the simulation.
#[derive(Clone, Debug)]
pub(super) struct Machine<'f> {
    pub(super) facts: &'f Facts,
    /// None while conntrack is not loaded.
    table: Option<InForce>,
    steps: Vec<Step>,
    caveats: Vec<String>,
}

#[derive(Clone, Debug)]
struct InForce {
    max: Option<u64>,
    because: Because,
    buckets: Option<u64>,
}

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

impl<'f> Machine<'f> {
    /// A host that begins to boot.
    pub(super) fn off(facts: &'f Facts) -> Self {
        let mut machine = Self {
            facts,
            table: None,
            steps: Vec::new(),
            caveats: caveats(facts),
        };
        if facts.kernel.form == Form::BuiltIn {
            machine.load("the kernel, which has conntrack built in");
        }
        machine
    }

    /// A host that runs, with this limit.
    pub(super) fn in_force(facts: &'f Facts, max: u64, buckets: Option<u64>) -> Self {
        Self {
            facts,
            table: Some(InForce {
                max: Some(max),
                because: Because::no_line(
                    "the value in force",
                    "nothing of what happens changes the value that is in force now".to_owned(),
                ),
                buckets,
            }),
            steps: Vec::new(),
            caveats: caveats(facts),
        }
    }

    /// The same host, before something else happens to it.
    pub(super) fn again(&self) -> Self {
        Self {
            steps: Vec::new(),
            ..self.clone()
        }
    }

    pub(super) const fn is_loaded(&self) -> bool {
        self.table.is_some()
    }

    /// What has come out.
    pub(super) fn outcome(&self) -> Outcome {
        let (value, because, buckets) = match &self.table {
            Some(table) => (table.max, table.because.clone(), table.buckets),
            None => (
                None,
                Because::no_line("conntrack is not loaded", "nothing loads it".to_owned()),
                None,
            ),
        };
        let mut caveats = self.caveats.clone();
        caveats.dedup();
        Outcome {
            value,
            because,
            buckets,
            steps: self.steps.clone(),
            caveats,
        }
    }

    /// Adds something that the outcome rests on.
    pub(super) fn caveat(&mut self, sentence: String) {
        if !self.caveats.contains(&sentence) {
            self.caveats.push(sentence);
        }
    }

    /// Loads conntrack, if it is not loaded.
    pub(super) fn load(&mut self, by: &str) {
        if self.is_loaded() {
            return;
        }
        let table = self.initial();
        self.steps.push(Step {
            by: by.to_owned(),
            does: Action::Loads,
            value: table.max,
            source: None,
        });
        self.table = Some(table);
        if let Some(install) = &self.facts.modules.install {
            let sentence = format!(
                "{install} has a command run in place of loading the module: what it does is not \
                 known"
            );
            self.caveat(sentence);
        }
        self.run_udev_rules();
    }

    /// The table as the module makes it.
    fn initial(&self) -> InForce {
        let kernel = &self.facts.kernel;
        if let Some(hashsize) = &self.facts.modules.hashsize {
            let table = kernel
                .machine()
                .map(|machine| machine.table_of_hashsize(hashsize.buckets));
            let buckets = table.map_or(hashsize.buckets, |table| table.buckets);
            return InForce {
                max: Some(table.map_or(8 * buckets, |table| table.max)),
                because: Because::line(
                    &hashsize.source,
                    format!(
                        "{}with the option hashsize the module makes {buckets} buckets, and its \
                         limit eight times that{}",
                        self.unloaded(),
                        self.missed()
                    ),
                ),
                buckets: Some(buckets),
            };
        }
        let table = kernel.default_table();
        let unknown = match table {
            Some(_) => String::new(),
            None => "; it depends on memory and release, which are not known here".to_owned(),
        };
        InForce {
            max: table.map(|table| table.max),
            because: Because::no_line(
                "the kernel's default",
                format!(
                    "{}the module begins with the kernel's default{unknown}{}",
                    self.unloaded(),
                    self.missed()
                ),
            ),
            buckets: table.map(|table| table.buckets),
        }
    }

    /// Who has unloaded it just before.
    fn unloaded(&self) -> String {
        match self.steps.last() {
            Some(Step {
                by,
                does: Action::Unloads,
                source,
                ..
            }) => {
                let place = source
                    .as_ref()
                    .map_or_else(String::new, |source| format!(" ({source})"));
                format!("{by} unloads the module{place}; when it is loaded again, ")
            }
            _ => String::new(),
        }
    }

    /// What was to set the limit before, and came too early.
    fn missed(&self) -> String {
        let missed = self.steps.iter().rev().find_map(|step| {
            let source = step.source.as_ref()?;
            (step.does == Action::TooEarly).then_some((source, &step.by, step.value))
        });
        match missed {
            Some((source, by, Some(value))) => format!(
                "; {source} was to set {value}, but {by} read it before conntrack was loaded"
            ),
            Some((source, by, None)) => {
                format!("; {source} was read by {by} before conntrack was loaded")
            }
            None => String::new(),
        }
    }

    /// Unloads conntrack, if it is a module.
    pub(super) fn unload(&mut self, by: &str, source: Option<Source>) {
        if self.facts.kernel.form == Form::BuiltIn || self.table.take().is_none() {
            return;
        }
        self.steps.push(Step {
            by: by.to_owned(),
            does: Action::Unloads,
            value: None,
            source,
        });
    }

    /// udev rules that set sysctls when the module has been loaded. Before 5.11
    /// the kernel announced a module before it was ready.
    fn run_udev_rules(&mut self) {
        let facts = self.facts;
        for rule in &facts.modules.udev {
            if facts.kernel.is_at_least(5, 11) != Some(true) {
                self.caveat(format!(
                    "the udev rule {} races with the module before Linux 5.11, and is not counted \
                     on",
                    rule.source
                ));
                continue;
            }
            let by = format!("systemd-sysctl, run by the udev rule {}", rule.source);
            self.run_systemd_sysctl(&by, &rule.prefixes);
        }
    }

    /// What sets sysctls at boot does so.
    pub(super) fn run_boot_sysctl(&mut self) {
        let facts = self.facts;
        let sysctl = &facts.sysctl;
        match &facts.init {
            Init::Systemd { .. } => self.run_systemd_sysctl("systemd-sysctl", &[]),
            Init::DebianSysV | Init::OpenRc { busybox: false } => {
                let files = order::procps_system(sysctl, facts.procps.etc_before_run);
                self.run_sysctl("sysctl --system", &files);
            }
            Init::RcSysinit { reads_directory } => {
                let files = order::rc_sysinit(sysctl, *reads_directory);
                self.run_sysctl("apply_sysctl", &files);
            }
            Init::OpenRc { busybox: true } => {
                self.run_sysctl("sysctl of busybox", &order::busybox(sysctl));
            }
            Init::Runit => self.run_sysctl("08-sysctl.sh", &order::void(sysctl)),
        }
    }

    /// systemd-sysctl: of settings of one name the last is kept, at its place;
    /// patterns only say something about names that none sets.
    fn run_systemd_sysctl(&mut self, by: &str, prefixes: &[String]) {
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
            self.caveat(
                "the limit is set under two of its names with different values, and this version \
                 of systemd-sysctl sets them in no order"
                    .to_owned(),
            );
        }
    }

    /// `sysctl -p` of files, one line after the other.
    pub(super) fn run_sysctl(&mut self, by: &str, files: &[&SysctlFile]) {
        for file in files {
            self.run_lines(by, &file.file, &file.lines);
        }
    }

    /// The same, of lines.
    pub(super) fn run_lines(&mut self, by: &str, file: &Path, lines: &[Line]) {
        let dash = self.knows_dash();
        for line in lines {
            self.assign(by, file, line, dash);
        }
    }

    /// Whether the `sysctl` command knows of a dash before a key.
    pub(super) const fn knows_dash(&self) -> bool {
        let busybox = matches!(self.facts.init, Init::OpenRc { busybox: true });
        self.facts.procps.knows_dash && !busybox
    }

    fn knows(&self, line: &Line) -> bool {
        let kernel = self.facts.kernel.machine();
        kernel.is_none_or(|machine| machine.has_sysctl(&line.key.path))
    }

    /// A program sets what a line says.
    pub(super) fn assign(&mut self, by: &str, file: &Path, line: &Line, dash: bool) -> Fate {
        let source = Source {
            file: file.to_owned(),
            line: line.number,
            text: line.text.trim().to_owned(),
        };
        if line.key.matches(Variable::Max).next().is_some() {
            self.caveat(format!(
                "{source} is a pattern that the limit matches: whether it sets the limit cannot be \
                 told"
            ));
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
            let why = format!("{by} sets it, and nothing after that does");
            match variable {
                Variable::Max => self.set_max(by, value, &source, why),
                Variable::Buckets => self.set_buckets(value),
            }
            return Fate::Done;
        }
        if variable == Variable::Max {
            self.steps.push(Step {
                by: by.to_owned(),
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

    fn set_max(&mut self, by: &str, value: Option<u64>, source: &Source, why: String) {
        let Some(table) = &mut self.table else {
            return;
        };
        table.max = value;
        table.because = Because::line(source, why);
        self.steps.push(Step {
            by: by.to_owned(),
            does: Action::Sets,
            value,
            source: Some(source.clone()),
        });
    }

    fn set_buckets(&mut self, buckets: Option<u64>) {
        let kernel = self.facts.kernel.machine();
        if let Some(table) = &mut self.table {
            table.buckets = match (kernel, buckets) {
                (Some(machine), Some(buckets)) => Some(machine.rounded(buckets)),
                (_, buckets) => buckets,
            };
        }
    }

    /// Others that write at a given time do so.
    pub(super) fn run_writers(&mut self, timing: Timing) {
        let facts = self.facts;
        for writer in &facts.writers {
            let Some(sets) = &writer.sets else {
                continue;
            };
            if writer.active && sets.timing == timing {
                self.run_writer(writer.name, sets);
            }
        }
    }

    fn run_writer(&mut self, name: &str, sets: &Sets) {
        let facts = self.facts;
        // tuned that only applies files once more sets nothing itself.
        if sets.max.is_some() || !sets.reapplies {
            let why = match sets.timing {
                Timing::AtStart => format!("{name} sets it when it starts, after all files"),
                Timing::Always => format!("{name} sets it again and again"),
            };
            self.set_max(name, sets.max, &sets.source, why);
        }
        if sets.buckets.is_some() {
            self.set_buckets(sets.buckets);
        }
        if sets.reapplies {
            self.run_sysctl(name, &order::tuned(&facts.sysctl));
        }
    }
}

/// What any outcome for these facts rests on.
fn caveats(facts: &Facts) -> Vec<String> {
    let mut caveats: Vec<String> = facts
        .unreadable
        .iter()
        .map(|unreadable| format!("{unreadable}: what it says is not known"))
        .collect();
    caveats.extend(facts.not_captured.iter().map(|directory| {
        format!("the tree has no {directory}, so what it would say is not known")
    }));
    caveats
}
