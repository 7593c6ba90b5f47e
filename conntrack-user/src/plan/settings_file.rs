//! Which file of sysctls a new setting goes to.

use std::path::Path;

use anyhow::Result;

use crate::{
    facts::{
        Facts,
        init::Init,
        iptables::IptablesService,
        sysctl::{Does, SYSCTL_CONF, SysctlFile, Variable},
    },
    plan::{
        draft::Draft,
        edit::{self, MARK, TEMPORARY},
        purpose::Purpose,
        sizing::Size,
    },
    survival::{Event, order},
};

/// Names of the settings file that ctdrop creates: it takes the first that sorts
/// after all files that it cannot change.
const DROP_IN: [&str; 3] = ["90-ctdrop.conf", "99-zz-ctdrop.conf", "zz-ctdrop.conf"];

/// Whether a file may be changed: it belongs to the host, not to a package, to the
/// time until the next boot, or to an interrupted fix.
pub(crate) fn is_ours_to_edit(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    file.starts_with("/etc") && !name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
}

/// Adds the setting to a file that is read at this event. It must come after the
/// file `after`.
pub(crate) fn add_setting(
    draft: &mut Draft<'_>,
    size: &Size,
    event: &Event,
    after: Option<&Path>,
) -> Result<bool> {
    let line = format!(
        "{} = {}",
        draft.facts.kernel.generation.max_sysctl(),
        size.max
    );
    // Where this file comes last, its line counts whatever the others say.
    let is_last = draft.facts.applier.order.ends_with_conf();
    let to_conf = goes_to_sysctl_conf(&draft.facts, event);
    let path = if to_conf && after.is_none() || is_last && (to_conf || after.is_some()) {
        SYSCTL_CONF.to_owned()
    } else {
        match drop_in(&draft.facts, after) {
            Some(name) => format!("/etc/sysctl.d/{name}"),
            None => return in_place_of(draft, size, event, after),
        }
    };
    let (file, content) = draft.read(&path)?;
    let content = content.unwrap_or_default();
    if edit::lines(&content)
        .iter()
        .any(|known| known.trim_ascii() == line.as_bytes())
    {
        return Ok(false);
    }
    let purpose = Purpose::Sets(event.clone());
    draft.put(&file, edit::append(&content, &line), 0o644, purpose)
}

fn goes_to_sysctl_conf(facts: &Facts, event: &Event) -> bool {
    let only_conf = |service: &IptablesService| {
        let load = service.load.as_ref();
        load.is_some_and(|load| load.files.iter().any(|file| file == SYSCTL_CONF))
    };
    match event {
        Event::Restart(name) => facts.iptables_service(name).is_some_and(only_conf),
        Event::Boot | Event::Reload => match facts.init {
            // An upgrade of OpenWrt keeps this file, and not the directory.
            Init::RcSysinit { .. } | Init::Procd => true,
            _ if !facts.applier.order.reads_directory() => true,
            // One file for both, where there is one.
            _ => facts.iptables.iter().any(only_conf) && is_linked(facts),
        },
    }
}

/// Whether systemd-sysctl gets to see `/etc/sysctl.conf`.
fn is_linked(facts: &Facts) -> bool {
    let conf = Path::new(SYSCTL_CONF);
    order::systemd(&facts.sysctl)
        .iter()
        .any(|file| file.file == conf)
}

/// The first name that sorts after all files that set the limit and cannot be
/// changed, that may set it or take it back, and after the file `after`.
pub(crate) fn drop_in(facts: &Facts, after: Option<&Path>) -> Option<&'static str> {
    let fixed = |file: &&SysctlFile| {
        Some(file.file.as_path()) == after
            || file.lines.iter().any(|line| match line.does {
                Does::Sets => !is_ours_to_edit(&file.file) && line.sets(Variable::Max),
                Does::TakesBack => line.key.variable() == Some(Variable::Max),
                Does::Unclear => true,
            })
    };
    let last = facts
        .sysctl
        .files
        .iter()
        .filter(fixed)
        .map(|file| file.name.as_str())
        .max()
        .unwrap_or_default();
    DROP_IN.into_iter().find(|name| *name > last)
}

/// Where no name of a new file sorts late enough: a copy of the file of a package that
/// decides, with the limit, in `/etc/sysctl.d`, where it takes the place of the other.
fn in_place_of(
    draft: &mut Draft<'_>,
    size: &Size,
    event: &Event,
    after: Option<&Path>,
) -> Result<bool> {
    let of_package = |file: &&SysctlFile| {
        file.directory != "/run/sysctl.d" && Some(file.file.as_path()) == after
    };
    let order = order::files(&draft.facts);
    let Some(file) = order.into_iter().rfind(of_package) else {
        return Ok(false);
    };
    let decides = file.lines.iter().rfind(|line| line.sets(Variable::Max));
    let Some(line) = decides.map(|line| line.number) else {
        return Ok(false);
    };
    let (name, original) = (file.name.clone(), file.path());
    let (_, content) = draft.read(&original)?;
    let content = content.unwrap_or_default();
    let Some(changed) = edit::sysctl::set_value(&content, line, size.max) else {
        return Ok(false);
    };
    let copy = [
        format!("{MARK}\n# It takes the place of {original}, with another limit.\n").into_bytes(),
        changed,
    ];
    let (file, _) = draft.read(&format!("/etc/sysctl.d/{name}"))?;
    draft.put(&file, copy.concat(), 0o644, Purpose::Sets(event.clone()))
}
