//! Scripts that set the limit with a command: `rc.local`, hooks of the network.

use crate::facts::{
    reader::{Reader, Source, TextFile},
    services::Services,
    ufw::Ufw,
    writers::{
        commands::Commands,
        lines::joined,
        writer::{Act, SCRIPT, Sets, Timing, Writer},
    },
};

/// Files that are run at boot, if they are executable.
const FILES: [&str; 8] = [
    "/etc/rc.d/rc.local",
    "/etc/rc.local",
    "/etc/init.d/rc.local",
    "/etc/init.d/boot.local",
    "/etc/conf.d/local.start",
    "/etc/ppp/ip-up.local",
    "/sbin/ifup-local",
    "/jffs/scripts/services-start",
];

/// Directories whose executable files are run when something starts, with the
/// arguments that are known: the second one of `NetworkManager` says what happens.
const DIRECTORIES: [(&str, &[Option<&str>]); 20] = [
    ("/etc/local.d", &[]),
    ("/etc/network/if-up.d", &[]),
    ("/etc/network/if-pre-up.d", &[]),
    ("/etc/NetworkManager/dispatcher.d", &[None, Some("up")]),
    ("/usr/lib/NetworkManager/dispatcher.d", &[None, Some("up")]),
    (
        "/etc/NetworkManager/dispatcher.d/pre-up.d",
        &[None, Some("pre-up")],
    ),
    (
        "/usr/lib/NetworkManager/dispatcher.d/pre-up.d",
        &[None, Some("pre-up")],
    ),
    (
        "/etc/NetworkManager/dispatcher.d/no-wait.d",
        &[None, Some("up")],
    ),
    (
        "/usr/lib/NetworkManager/dispatcher.d/no-wait.d",
        &[None, Some("up")],
    ),
    ("/etc/sysconfig/network/if-up.d", &[]),
    ("/etc/networkd-dispatcher/carrier.d", &[]),
    ("/etc/networkd-dispatcher/configured.d", &[]),
    ("/etc/networkd-dispatcher/configuring.d", &[]),
    ("/etc/networkd-dispatcher/degraded.d", &[]),
    ("/etc/networkd-dispatcher/routable.d", &[]),
    ("/usr/lib/networkd-dispatcher/carrier.d", &[]),
    ("/usr/lib/networkd-dispatcher/routable.d", &[]),
    ("/usr/lib/networkd-dispatcher/configured.d", &[]),
    ("/etc/ppp/ip-up.d", &[]),
    ("/var/lib/cloud/scripts/per-boot", &[]),
];

/// Directories whose executable files are run again and again.
const PERIODIC: [&str; 4] = [
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
];

/// Scripts that a service runs when it starts: its name, and their directory.
const OF_SERVICES: [(&str, &str); 1] = [(
    "netfilter-persistent",
    "/usr/share/netfilter-persistent/plugins.d",
)];

pub(super) fn read(
    reader: &Reader<'_>,
    (services, ufw): (&Services, Option<&Ufw>),
    commands: &Commands<'_>,
) -> Vec<Writer> {
    let mut writers = Vec::new();
    let mut seen = Vec::new();
    let mut take = |path: &str, arguments: &[Option<&str>], timing| {
        // A directory or a link to one is no script.
        let Some(text) = reader
            .program(path)
            .filter(|text| !seen.contains(&text.file))
        else {
            return;
        };
        let arguments: Vec<Option<String>> = arguments
            .iter()
            .map(|argument| argument.map(str::to_owned))
            .collect();
        let acts = commands.of_script(&text, &arguments);
        writers.extend(writer(acts, text.executable, timing));
        seen.push(text.file);
    };
    for path in FILES {
        take(path, &[], Timing::AtStart);
    }
    for (directory, arguments) in DIRECTORIES {
        for name in reader.names(directory) {
            let path = format!("{directory}/{name}");
            if directory != "/etc/local.d" || name.strip_suffix(".start").is_some() {
                take(&path, arguments, Timing::AtStart);
            }
        }
    }
    for (service, directory) in OF_SERVICES {
        if services.starts(service) {
            for name in reader.names(directory) {
                let path = format!("{directory}/{name}");
                take(&path, &[Some("start")], Timing::AtStart);
            }
        }
    }
    for directory in PERIODIC {
        for name in reader.names(directory) {
            take(&format!("{directory}/{name}"), &[], Timing::Always);
        }
    }
    writers.extend(interfaces(reader, commands));
    writers.extend(hooks_of_ufw(reader, ufw, commands));
    writers
}

/// The scripts that ufw runs when it starts, before and after it applies its own file of
/// sysctls (`ufw-init-functions`).
fn hooks_of_ufw(reader: &Reader<'_>, ufw: Option<&Ufw>, commands: &Commands<'_>) -> Vec<Writer> {
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
                for act in &mut acts {
                    act.certain = false;
                }
            }
            writer(acts, script.executable, Timing::AtStart)
        })
        .collect()
}

/// A writer by what it does; none if that is nothing.
pub(super) fn writer(acts: Vec<Act>, runs: bool, timing: Timing) -> Option<Writer> {
    let evidence: Vec<Source> = acts.iter().map(|act| act.source.clone()).collect();
    let sets = Sets::of(acts, timing)?;
    let when = match timing {
        Timing::Early => "early at boot",
        Timing::AtStart => "when it runs",
        Timing::AtLoad => "when the module is loaded",
        Timing::Always => "repeatedly",
    };
    Some(Writer {
        name: SCRIPT,
        active: runs,
        behaviour: match (runs, sets.max, sets.reapplies) {
            (false, ..) => "would set the limit, but does not run at boot".to_owned(),
            (true, _, true) => format!("applies the sysctl files {when}"),
            (true, Some(_), false) => format!("sets the limit {when}"),
            (true, None, false) => {
                format!("sets the limit {when}, to a value that ctdrop cannot predict")
            }
        },
        knob: format!(
            "change or delete the line in {}",
            sets.source.file.display()
        ),
        evidence,
        sets: runs.then_some(sets),
    })
}

/// `/etc/network/interfaces`: commands for when an interface comes up.
fn interfaces(reader: &Reader<'_>, commands: &Commands<'_>) -> Vec<Writer> {
    let names = reader.names("/etc/network/interfaces.d").into_iter();
    let listed = names.map(|name| format!("/etc/network/interfaces.d/{name}"));
    let files = ["/etc/network/interfaces".to_owned()]
        .into_iter()
        .chain(listed);
    let texts: Vec<TextFile> = files.filter_map(|path| reader.file(&path)).collect();
    texts
        .iter()
        .filter_map(|text| {
            let mut acts = Vec::new();
            for (number, line) in joined(&text.text) {
                let Some((option, command)) = line.trim().split_once([' ', '\t']) else {
                    continue;
                };
                if ["up", "pre-up", "post-up"].contains(&option) {
                    acts.extend(commands.of_line(command, &text.source(number, &line)));
                }
            }
            writer(acts, true, Timing::AtStart)
        })
        .collect()
}
