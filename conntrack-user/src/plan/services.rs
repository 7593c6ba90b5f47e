//! The lists of the services `iptables` and `ip6tables`: which settings they
//! apply again when they start.

use anyhow::Result;

use crate::{
    facts::{
        Facts,
        iptables::IptablesService,
        sysctl::{Line, Variable},
    },
    kernel::generation::Generation,
    plan::{draft::Draft, edit::shell, purpose::Purpose},
    say::finding::Code,
    survival::order,
};

/// Puts the word into the list of each service that has one.
pub(crate) fn lists(draft: &mut Draft<'_>) -> Result<()> {
    for service in draft.facts.iptables.clone() {
        // The twin of the oldest generation unloads another module.
        if service.name == "ip6tables" && draft.facts.kernel.generation == Generation::IpConntrack {
            continue;
        }
        if service.load.is_none() {
            warn_without(draft, &service);
            continue;
        }
        list(draft, &service)?;
    }
    Ok(())
}

fn warn_without(draft: &mut Draft<'_>, service: &IptablesService) {
    if service.unload.is_some() {
        let prefix = service.name.to_ascii_uppercase();
        draft.warn(
            Code::ListNotSupported,
            format!(
                "{} cannot set the limit again when {} is restarted",
                service.script.display(),
                service.name
            ),
            "the restart unloads the module, so its option hashsize decides the limit",
            format!(
                "update {}, or set {prefix}_MODULES_UNLOAD=\"no\", which also keeps connections \
                 tracked over a restart",
                service.name
            ),
        );
    }
}

fn list(draft: &mut Draft<'_>, service: &IptablesService) -> Result<()> {
    let word = draft.facts.kernel.generation.sysctl_pattern();
    let prefix = service.name.to_ascii_uppercase();
    let variable = format!("{prefix}_SYSCTL_LOAD_LIST");
    let key = draft.facts.kernel.generation.max_sysctl();
    let listed = service.words().any(|listed| key.contains(listed));
    let path = format!("/etc/sysconfig/{}-config", service.name);
    if !listed {
        let fatal = service
            .load
            .as_ref()
            .is_some_and(|load| load.failure_is_fatal);
        let unsettable = unsettable(draft, service, word);
        if fatal && let Some(first) = unsettable.first() {
            draft.warn(
                Code::ListNotExtended,
                format!("{word} is not added to {variable}"),
                format!(
                    "it would also apply {first}; that fails, and then {} does not start",
                    service.name
                ),
                "delete that line, and run ctdrop fix again",
            );
            return Ok(());
        }
        let quoted = service
            .list
            .lost
            .as_ref()
            .map(|lost| shell::words_in_typographic_quotes(&lost.text, &variable));
        let also: Vec<String> = quoted
            .unwrap_or_default()
            .into_iter()
            .filter(|other| other != word && all_settable(draft, service, other))
            .collect();
        let purpose = Purpose::ServiceSets(service.name);
        add(draft, &path, &variable, word, &also, purpose)?;
    }
    // Settings are applied after modules and rules have been loaded.
    if service.has_rules && !service.loads_conntrack() {
        let module = draft.facts.kernel.generation.module();
        add(
            draft,
            &path,
            &format!("{prefix}_MODULES"),
            module,
            &[],
            Purpose::ServiceLoads(service.name),
        )?;
    }
    Ok(())
}

fn add(
    draft: &mut Draft<'_>,
    path: &str,
    variable: &str,
    word: &str,
    also: &[String],
    purpose: Purpose,
) -> Result<()> {
    let (file, content) = draft.read(path)?;
    match shell::add_word(&content.unwrap_or_default(), variable, word, also) {
        Ok(after) => {
            draft.put(&file, after, 0o600, purpose)?;
        }
        Err(error) => draft.warn(
            Code::FileNotEditable,
            format!("{path} is left as it is"),
            format!("{error:#}"),
            format!("add {word} to {variable} by hand: {purpose}"),
        ),
    }
    Ok(())
}

/// Lines that a word matches and that cannot be set, as `file:line (text)`.
fn unsettable(draft: &Draft<'_>, service: &IptablesService, word: &str) -> Vec<String> {
    matched(&draft.facts, service, word)
        .into_iter()
        .filter(|(_, line)| is_settable(draft, line) == Some(false))
        .map(|(place, line)| format!("{place} ({})", line.text.trim()))
        .collect()
}

/// Whether all that a word matches can be set, as far as that is known.
fn all_settable(draft: &Draft<'_>, service: &IptablesService, word: &str) -> bool {
    let matched = matched(&draft.facts, service, word);
    matched
        .iter()
        .all(|(_, line)| is_settable(draft, line) == Some(true))
}

fn matched<'f>(facts: &'f Facts, service: &IptablesService, word: &str) -> Vec<(String, &'f Line)> {
    let patterns = service.load.iter().flat_map(|load| &load.files);
    patterns
        .flat_map(|pattern| order::expand(&facts.sysctl, pattern))
        .flat_map(|file| {
            let lines = file.by_command.iter();
            let lines = lines.filter(|line| line.text.contains(word));
            lines.map(move |line| (format!("{}:{}", file.file.display(), line.number), line))
        })
        .collect()
}

/// Whether a setting can be set; none if that is not known.
fn is_settable(draft: &Draft<'_>, line: &Line) -> Option<bool> {
    let facts = &draft.facts;
    if line.dash && !facts.procps.knows_dash {
        return Some(false);
    }
    if let Some(variable) = line.key.variable() {
        let machine = facts.kernel.machine()?;
        let writable = variable == Variable::Max || machine.buckets_are_writable();
        return Some(writable && facts.kernel.has_sysctl(&line.key.path)?);
    }
    if draft.exists(&format!("/proc/sys/{}", line.key.path)) {
        return Some(true);
    }
    // A tree may have only some of them.
    let all_there = draft.exists("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established")
        || draft.exists("/proc/sys/net/ipv4/netfilter/ip_conntrack_tcp_timeout_established");
    all_there.then_some(false)
}
