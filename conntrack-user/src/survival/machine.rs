//! A host as far as the limit is concerned: whether conntrack is loaded, with
//! which limit and buckets, and what has made them so.

use crate::{
    facts::{
        Facts, Source,
        host_kernel::Form,
        sysctl::Variable,
        writers::{Act, Applier, Does, Sets, Timing, Writer},
    },
    survival::{
        order,
        origin::{Actor, Caveat, MissedSetting, ModuleLoad, Origin},
        outcome::{Action, Outcome, Step},
    },
};

/// The state of a host in the simulation.
#[derive(Clone, Debug)]
pub(super) struct Machine<'f> {
    pub(super) facts: &'f Facts,
    /// None while conntrack is not loaded.
    table: Option<InForce>,
    pub(super) steps: Vec<Step>,
    caveats: Vec<Caveat>,
}

#[derive(Clone, Debug)]
struct InForce {
    max: Option<u64>,
    origin: Origin,
    buckets: Option<u64>,
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
            machine.load(Actor::Kernel);
        }
        machine
    }

    /// A host that runs, with this limit.
    pub(super) fn in_force(facts: &'f Facts, max: u64, buckets: Option<u64>) -> Self {
        Self {
            facts,
            table: Some(InForce {
                max: Some(max),
                origin: Origin::Current,
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
        let (value, origin, buckets) = match &self.table {
            Some(table) => (table.max, table.origin.clone(), table.buckets),
            None => (None, Origin::NotLoaded, None),
        };
        Outcome {
            value,
            origin,
            buckets,
            steps: self.steps.clone(),
            caveats: self.caveats.clone(),
        }
    }

    /// Adds something that the outcome rests on.
    pub(super) fn caveat(&mut self, caveat: Caveat) {
        if !self.caveats.contains(&caveat) {
            self.caveats.push(caveat);
        }
    }

    /// Loads conntrack, if it is not loaded.
    pub(super) fn load(&mut self, by: Actor) {
        if self.is_loaded() {
            return;
        }
        let built_in = self.facts.kernel.form == Form::BuiltIn;
        if let Some(line) = self.facts.modules.kept_out().filter(|_| !built_in) {
            self.caveat(Caveat::KeptOut(line.clone()));
            return;
        }
        let table = self.initial();
        self.steps.push(Step {
            by,
            does: Action::Loads,
            value: table.max,
            source: None,
        });
        self.table = Some(table);
        if let Some(install) = &self.facts.modules.install {
            self.caveat(Caveat::InstallCommand(install.clone()));
        }
        self.run_writers(Timing::AtLoad);
        self.run_udev_rules();
    }

    /// The table as the module makes it.
    fn initial(&self) -> InForce {
        let kernel = &self.facts.kernel;
        let load = ModuleLoad {
            unloaded: self.unloaded(),
            missed: self.missed(),
        };
        if let Some(hashsize) = &self.facts.modules.hashsize {
            let table = kernel
                .machine()
                .map(|machine| machine.table_of_hashsize(hashsize.buckets));
            let buckets = table.map_or(hashsize.buckets, |table| table.buckets);
            return InForce {
                max: Some(table.map_or(8 * buckets, |table| table.max)),
                origin: Origin::ModuleOption {
                    source: hashsize.source.clone(),
                    buckets,
                    load,
                },
                buckets: Some(buckets),
            };
        }
        let table = kernel.default_table();
        InForce {
            max: table.map(|table| table.max),
            origin: Origin::KernelDefault {
                known: table.is_some(),
                load,
            },
            buckets: table.map(|table| table.buckets),
        }
    }

    /// Who has unloaded it just before.
    fn unloaded(&self) -> Option<(Actor, Option<Source>)> {
        let last = self.steps.last()?;
        (last.does == Action::Unloads).then(|| (last.by.clone(), last.source.clone()))
    }

    /// What was to set the limit before, and came too early.
    fn missed(&self) -> Option<MissedSetting> {
        self.steps.iter().rev().find_map(|step| {
            let source = step.source.clone()?;
            (step.does == Action::TooEarly).then(|| MissedSetting {
                source,
                by: step.by.clone(),
                value: step.value,
            })
        })
    }

    /// Unloads conntrack, if it is a module.
    pub(super) fn unload(&mut self, by: Actor, source: Option<Source>) {
        if self.facts.kernel.form == Form::BuiltIn || self.table.take().is_none() {
            return;
        }
        self.steps.push(Step {
            by,
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
                self.caveat(Caveat::UdevRace(rule.source.clone()));
                continue;
            }
            let by = Actor::UdevRule(rule.source.clone());
            self.run_systemd_sysctl(&by, &rule.prefixes);
        }
    }

    pub(super) fn set_max(&mut self, by: Actor, value: Option<u64>, origin: Origin) {
        let Some(table) = &mut self.table else {
            return;
        };
        self.steps.push(Step {
            by,
            does: Action::Sets,
            value,
            source: origin.source().cloned(),
        });
        table.max = value;
        table.origin = origin;
    }

    /// The limit is not known any more.
    pub(super) fn forget(&mut self, why: Caveat) {
        if let Some(table) = &mut self.table {
            table.max = None;
        }
        self.caveat(why);
    }

    /// Settings have been applied, and nobody knows which.
    pub(super) fn forget_boot(&mut self) {
        let init = self.facts.init.name();
        if let Some(table) = &mut self.table {
            table.max = None;
            table.origin = Origin::UnknownInit { init };
        }
    }

    /// The files that have decided so far are made anew before a boot, unless it was
    /// one that lasts.
    pub(super) fn forget_rebuilt(&mut self) {
        let Some(appliance) = self.facts.appliance else {
            return;
        };
        if let Some(table) = &mut self.table {
            let decides = table.origin.source();
            if !decides.is_some_and(|source| appliance.lasts(&source.file)) {
                table.max = None;
                table.origin = Origin::RebuiltEtc {
                    system: appliance.name,
                };
            }
        }
    }

    /// Something that cannot be told may have changed the limit.
    pub(super) fn doubt(&mut self, by: Actor, source: &Source) {
        self.doubt_whether(by, source, None);
    }

    /// A line that may come to run, or not, sets this limit; none if that is not known
    /// either.
    fn doubt_whether(&mut self, by: Actor, source: &Source, may_set: Option<u64>) {
        let source = source.clone();
        let origin = Origin::Unknown {
            source,
            by: by.clone(),
            may_set,
        };
        self.set_max(by, None, origin);
    }

    /// Two lines set different limits in no order.
    pub(super) fn forget_unordered(&mut self, source: Source, other: Source) {
        let by = Actor::Line(other.clone());
        self.set_max(by, None, Origin::Unordered { source, other });
    }

    /// The limit in force, if it is known.
    pub(super) fn max(&self) -> Option<u64> {
        self.table.as_ref().and_then(|table| table.max)
    }

    pub(super) fn set_buckets(&mut self, buckets: Option<u64>) {
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
                self.run_writer(writer, sets);
            }
        }
    }

    pub(super) fn run_writer(&mut self, writer: &Writer, sets: &Sets) {
        let by = Actor::Writer(writer.title());
        if !sets.acts.is_empty() {
            for act in &sets.acts {
                self.act(&by, writer, (act, sets.timing));
            }
            return;
        }
        let origin = Origin::Writer {
            source: sets.source.clone(),
            title: writer.title(),
            timing: sets.timing,
        };
        match sets.max {
            Some(_) => self.set_max(by, sets.max, origin),
            None => self.doubt(by, &sets.source),
        }
        if sets.buckets.is_some() {
            self.set_buckets(sets.buckets);
        }
    }

    /// A script does something. Where it is not known whether it does, the limit is
    /// not known afterwards, unless it is the same.
    fn act(&mut self, by: &Actor, writer: &Writer, (act, timing): (&Act, Timing)) {
        let (variable, name, value) = match &act.does {
            Does::Sets {
                variable,
                name,
                value,
            } => (*variable, name.as_ref(), *value),
            Does::Moves { up, name, value } => {
                let moves = |now| if *up { *value > now } else { *value < now };
                let now = self.max();
                if now.is_some_and(|now| !moves(now)) {
                    return;
                }
                (Variable::Max, Some(name), now.map(|_| *value))
            }
            Does::AppliesFiles(applier) => {
                let before = self.max();
                self.apply_files(by, *applier);
                if !act.certain && self.max() != before {
                    self.doubt(by.clone(), &act.source);
                }
                return;
            }
        };
        let kernel = self.facts.kernel.machine();
        let has = |name: &String| kernel.as_ref().is_none_or(|kernel| kernel.has_sysctl(name));
        if !name.is_none_or(has) || !self.is_loaded() {
            if variable == Variable::Max {
                self.steps.push(Step {
                    by: by.clone(),
                    does: if self.is_loaded() {
                        Action::Refused
                    } else {
                        Action::TooEarly
                    },
                    value,
                    source: Some(act.source.clone()),
                });
            }
            return;
        }
        match variable {
            Variable::Max if act.certain && value.is_some() => {
                let origin = Origin::Writer {
                    source: act.source.clone(),
                    title: writer.title(),
                    timing,
                };
                self.set_max(by.clone(), value, origin);
            }
            Variable::Max if value.is_none() || value != self.max() => {
                self.doubt_whether(by.clone(), &act.source, value);
            }
            Variable::Max => {}
            Variable::Buckets if act.certain => self.set_buckets(value),
            Variable::Buckets => self.set_buckets(None),
        }
    }

    fn apply_files(&mut self, by: &Actor, applier: Applier) {
        match applier {
            Applier::Boot => self.run_boot_sysctl(),
            Applier::Tuned => self.run_sysctl(by, &order::tuned(&self.facts.sysctl)),
            Applier::Procps => {
                let etc_before_run = self.facts.procps.etc_before_run;
                let files = order::procps_system(&self.facts.sysctl, etc_before_run);
                self.run_sysctl_once(by, &files);
            }
        }
    }

    /// What writes early at boot does so: if sysctls are set then, too, which one
    /// comes last is not known.
    pub(super) fn run_early_writers(&mut self) {
        let set = self
            .steps
            .iter()
            .rev()
            .find(|step| step.does == Action::Sets);
        let (before, set) = (self.max(), set.is_some());
        self.run_writers(Timing::Early);
        if set && self.max() != before {
            let last = self.steps.last().and_then(|step| step.source.clone());
            if let Some(source) = last {
                self.doubt(Actor::Program("systemd-tmpfiles"), &source);
            }
        }
    }
}

/// Why any outcome for these facts may be wrong.
fn caveats(facts: &Facts) -> Vec<Caveat> {
    let unreadable = facts.unreadable.iter().cloned().map(Caveat::Unreadable);
    let missing = facts.not_captured.iter().copied();
    unreadable.chain(missing.map(Caveat::NotCaptured)).collect()
}
