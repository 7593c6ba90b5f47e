//! Scripts that a service runs when it starts.

use crate::facts::{
    reader::Reader,
    services::Services,
    ufw::Ufw,
    writers::{
        commands::Commands,
        hooks::in_doubt,
        names::Names,
        scripts::writer,
        writer::{Timing, Writer},
    },
};

/// What each script does, with the unit of its service.
pub(super) fn read(
    reader: &Reader<'_>,
    (services, ufw): (&Services, Option<&Ufw>),
    commands: &Commands<'_>,
) -> Vec<(Writer, &'static str)> {
    let plugins = of_netfilter_persistent(reader, services, commands).into_iter();
    let plugins = plugins.map(|plugin| (plugin, "netfilter-persistent.service"));
    let hooks = of_ufw(reader, ufw, commands).into_iter();
    plugins
        .chain(hooks.map(|hook| (hook, "ufw.service")))
        .collect()
}

/// Plugins of netfilter-persistent, which it runs with run-parts.
fn of_netfilter_persistent(
    reader: &Reader<'_>,
    services: &Services,
    commands: &Commands<'_>,
) -> Vec<Writer> {
    const PLUGINS: &str = "/usr/share/netfilter-persistent/plugins.d";
    if !services.starts("netfilter-persistent") {
        return Vec::new();
    }
    let names = reader.names(PLUGINS).into_iter();
    names
        .filter_map(|name| {
            let script = reader.program(&format!("{PLUGINS}/{name}"))?;
            let acts = commands.of_script(&script, &[Some("start".to_owned())]);
            let runs = Names::RunParts.take(&name) && script.executable;
            writer(acts, runs, Timing::AtStart)
        })
        .collect()
}

/// The scripts that ufw runs when it starts, before and after it applies its own file of
/// sysctls (`ufw-init-functions`).
fn of_ufw(reader: &Reader<'_>, ufw: Option<&Ufw>, commands: &Commands<'_>) -> Vec<Writer> {
    let Some(ufw) = ufw.filter(|ufw| ufw.enabled || ufw.unknown.is_some()) else {
        return Vec::new();
    };
    let sysctl = ufw.sysctl.iter().flat_map(|sysctl| &sysctl.lines);
    let mut sysctl = sysctl.map(|line| &line.key);
    let sets = sysctl.any(|key| key.variable().is_some() || key.is_pattern());
    let hooks = ["/etc/ufw/before.init", "/etc/ufw/after.init"].into_iter();
    hooks
        .filter_map(|path| {
            let script = reader.program(path)?;
            let mut acts = commands.of_script(&script, &[Some("start".to_owned())]);
            if ufw.unknown.is_some() || path.ends_with("before.init") && sets {
                acts = in_doubt(acts);
            }
            writer(acts, script.executable, Timing::AtStart)
        })
        .collect()
}
