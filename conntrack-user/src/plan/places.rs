//! Where settings go on this host: which program reads which file.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    facts::{
        Facts, Source,
        init::{EarlyList, Init},
        sysctl::{Variable, line::number},
    },
    kernel::generation::Generation,
    plan::{
        draft::Draft,
        edit::{self, MARK, modprobe},
        notes,
        purpose::Purpose,
        settings_file,
        sizing::Size,
    },
    say::finding::Code,
    survival::{Action, Event, Start, order, simulate},
};

/// Whether something reads settings at an event, so that a further one has an
/// effect.
pub(crate) fn reads_settings(draft: &Draft<'_>, event: &Event) -> bool {
    let facts = &draft.facts;
    let key = facts.kernel.generation.max_sysctl();
    match event {
        Event::Boot => true,
        Event::Restart(name) => facts.iptables_service(name).is_some_and(|service| {
            service.has_rules
                && service.load.as_ref().is_some_and(|load| !load.prefixed)
                && service.words().any(|word| key.contains(word))
        }),
        Event::Reload => {
            facts.kernel.is_at_least(5, 11) == Some(true) && !facts.modules.udev.is_empty()
        }
    }
}

/// The option `hashsize`: with it the module starts with a limit of eight times the
/// buckets, on every kernel, whatever loads it.
pub(crate) fn hashsize(draft: &mut Draft<'_>, size: &Size) -> Result<()> {
    let facts = &draft.facts;
    let module = facts.kernel.generation.module();
    // Not fewer than without the option.
    let default = facts.kernel.default_table().map(|table| table.buckets);
    let buckets = size.buckets.max(default.unwrap_or(0));
    if buckets == 0 {
        return Ok(());
    }
    let purpose = Purpose::ModuleOption { buckets };
    if !facts.kernel.is_module() {
        if !sets_buckets(facts) {
            draft.notes.push(notes::built_in(size.buckets));
        }
        return Ok(());
    }
    if let Some(hashsize) = facts.modules.hashsize.clone() {
        if hashsize.buckets >= size.buckets {
            return Ok(());
        }
        let file = &hashsize.source.file;
        if settings_file::is_ours_to_edit(file) {
            let buckets = size.buckets;
            draft.edit(file, Purpose::ModuleOption { buckets }, |content| {
                modprobe::set_hashsize(content, hashsize.source.line, buckets)
            })?;
            return Ok(());
        }
        if file.starts_with("/proc") {
            draft.notes.push(notes::built_in(size.buckets));
            return Ok(());
        }
    }
    let line = format!("options {module} hashsize={buckets}");
    let old =
        facts.kernel.generation == Generation::IpConntrack && draft.exists("/etc/modprobe.conf");
    let path = if facts.init == Init::Procd {
        "/etc/modules.conf"
    } else if old || facts.distribution.is_el(5) {
        "/etc/modprobe.conf"
    } else if facts.modules.hashsize.is_some() {
        // One in a file that cannot be changed: the last one counts.
        "/etc/modprobe.d/zz-ctdrop.conf"
    } else {
        "/etc/modprobe.d/ctdrop.conf"
    };
    let (file, content) = draft.read(path)?;
    draft.put(
        &file,
        edit::append(&content.unwrap_or_default(), &line),
        0o644,
        purpose,
    )?;
    Ok(())
}

/// Loads the module before settings are applied at boot. Enterprise Linux 5 and 6
/// apply them once more later, and need this only if that does not help.
pub(crate) fn load_early(draft: &mut Draft<'_>) -> Result<()> {
    let facts = &draft.facts;
    let are_read = facts.services.reads_module_lists(&facts.init);
    if !facts.kernel.is_module() || facts.modules.early.is_some() || !are_read {
        return Ok(());
    }
    let module = facts.kernel.generation.module();
    match facts.init.early_list() {
        EarlyList::Script(before, after) => {
            if !is_late(facts) {
                return Ok(());
            }
            let script = format!("#!/bin/sh\n{MARK}\nexec /sbin/modprobe {module}\n");
            let (file, _) = draft.read(&format!("{before}{module}{after}"))?;
            draft.put(&file, script.into_bytes(), 0o755, Purpose::LoadEarly)?;
        }
        EarlyList::Lines(path) => add_module(draft, path, module)?,
        EarlyList::Directory(directory) => {
            add_module(draft, &format!("{directory}/ctdrop.conf"), module)?;
        }
        EarlyList::None => {}
    }
    Ok(())
}

/// Whether the module has to be loaded earlier: Enterprise Linux 5 and 6 apply
/// settings once more when `network` starts.
fn is_late(facts: &Facts) -> bool {
    let boot = simulate(facts, Start::AfterBoot).boot;
    let too_early = boot.origin.source().is_none()
        && boot.steps.iter().any(|step| step.does == Action::TooEarly);
    too_early || !facts.services.starts("network")
}

fn add_module(draft: &mut Draft<'_>, path: &str, module: &str) -> Result<()> {
    let (file, content) = draft.read(path)?;
    let after = edit::append(&content.unwrap_or_default(), module);
    draft.put(&file, after, 0o644, Purpose::LoadEarly)?;
    Ok(())
}

/// A udev rule that applies settings when the module has been loaded. Before 5.11
/// the kernel announces a module too early, so that the rule helps only sometimes;
/// where firewalld unloads the module, that is better than nothing.
pub(crate) fn udev(draft: &mut Draft<'_>) -> Result<()> {
    let facts = &draft.facts;
    let reliable = facts.kernel.is_at_least(5, 11) == Some(true);
    let unloads = facts
        .firewalld
        .as_ref()
        .is_some_and(|firewalld| firewalld.unloads() && facts.services.starts("firewalld"));
    if !facts.init.is_systemd() || !facts.kernel.is_module() || !(reliable || unloads) {
        return Ok(());
    }
    if !facts.modules.udev.is_empty() {
        return Ok(());
    }
    let program = [
        "/usr/lib/systemd/systemd-sysctl",
        "/lib/systemd/systemd-sysctl",
    ]
    .into_iter()
    .find(|path| draft.exists(path))
    .unwrap_or("/usr/lib/systemd/systemd-sysctl");
    let rule = format!(
        "ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\", \
         RUN+=\"{program} --prefix=/net/netfilter --prefix=/net/nf_conntrack_max\""
    );
    let (file, content) = draft.read("/etc/udev/rules.d/90-ctdrop.rules")?;
    let after = edit::append(&content.unwrap_or_default(), &rule);
    draft.put(&file, after, 0o644, Purpose::Udev)?;
    Ok(())
}

/// Settings that would make fewer buckets, and one for a kernel that has conntrack
/// built in.
pub(crate) fn buckets(draft: &mut Draft<'_>, size: &Size) -> Result<()> {
    let smaller: Vec<_> = draft
        .facts
        .sysctl
        .all()
        .filter(|file| settings_file::is_ours_to_edit(&file.file))
        .flat_map(|file| file.lines.iter().map(move |line| (file.file.clone(), line)))
        .filter(|(_, line)| {
            line.sets(Variable::Buckets)
                && number(&line.value).is_some_and(|buckets| buckets < size.buckets)
        })
        .map(|(file, line)| (file, line.number))
        .collect();
    for (file, line) in smaller {
        draft.set_value(&file, line, size.buckets, Purpose::FewerBuckets)?;
    }
    let facts = &draft.facts;
    let boot = simulate(facts, Start::AfterBoot).boot;
    if facts.kernel.is_module() || !sets_buckets(facts) || boot.buckets >= Some(size.buckets) {
        return Ok(());
    }
    let Some(name) = settings_file::drop_in(facts, None) else {
        return Ok(());
    };
    let (file, content) = draft.read(&format!("/etc/sysctl.d/{name}"))?;
    let line = format!("net.netfilter.nf_conntrack_buckets = {}", size.buckets);
    let after = edit::append(&content.unwrap_or_default(), &line);
    draft.put(&file, after, 0o644, Purpose::BuiltIn)?;
    Ok(())
}

/// Whether buckets can be set as limits are.
fn sets_buckets(facts: &Facts) -> bool {
    let machine = facts.kernel.machine();
    machine.is_some_and(|machine| machine.buckets_are_writable())
}

/// systemd before 220 applied the names of one variable in no fixed order: all must
/// have the same value.
pub(crate) fn aliases(draft: &mut Draft<'_>, size: &Size) -> Result<()> {
    let Init::Systemd {
        version: Some(..220),
    } = draft.facts.init
    else {
        return Ok(());
    };
    let differing: Vec<_> = order::systemd(&draft.facts.sysctl)
        .into_iter()
        .flat_map(|file| file.lines.iter().map(move |line| (file.file.clone(), line)))
        .filter(|(file, line)| {
            settings_file::is_ours_to_edit(file)
                && line.sets(Variable::Max)
                && !size.is_met_by(number(&line.value))
        })
        .map(|(file, line)| (file, line.number))
        .collect();
    for (file, line) in differing {
        draft.set_value(&file, line, size.max, Purpose::NoOrder)?;
    }
    Ok(())
}

/// Lines that set another limit and are overridden.
fn overridden(draft: &Draft<'_>, size: &Size) -> Vec<Source> {
    let survival = simulate(&draft.facts, Start::AfterBoot);
    let services = survival.services.iter().map(|service| &service.outcome);
    let mut sources = Vec::new();
    for outcome in [&survival.boot, &survival.module_reload]
        .into_iter()
        .chain(services)
    {
        // Where no line sets it, those that come too early are not overridden.
        let is_set = outcome.steps.iter().any(|step| step.does == Action::Sets);
        for step in &outcome.steps {
            if let Some(source) = &step.source
                && is_set
                && matches!(step.does, Action::Sets | Action::TooEarly)
                && !size.is_met_by(step.value)
                && is_of_settings(&draft.facts, source)
                && !sets_wanted(&draft.facts, source, size)
                && !sources.contains(source)
            {
                sources.push(source.clone());
            }
        }
    }
    sources
}

/// Whether a line sets the limit as wanted, whatever is known of who applies it.
fn sets_wanted(facts: &Facts, source: &Source, size: &Size) -> bool {
    let files = facts.sysctl.all().filter(|file| file.file == source.file);
    let mut lines = files
        .flat_map(|file| &file.lines)
        .filter(|line| line.number == source.line);
    lines.any(|line| line.sets(Variable::Max) && size.is_met_by(number(&line.value)))
}

pub(crate) fn is_of_settings(facts: &Facts, source: &Source) -> bool {
    facts.sysctl.all().any(|file| file.file == source.file)
}

/// Backups that decide, because something reads files with any suffix: the limit
/// must not depend on them alone.
pub(crate) fn backups(draft: &mut Draft<'_>, size: &Size) -> Result<()> {
    let survival = simulate(&draft.facts, Start::AfterBoot);
    let is_backup = |file: &Path| file.extension().is_none_or(|suffix| suffix != "conf");
    let services = survival.services.iter().map(|service| &service.outcome);
    let mut decide: Vec<PathBuf> = [&survival.boot]
        .into_iter()
        .chain(services)
        .filter_map(|outcome| outcome.origin.source())
        .map(|source| source.file.clone())
        .filter(|file| file.starts_with("/etc/sysctl.d") && is_backup(file))
        .collect();
    decide.dedup();
    if decide.is_empty() {
        return Ok(());
    }
    for file in decide {
        draft.warn(
            Code::BackupApplied,
            format!(
                "{} decides the limit, although it looks like a backup",
                file.display()
            ),
            "a service of this host applies files with any suffix",
            "move it out of /etc/sysctl.d",
        );
    }
    let proper = overridden(draft, size)
        .into_iter()
        .filter(|source| settings_file::is_ours_to_edit(&source.file) && !is_backup(&source.file));
    for source in proper {
        draft.set_value(&source.file, source.line, size.max, Purpose::Backup)?;
    }
    Ok(())
}

/// Lines that set another limit and are overridden: a warning, or commented out.
pub(crate) fn overridden_lines(
    draft: &mut Draft<'_>,
    size: &Size,
    comment_out: bool,
) -> Result<()> {
    for source in overridden(draft, size) {
        if comment_out && settings_file::is_ours_to_edit(&source.file) {
            draft.edit(&source.file, Purpose::Overridden, |content| {
                edit::sysctl::comment_out(content, source.line)
            })?;
        } else {
            draft.warn(
                Code::SettingsOverridden,
                format!("{source} is overridden by another line"),
                format!("it says {}", source.text),
                "delete it, or run ctdrop fix with --edit-conflicts to comment it out",
            );
        }
    }
    Ok(())
}
