//! Findings about the configuration: what in it has another effect than it seems
//! to have.

use crate::{
    facts::{
        Facts, Source,
        iptables::IptablesService,
        sysctl::{Does, SysctlFile, Variable},
        writers::Writer,
    },
    say::finding::{Code, Finding, Severity},
    survival::{Start, Survival, simulate},
};

/// Everything that is found in files.
pub(crate) fn findings(facts: &Facts, survival: &Survival) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in &facts.iptables {
        findings.extend(look_alikes(service));
        findings.extend(lost_list(service));
        findings.extend(unknown_list(service));
        findings.extend(backups(facts, service));
    }
    findings.extend(read_only(facts));
    findings.extend(kept_out(facts));
    findings.extend(module_options(facts));
    findings.extend(writers(facts, survival));
    findings
}

fn list_name(service: &IptablesService) -> String {
    format!("{}_SYSCTL_LOAD_LIST", service.name.to_ascii_uppercase())
}

fn look_alikes(service: &IptablesService) -> Option<Finding> {
    let first = service.look_alikes.first()?;
    Some(Finding::new(
        Code::TypographicQuotes,
        Severity::Warning,
        format!("{first} has typographic quotes or blanks"),
        format!(
            "{}: the shell treats them as part of the word. The setting is lost or matches \
             nothing, but {} starts without an error",
            first.text, service.name
        ),
        "write the line again with straight quotes (\") and ordinary blanks",
    ))
}

fn lost_list(service: &IptablesService) -> Option<Finding> {
    // Said already, with its cause.
    let lost = service.list.lost.as_ref()?;
    if service.look_alikes.contains(lost) {
        return None;
    }
    Some(Finding::new(
        Code::ListNotSet,
        Severity::Warning,
        format!("{lost} does not set {}", list_name(service)),
        format!(
            "{}: the shell runs the second word as a command, and sets the variable for that \
             command only",
            lost.text
        ),
        "put all words of the list into one pair of double quotes",
    ))
}

/// A list that the script does not know.
fn unknown_list(service: &IptablesService) -> Option<Finding> {
    let source = service.list.source.as_ref()?;
    if service.load.is_some() || service.list.value.as_deref().unwrap_or_default().is_empty() {
        return None;
    }
    Some(Finding::new(
        Code::ListNotSupported,
        Severity::Warning,
        format!("{} in {source} has no effect", list_name(service)),
        format!(
            "{} does not support it; support came with iptables 1.3.5-9.1.el5 and 1.4.7-7.el6",
            service.script.display()
        ),
        format!(
            "update {}, or keep the module loaded with {}_MODULES_UNLOAD=\"no\"",
            service.name,
            service.name.to_ascii_uppercase()
        ),
    ))
}

/// Files that are only read because their suffix does not matter.
fn backups(facts: &Facts, service: &IptablesService) -> Option<Finding> {
    let load = service.load.as_ref()?;
    if !load
        .files
        .iter()
        .any(|pattern| pattern == "/etc/sysctl.d/*")
    {
        return None;
    }
    let live: Vec<String> = facts
        .sysctl
        .files
        .iter()
        .filter(|file| {
            file.directory == "/etc/sysctl.d"
                && file.name.strip_suffix(".conf").is_none()
                && !file.name.starts_with('.')
                && file.by_command.iter().any(|line| line.sets(Variable::Max))
        })
        .map(SysctlFile::path)
        .collect();
    (!live.is_empty()).then(|| {
        Finding::new(
            Code::BackupApplied,
            Severity::Warning,
            format!("{} applies {}", service.name, live.join(", ")),
            format!(
                "{} reads files with any suffix: {}",
                load.source, load.source.text
            ),
            "move it out of /etc/sysctl.d",
        )
    })
}

/// Lines that set the number of entries, as if that was the limit.
fn read_only(facts: &Facts) -> Vec<Finding> {
    let conf = facts.sysctl.all();
    let lines = conf.flat_map(|file| file.lines.iter().map(move |line| (file, line)));
    let sets = lines.filter(|(_, line)| line.does == Does::Sets && line.key.is_entries());
    sets.map(|(file, line)| {
        Finding::new(
            Code::SettingIneffective,
            Severity::Warning,
            format!(
                "{}:{} has no effect: {}",
                file.file.display(),
                line.number,
                line.text.trim()
            ),
            "this is the number of entries, which can only be read",
            format!(
                "set the limit with {} = NUMBER",
                facts.kernel.generation.max_sysctl()
            ),
        )
    })
    .collect()
}

fn kept_out(facts: &Facts) -> Option<Finding> {
    let line = facts
        .modules
        .kept_out()
        .filter(|_| facts.kernel.is_module())?;
    Some(Finding::new(
        Code::ModuleKeptOut,
        Severity::Warning,
        format!(
            "{line} keeps modprobe from loading conntrack: {}",
            line.text
        ),
        "after a boot there is no table and no limit, and rules that need conntrack cannot be loaded",
        "delete the line if this host needs conntrack",
    ))
}

fn module_options(facts: &Facts) -> Vec<Finding> {
    let module = facts.kernel.generation.module();
    let unknown = facts.modules.unknown_options.iter().map(|source| {
        option(
            source,
            format!("{module} has no such option, or does not accept this value"),
            "set the size with hashsize=BUCKETS; the limit is then 8 times that",
        )
    });
    let other = facts.modules.other_generation.iter().map(|source| {
        option(
            source,
            format!("the module of this kernel is called {module}"),
            "use that name",
        )
    });
    unknown.chain(other).collect()
}

fn option(source: &Source, why: String, remedy: &str) -> Finding {
    Finding::new(
        Code::ModuleOptionIneffective,
        Severity::Warning,
        format!("{source} has no effect: {}", source.text),
        why,
        remedy,
    )
}

fn writers(facts: &Facts, survival: &Survival) -> Vec<Finding> {
    let active = facts.writers.iter().filter(|writer| writer.active);
    let mut findings: Vec<Finding> = active
        .map(|writer| {
            let evidence: Vec<String> = writer.evidence.iter().map(ToString::to_string).collect();
            let remedy = if changes_nothing(facts, survival, writer) {
                String::new()
            } else {
                writer.knob.clone()
            };
            Finding::new(
                Code::OtherWriter,
                Severity::Info,
                format!("{} {}", writer.title(), writer.behaviour),
                evidence.join(", "),
                remedy,
            )
        })
        .collect();
    // A udev rule may come twice: for its module, and at boot.
    findings.dedup();
    findings
}

/// Whether a boot leads to the same limit without that writer.
fn changes_nothing(facts: &Facts, survival: &Survival, writer: &Writer) -> bool {
    if writer.name == "firewalld" || survival.boot.value.is_none() {
        return false;
    }
    let mut others = facts.clone();
    others
        .writers
        .retain(|other| other.evidence != writer.evidence);
    if writer.name == "ufw" {
        others.ufw = None;
    }
    simulate(&others, Start::AfterBoot).boot.value == survival.boot.value
}
