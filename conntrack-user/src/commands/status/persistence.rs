//! Findings about the limit's persistence: it is lost by a boot, a restart or a
//! reload, or a setting of it has no effect.

use crate::{
    facts::{
        Facts, Source,
        applier::Order,
        host_kernel::Form,
        init::{EarlyList, Init},
        sysctl::Variable,
        writers::Writer,
    },
    kernel::limits::comparable,
    say::{
        finding::{Code, Finding, Severity},
        number::{counted, number, optional},
    },
    survival::{Action, Actor, Event, Origin, Outcome, Step, Survival, order},
};

/// What is judged.
pub(crate) struct Persistence<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) survival: &'a Survival,
}

impl Persistence<'_> {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.not_in_force());
        findings.extend(self.lost_at_boot());
        for service in &self.survival.services {
            findings.extend(self.lost_by_restart(&service.service, &service.outcome));
        }
        findings.extend(self.lost_by_reload());
        findings.extend(self.ineffective());
        findings.extend(self.not_read());
        findings.extend(self.overridden());
        findings
    }

    /// The limit that is wanted: the one in force, or what files lead to at boot, if
    /// that is higher; and where that is only the kernel's default, what a setting
    /// without effect asks for.
    fn wanted(&self) -> Option<u64> {
        let boot = &self.survival.boot;
        let in_files = if boot.origin.source().is_some() {
            boot.value
        } else {
            missed(boot).and_then(|step| step.value)
        };
        match (self.facts.numbers.limits.max, in_files) {
            (Some(now), Some(then)) if higher(then, now) => Some(then),
            (now, then) => now.or(then).or(boot.value),
        }
    }

    /// A limit that files set and that is not in force, whatever has lost it.
    fn not_in_force(&self) -> Option<Finding> {
        let boot = &self.survival.boot;
        let now = self.facts.numbers.limits.max?;
        let then = boot.value.filter(|_| boot.origin.source().is_some())?;
        if !higher(then, now) {
            return None;
        }
        let restarts = self.survival.services.iter();
        let by: Vec<&str> = restarts
            .filter(|service| touches(&service.outcome) && service.outcome.value == Some(now))
            .map(|service| service.service.as_str())
            .collect();
        let by = if by.is_empty() {
            "somebody has lowered it since, or changed the files after the last boot".to_owned()
        } else {
            format!(
                "a restart of {} sets it to {}",
                by.join(" or "),
                number(now)
            )
        };
        Some(Finding::new(
            Code::LimitNotInForce,
            Severity::Warning,
            format!(
                "the limit is {}, but files set {} at boot",
                number(now),
                number(then)
            ),
            format!("{}; {by}", boot.origin.sentence()),
            format!("set it now: sysctl -w {}={then}", self.key()),
        ))
    }

    fn lost_at_boot(&self) -> Option<Finding> {
        let boot = &self.survival.boot;
        let missed = missed(boot);
        if let Some(step) = missed
            && boot.origin.source().is_none()
            && let Some(source) = &step.source
        {
            return Some(Finding::new(
                Code::LimitLostAtBoot,
                Severity::Warning,
                format!(
                    "the limit of {} in {source} is lost at boot; it will be {}",
                    optional(step.value),
                    optional(boot.value)
                ),
                format!(
                    "{} applies it before conntrack is loaded, and nothing applies it afterwards",
                    step.by
                ),
                self.load_early(),
            ));
        }
        let wanted = self.wanted()?;
        let value = boot.value?;
        higher(wanted, value).then(|| {
            Finding::new(
                Code::LimitLostAtBoot,
                Severity::Warning,
                format!(
                    "the limit of {} is lost at boot; it will be {}",
                    number(wanted),
                    number(value)
                ),
                boot.origin.sentence(),
                self.remedy(boot),
            )
        })
    }

    fn lost_by_restart(&self, service: &str, outcome: &Outcome) -> Option<Finding> {
        let wanted = self.wanted()?;
        let value = outcome.value?;
        (touches(outcome) && higher(wanted, value)).then(|| {
            Finding::new(
                Code::LimitLostByRestart,
                Severity::Warning,
                lowers(&Event::Restart(service.to_owned()), wanted, value),
                outcome.origin.sentence(),
                self.restart_remedy(service, outcome),
            )
        })
    }

    fn lost_by_reload(&self) -> Option<Finding> {
        let wanted = self.wanted()?;
        let reload = &self.survival.module_reload;
        let value = reload.value?;
        if self.facts.kernel.form == Form::BuiltIn || !higher(wanted, value) {
            return None;
        }
        let unloads = self.survival.services.iter().any(|service| {
            service
                .outcome
                .steps
                .iter()
                .any(|step| step.does == Action::Unloads)
        });
        let buckets = wanted.div_ceil(4);
        let remedy = if wanted == 0 {
            "a module option cannot remove the limit: set a limit that fits the host's memory"
                .to_owned()
        } else {
            format!(
                "add \"options {} hashsize={buckets}\" to {}: the module then starts with a limit of \
                 at least {}",
                self.facts.kernel.generation.module(),
                self.options_file(),
                number(buckets.saturating_mul(8))
            )
        };
        Some(Finding::new(
            Code::LimitLostByReload,
            if unloads {
                Severity::Warning
            } else {
                // Somebody would have to do it by hand.
                Severity::Info
            },
            lowers(&Event::Reload, wanted, value),
            reload.origin.sentence(),
            remedy,
        ))
    }

    fn options_file(&self) -> &'static str {
        if self.facts.distribution.is_el(5) {
            "/etc/modprobe.conf"
        } else if self.facts.init == Init::Procd {
            "/etc/modules.conf"
        } else {
            "a file in /etc/modprobe.d"
        }
    }

    fn load_early(&self) -> String {
        let module = self.facts.kernel.generation.module();
        match self.facts.init.early_list() {
            EarlyList::Script(before, after) => {
                format!("create an executable {before}{module}{after} that runs modprobe {module}")
            }
            EarlyList::Lines(_) if !self.facts.services.reads_module_lists(&self.facts.init) => {
                "start the service that loads modules: rc-update add modules boot".to_owned()
            }
            EarlyList::Lines(path) => format!("add a line {module} to {path}"),
            EarlyList::Directory(directory) => {
                format!("create {directory}/{module}.conf with the line {module}")
            }
            EarlyList::None => format!(
                "set the limit once more in {}: sysctl -w {}=NUMBER",
                self.facts.init.start_script(),
                self.key()
            ),
        }
    }

    /// Of a boot that leads to less.
    fn remedy(&self, boot: &Outcome) -> String {
        let decides = |writer: &&Writer| match boot.origin.inner() {
            Origin::Writer { source, .. } => {
                let sets = writer.sets.as_ref();
                sets.is_some_and(|sets| sets.source == *source)
            }
            Origin::Setting {
                by: Actor::Service(name),
                ..
            } => writer.name == name,
            _ => false,
        };
        let writer = self.facts.writers.iter().find(decides);
        match (writer, boot.origin.source()) {
            (Some(writer), _) => writer.knob.clone(),
            (None, Some(source)) => format!("change that line in {}", source.file.display()),
            (None, None) if self.facts.init.early_list() == EarlyList::None => self.load_early(),
            (None, None) => format!(
                "set the limit in a file that is read at boot, and {}",
                self.load_early()
            ),
        }
    }

    fn restart_remedy(&self, service: &str, outcome: &Outcome) -> String {
        let facts = self.facts;
        let Some(iptables) = facts.iptables.iter().find(|found| found.name == service) else {
            let firewalld = facts
                .writers
                .iter()
                .find(|writer| writer.name == service)
                .map(|writer| writer.knob.clone());
            return firewalld.unwrap_or_else(|| self.remedy(outcome));
        };
        let prefix = service.to_ascii_uppercase();
        let pattern = facts.kernel.generation.sysctl_pattern();
        match &iptables.load {
            None => format!(
                "{} does not support {prefix}_SYSCTL_LOAD_LIST: update {service}, or set \
                 {prefix}_MODULES_UNLOAD=\"no\" in its configuration, or set the module option hashsize",
                iptables.script.display()
            ),
            Some(load) => format!(
                "set {prefix}_SYSCTL_LOAD_LIST=\"{pattern}\" in /etc/sysconfig/{service}-config, and the \
                 limit in {}, where {} looks for it",
                load.files.join(" or "),
                load.source
            ),
        }
    }

    /// Lines that are read and refused.
    fn ineffective(&self) -> Vec<Finding> {
        let mut sources: Vec<(&Source, &Step)> = Vec::new();
        for step in self.steps() {
            if let Some(source) = &step.source
                && step.does == Action::Refused
                && !sources.iter().any(|(known, _)| *known == source)
            {
                sources.push((source, step));
            }
        }
        sources
            .into_iter()
            .map(|(source, step)| {
                let why = match step.value {
                    None => "the kernel accepts only a whole number from 0 to 2147483647",
                    Some(_) => {
                        "this kernel has no sysctl of that name, or the program that reads the \
                         line does not support its form"
                    }
                };
                Finding::new(
                    Code::SettingIneffective,
                    Severity::Warning,
                    format!("{source} has no effect: {}", source.text),
                    format!("{} reads it; {why}", step.by),
                    format!("write it as {} = NUMBER", self.key()),
                )
            })
            .collect()
    }

    /// The name of the limit that this kernel has.
    fn key(&self) -> &'static str {
        self.facts.kernel.generation.max_sysctl()
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        let outcomes = self.survival.outcomes().into_iter();
        outcomes.flat_map(|(_, outcome)| &outcome.steps)
    }

    /// Settings of the limit in a file that nothing reads at boot: with systemd in
    /// `/etc/sysctl.conf`, elsewhere in a file that the host's script leaves out.
    fn not_read(&self) -> Option<Finding> {
        let facts = self.facts;
        if !facts.applier.is_known() || facts.appliance.is_some() {
            return None;
        }
        let read = order::files(facts);
        let systemd = facts.init.is_systemd();
        let mut files = facts.sysctl.all().filter(|file| {
            let of_owner =
                file.directory == "/etc" || !systemd && file.directory == "/etc/sysctl.d";
            // A link to it, or a backup, is another matter.
            let linked = facts
                .sysctl
                .files
                .iter()
                .any(|other| other.file == file.file);
            of_owner
                && file.name.strip_suffix(".conf").is_some()
                && !(linked && file.directory == "/etc")
                && !read.iter().any(|known| known.path() == file.path())
        });
        let (file, line) = files.find_map(|file| {
            let mut lines = file.lines.iter().rev();
            let line = lines.find(|line| line.sets(Variable::Max))?;
            Some((file, line))
        })?;
        let (why, remedy) = if systemd {
            (
                "at boot systemd-sysctl reads only the directories sysctl.d, and none of them has a \
                 link to this file; sysctl --system and sysctl -p do read it, so it works until the \
                 next boot"
                    .to_owned(),
                "move the line to /etc/sysctl.d/90-conntrack.conf".to_owned(),
            )
        } else {
            (
                match facts.applier.order {
                    Order::Nothing => format!("{} is not started at boot", facts.applier.program),
                    _ => format!("{} does not read this file", facts.applier.program),
                },
                match facts.applier.order {
                    Order::Nothing => format!("start {} at boot", facts.applier.program),
                    _ => "move the line to /etc/sysctl.conf".to_owned(),
                },
            )
        };
        Some(Finding::new(
            Code::SettingNotRead,
            Severity::Warning,
            format!(
                "{}:{} is not read at boot: {}",
                file.file.display(),
                line.number,
                line.text.trim()
            ),
            why,
            remedy,
        ))
    }

    /// Lines that say something else than the one that wins.
    fn overridden(&self) -> Option<Finding> {
        let boot = &self.survival.boot;
        // Where that is not known, no line surely wins.
        boot.value?;
        let winner = boot
            .steps
            .iter()
            .rev()
            .find(|step| step.does == Action::Sets)?;
        let mut others: Vec<(&Source, Option<u64>)> = boot
            .steps
            .iter()
            .filter(|step| {
                matches!(step.does, Action::Sets | Action::TooEarly)
                    && step.value != winner.value
                    && step.source != winner.source
            })
            .filter_map(|step| Some((step.source.as_ref()?, step.value)))
            .collect();
        others.dedup();
        let place = winner
            .source
            .as_ref()
            .map_or_else(|| winner.by.to_string(), ToString::to_string);
        let lines = others
            .iter()
            .map(|(source, value)| format!("{source} ({})", optional(*value)));
        let lines: Vec<String> = lines.collect();
        let are = if others.len() == 1 { "is" } else { "are" };
        (!others.is_empty()).then(|| {
            Finding::new(
                Code::SettingsOverridden,
                Severity::Info,
                format!(
                    "{} of the limit {are} overridden at boot",
                    counted(others.len() as u64, "other setting")
                ),
                format!("{}; the last one wins: {place}", lines.join(", ")),
                "set the limit where it is decided, and delete the others",
            )
        })
    }
}

/// That something lowers the limit.
fn lowers(event: &Event, from: u64, to: u64) -> String {
    format!(
        "{event} lowers the limit from {} to {}",
        number(from),
        number(to)
    )
}

/// Whether anything happens to the limit.
fn touches(outcome: &Outcome) -> bool {
    let changes = |step: &Step| matches!(step.does, Action::Loads | Action::Sets);
    outcome.steps.iter().any(changes)
}

/// What was to set the limit at boot, and came too early.
fn missed(boot: &Outcome) -> Option<&Step> {
    boot.steps
        .iter()
        .rev()
        .find(|step| step.does == Action::TooEarly)
}

/// Whether a limit is higher than another; 0 is none.
fn higher(one: u64, other: u64) -> bool {
    comparable(one) > comparable(other)
}
