//! Scripts that the init of a host starts: by a link with a number
//! (`/etc/rc3.d/S20firewall`), from a runlevel, or by their name
//! (`/etc/rc.d/rc.firewall` of Slackware). One that nothing is seen to start may be
//! started all the same, by what is not in the tree.

use crate::facts::{
    init::Init,
    reader::{Reader, TextFile},
    services::{Enabled, Services},
    systemd::files,
    writers::{
        acts::mentions,
        commands::Commands,
        hooks::in_doubt,
        scripts::writer,
        writer::{Act, Timing, Writer},
    },
};

/// Services that are described elsewhere: what applies files of sysctls at boot, and
/// firewalls.
const DESCRIBED: [&str; 11] = [
    "iptables",
    "ip6tables",
    "network",
    "procps",
    "sysctl",
    "boot.sysctl",
    "ufw",
    "rc.local",
    "boot.local",
    "local",
    "kube-proxy",
];

/// What applies files of sysctls among the services of an init: a script with a lower
/// number comes before it.
const APPLIERS: [&str; 4] = ["network", "procps", "sysctl", "boot.sysctl"];

/// Links by which systemd starts scripts that have no unit (systemd-sysv-generator(8)).
const RUNLEVELS: [&str; 6] = [
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/rc5.d",
    "/etc/rc.d/rc2.d",
    "/etc/rc.d/rc3.d",
    "/etc/rc.d/rc5.d",
];

/// The scripts of Slackware that start others by their name.
const SLACKWARE: [&str; 5] = [
    "/etc/rc.d/rc.S",
    "/etc/rc.d/rc.M",
    "/etc/rc.d/rc.inet1",
    "/etc/rc.d/rc.inet2",
    "/etc/rc.d/rc.local",
];

/// Scripts of the boot itself, which start others.
const OF_BOOT: [&str; 12] = [
    "rc.S",
    "rc.M",
    "rc.K",
    "rc.0",
    "rc.6",
    "rc.4",
    "rc.inet1",
    "rc.inet2",
    "rc.sysinit",
    "rc.local",
    "rc.local_shutdown",
    "rc.sysctl",
];

/// Actions of `/etc/inittab` that a boot comes to.
const ACTIONS: [&str; 6] = ["sysinit", "boot", "bootwait", "wait", "once", "respawn"];

/// What `/etc/inittab` starts that is described elsewhere.
const OF_INITTAB: [&str; 6] = ["rc", "rcS", "boot", "openrc", "procd", "runsvdir-start"];

/// Those that are started, in their order.
pub(super) fn read(
    reader: &Reader<'_>,
    (init, services): (&Init, &Services),
    commands: &Commands<'_>,
) -> Vec<Writer> {
    let first = services
        .enabled
        .iter()
        .filter(|service| APPLIERS.contains(&service.name.as_str()))
        .map(|service| service.order)
        .max();
    let mut writers = Vec::new();
    for service in &started(reader, init, services) {
        if DESCRIBED.contains(&service.name.as_str()) {
            continue;
        }
        let Some(script) = script(reader, &service.by) else {
            continue;
        };
        let mut acts = acts(&script, commands);
        let is_job = service.by.starts_with("/etc/init/");
        // What applies the files comes later, and may win or fail.
        let is_before = first.is_some_and(|first| service.order < first);
        if is_job || is_before {
            acts = in_doubt(acts);
        }
        writers.extend(writer(acts, true, Timing::AtStart));
    }
    if !init.is_systemd() {
        writers.extend(of_inittab(reader, commands));
    }
    writers
}

/// Processes that `/etc/inittab` starts in a boot (inittab(5)): in no order with what
/// applies the files.
fn of_inittab(reader: &Reader<'_>, commands: &Commands<'_>) -> Option<Writer> {
    let text = reader.file("/etc/inittab")?;
    let mut acts = Vec::new();
    for (number, line) in text.lines() {
        let fields: Vec<&str> = line.trim().splitn(4, ':').collect();
        let [id, levels, action, process] = fields[..] else {
            continue;
        };
        let in_boot = levels.is_empty() || levels.contains(['2', '3', '4', '5', 'S', 's']);
        let program = process
            .trim_start_matches('+')
            .split_ascii_whitespace()
            .next();
        let name = program.and_then(|program| program.rsplit('/').next());
        let described =
            name.is_none_or(|name| OF_INITTAB.contains(&name) || OF_BOOT.contains(&name));
        if id.starts_with('#') || !in_boot || !ACTIONS.contains(&action) || described {
            continue;
        }
        acts.extend(commands.of_line(process, &text.source(number, line)));
    }
    writer(in_doubt(acts), true, Timing::AtStart)
}

/// Those that set the limit, and that nothing is seen to start; `known` are the
/// writers that are.
pub(super) fn not_started(
    reader: &Reader<'_>,
    commands: &Commands<'_>,
    known: &[Writer],
) -> Vec<Writer> {
    let of = |directory: &str, begin: &str| {
        let names = reader.names(directory).into_iter();
        let mut paths: Vec<String> = names
            .filter(|name| name.starts_with(begin) && !OF_BOOT.contains(&name.as_str()))
            .filter(|name| !DESCRIBED.contains(&name.as_str()))
            .map(|name| format!("{directory}/{name}"))
            .collect();
        paths.sort();
        paths
    };
    let places = [
        ("/etc", "rc."),
        ("/etc/rc.d", "rc."),
        ("/etc/rc.d/init.d", ""),
        ("/etc/init.d", ""),
    ];
    let mut seen = Vec::new();
    let mut writers = Vec::new();
    for path in places
        .iter()
        .flat_map(|(directory, begin)| of(directory, begin))
    {
        let Some(script) = script(reader, &path).filter(|script| mentions(&script.text)) else {
            continue;
        };
        let mut evidence = known.iter().flat_map(|writer| &writer.evidence);
        if evidence.any(|line| line.file == script.file) || seen.contains(&script.file) {
            continue;
        }
        let runs = script.executable && !is_switched_off(reader, &path);
        let acts = in_doubt(acts(&script, commands));
        writers.extend(writer(acts, runs, Timing::AtStart));
        seen.push(script.file);
    }
    writers
}

/// The services that an init starts by a script.
fn started(reader: &Reader<'_>, init: &Init, services: &Services) -> Vec<Enabled> {
    match init {
        Init::Systemd { .. } => by_generator(reader),
        Init::Slackware => {
            let named = named_by_slackware(reader);
            let mut enabled = services.enabled.clone();
            enabled.retain(|service| named(&service.by));
            enabled
        }
        _ => services.enabled.clone(),
    }
}

/// Links to scripts that systemd has no unit for.
fn by_generator(reader: &Reader<'_>) -> Vec<Enabled> {
    let mut enabled: Vec<Enabled> = Vec::new();
    for directory in RUNLEVELS {
        for link in reader.names(directory) {
            let name = link.strip_prefix('S').and_then(|rest| rest.get(2..));
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            let known = enabled.iter().any(|service| service.name == name);
            if !known && files::read(reader, &format!("{name}.service")).is_empty() {
                enabled.push(Enabled {
                    name: name.to_owned(),
                    by: format!("{directory}/{link}"),
                    order: 0,
                });
            }
        }
    }
    enabled
}

/// Whether one of Slackware's own scripts starts a script; of a tree without them,
/// `rc.inet2` is known to start `rc.firewall`.
fn named_by_slackware(reader: &Reader<'_>) -> impl Fn(&str) -> bool {
    let own: Vec<TextFile> = SLACKWARE
        .iter()
        .filter_map(|path| reader.file(path))
        .collect();
    move |path| {
        let names = |script: &TextFile| {
            script
                .lines()
                .any(|(_, line)| !line.trim_start().starts_with('#') && line.contains(path))
        };
        let has = |name: &str| own.iter().any(|script| script.file.ends_with(name));
        own.iter().any(names) || (path.ends_with("/rc.firewall") && !has("rc.inet2"))
    }
}

/// A script; of a service of runit, what runs in its directory.
fn script(reader: &Reader<'_>, path: &str) -> Option<TextFile> {
    reader
        .file(path)
        .or_else(|| reader.file(&format!("{path}/run")))
}

/// Whether the links of all runlevels stop a service, and none starts it.
fn is_switched_off(reader: &Reader<'_>, path: &str) -> bool {
    let Some(name) = path.rsplit('/').next() else {
        return false;
    };
    let stops = |link: &String| {
        let rest = link.strip_prefix('K').and_then(|rest| rest.get(2..));
        rest == Some(name)
    };
    RUNLEVELS
        .iter()
        .any(|directory| reader.names(directory).iter().any(stops))
}

/// What the start of a script does. Some are only functions, which another program
/// calls: their first line gives way to what that program has itself.
fn acts(script: &TextFile, commands: &Commands<'_>) -> Vec<Act> {
    let first = script.text.lines().next().unwrap_or_default();
    let functions = if first.contains("rc.common") {
        Some(("boot() { start; }; start() { start_service; }", "boot"))
    } else if first.contains("openrc-run") || first.contains("runscript") {
        Some((
            "start_pre() { :; }; start() { :; }; start_post() { :; }",
            "start_pre; start; start_post",
        ))
    } else {
        None
    };
    let acts = match functions {
        Some((defaults, call)) => {
            let rest = script.text.strip_prefix(first).unwrap_or_default();
            let called = TextFile {
                text: format!("{defaults}{rest}\n{call}\n"),
                ..script.clone()
            };
            commands.of_script(&called, &[])
        }
        None => commands.of_script(script, &[Some("start".to_owned())]),
    };
    let speaks = mentions(&script.text);
    acts.into_iter()
        .filter(|act| {
            let is_of_sysctl = act.source.text.contains("sysctl");
            speaks || !act.is_guess() || is_of_sysctl || act.source.file != script.file
        })
        .collect()
}
