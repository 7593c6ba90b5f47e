//! Scripts that a program runs when something happens at boot: hooks of the network,
//! and directories of `run-parts`. Each program takes some names only, and some want
//! an owner or a mode.

use crate::facts::{
    appliance::Appliance,
    distribution::Family,
    init::Init,
    reader::{Reader, TextFile},
    services::Services,
    writers::{
        acts::mentions,
        commands::Commands,
        names::{Names, is_guarded},
        scripts::writer,
        writer::{Act, Timing, Writer},
    },
};

/// The host that hooks are of.
#[derive(Clone, Copy)]
pub(super) struct Host<'h> {
    pub(super) family: Family,
    pub(super) init: &'h Init,
    pub(super) services: &'h Services,
    pub(super) appliance: Option<&'static Appliance>,
}

/// Whether a hook comes to run at boot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    Yes,
    Perhaps,
    No,
}

/// A directory whose scripts are run.
struct Directory {
    path: &'static str,
    names: Names,
    /// One of these files has to be there for it.
    needs: &'static [&'static str],
    /// Whether each boot comes to run it.
    certain: bool,
    /// Whether only executable files count; the others are sourced.
    executable: bool,
}

const fn executed(path: &'static str, names: Names) -> Directory {
    Directory {
        path,
        names,
        needs: &[],
        certain: true,
        executable: true,
    }
}

const fn sourced(path: &'static str, names: Names) -> Directory {
    Directory {
        path,
        names,
        needs: &[],
        certain: false,
        executable: false,
    }
}

const fn of_ifupdown(path: &'static str) -> Directory {
    Directory {
        needs: &[
            "/etc/network/interfaces",
            "/etc/NetworkManager/dispatcher.d/01-ifupdown",
            "/usr/lib/NetworkManager/dispatcher.d/01-ifupdown",
        ],
        ..executed(path, Names::RunParts)
    }
}

/// Directories of hooks that a boot runs, but those of `NetworkManager`.
const DIRECTORIES: [Directory; 17] = [
    of_ifupdown("/etc/network/if-up.d"),
    of_ifupdown("/etc/network/if-pre-up.d"),
    executed("/etc/sysconfig/network/if-up.d", Names::All),
    executed("/etc/networkd-dispatcher/carrier.d", Names::All),
    executed("/etc/networkd-dispatcher/configured.d", Names::All),
    executed("/etc/networkd-dispatcher/configuring.d", Names::All),
    executed("/etc/networkd-dispatcher/degraded.d", Names::All),
    executed("/etc/networkd-dispatcher/routable.d", Names::All),
    executed("/usr/lib/networkd-dispatcher/carrier.d", Names::All),
    executed("/usr/lib/networkd-dispatcher/routable.d", Names::All),
    executed("/usr/lib/networkd-dispatcher/configured.d", Names::All),
    executed("/etc/ppp/ip-up.d", Names::RunParts),
    executed("/var/lib/cloud/scripts/per-boot", Names::All),
    // Only an interface whose client this is comes to run them.
    sourced("/etc/dhcp/dhclient-enter-hooks.d", Names::RunParts),
    sourced("/etc/dhcp/dhclient-exit-hooks.d", Names::RunParts),
    sourced("/etc/dhcp/dhclient.d", Names::Ending(".sh")),
    sourced("/lib/dhcpcd/dhcpcd-hooks", Names::All),
];

/// Files that clients of DHCP source.
const SOURCED: [&str; 6] = [
    "/etc/dhcp/dhclient-enter-hooks",
    "/etc/dhcp/dhclient-exit-hooks",
    "/etc/dhclient-enter-hooks",
    "/etc/dhclient-exit-hooks",
    "/etc/dhcpcd.enter-hook",
    "/etc/dhcpcd.exit-hook",
];

/// Directories of `NetworkManager`'s dispatcher, with what happens in each boot.
const DISPATCHER: [(&str, &str); 6] = [
    ("/etc/NetworkManager/dispatcher.d", "up"),
    ("/usr/lib/NetworkManager/dispatcher.d", "up"),
    ("/etc/NetworkManager/dispatcher.d/pre-up.d", "pre-up"),
    ("/usr/lib/NetworkManager/dispatcher.d/pre-up.d", "pre-up"),
    ("/etc/NetworkManager/dispatcher.d/no-wait.d", "up"),
    ("/usr/lib/NetworkManager/dispatcher.d/no-wait.d", "up"),
];

/// What else its scripts are told, on some hosts.
const FURTHER: [&str; 6] = [
    "dhcp4-change",
    "dhcp6-change",
    "connectivity-change",
    "hostname",
    "vpn-up",
    "reapply",
];

/// Directories whose executable files are run again and again.
const PERIODIC: [&str; 9] = [
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/periodic/15min",
    "/etc/periodic/hourly",
    "/etc/periodic/daily",
    "/etc/periodic/weekly",
    "/etc/periodic/monthly",
];

/// Files of which each is run at boot, if it is executable.
const FILES: [&str; 7] = [
    "/etc/rc.d/rc.local",
    "/etc/rc.local",
    "/etc/init.d/rc.local",
    "/etc/init.d/boot.local",
    "/etc/conf.d/local.start",
    "/etc/ppp/ip-up.local",
    "/sbin/ifup-local",
];

pub(super) fn read(
    reader: &Reader<'_>,
    host: Host<'_>,
    commands: &Commands<'_>,
) -> Vec<(Writer, &'static str)> {
    let mut hooks = Hooks {
        reader,
        commands,
        writers: Vec::new(),
        seen: Vec::new(),
    };
    hooks.of_appliance(host.appliance);
    for path in FILES {
        let runs = host.file(reader, path);
        // procd gives it to a shell.
        let plain = *host.init == Init::Procd && path == "/etc/rc.local";
        hooks.take(path, &[], (runs, plain), Timing::AtStart);
    }
    let start = host.local_d(reader);
    for name in reader.names("/etc/local.d") {
        if name.strip_suffix(".start").is_some() {
            hooks.take(
                &format!("/etc/local.d/{name}"),
                &[],
                (start, false),
                Timing::AtStart,
            );
        }
    }
    for directory in DIRECTORIES {
        hooks.directory(&directory);
    }
    for path in SOURCED {
        hooks.take(path, &[], (Runs::Perhaps, true), Timing::AtStart);
    }
    hooks.dispatcher();
    let names = Names::of_periodic(host.family);
    for directory in PERIODIC {
        for name in reader.names(directory) {
            let runs = if names.take(&name) {
                Runs::Yes
            } else {
                Runs::No
            };
            hooks.take(
                &format!("{directory}/{name}"),
                &[],
                (runs, false),
                Timing::Always,
            );
        }
    }
    if *host.init == Init::Procd {
        hooks.of_openwrt();
    }
    hooks.writers
}

impl Host<'_> {
    /// Whether the start of this host runs a file.
    fn file(&self, reader: &Reader<'_>, path: &str) -> Runs {
        let masked = || {
            let unit = reader.resolve("/etc/systemd/system/rc-local.service");
            unit.is_some_and(|file| file == std::path::Path::new("/dev/null"))
        };
        let debian = matches!(self.family, Family::Debian | Family::Ubuntu);
        let runs = match (path, self.init) {
            ("/etc/rc.local" | "/etc/rc.d/rc.local", Init::Systemd { .. }) if masked() => false,
            // systemd-rc-local-generator has one path, which the distribution chooses.
            ("/etc/rc.d/rc.local", Init::Systemd { .. }) => !debian,
            ("/etc/rc.local", Init::Systemd { .. }) => self.family != Family::Suse,
            ("/etc/init.d/boot.local", _) => self.family == Family::Suse,
            ("/etc/conf.d/local.start", init) => matches!(init, Init::OpenRc { .. }),
            ("/etc/rc.local" | "/etc/rc.d/rc.local", Init::OpenRc { .. }) => {
                self.services.starts("rc.local")
            }
            _ => true,
        };
        if runs { Runs::Yes } else { Runs::No }
    }

    /// Whether the service `local` of `OpenRC` is started.
    fn local_d(&self, reader: &Reader<'_>) -> Runs {
        if !matches!(self.init, Init::OpenRc { .. }) {
            return Runs::No;
        }
        if self.services.starts("local") {
            return Runs::Yes;
        }
        // It is in Gentoo's default runlevel from the start.
        let copied = reader.exists("/etc/runlevels/default") || self.family == Family::Alpine;
        if copied && !self.services.enabled.is_empty() {
            Runs::No
        } else {
            Runs::Perhaps
        }
    }
}

struct Hooks<'h> {
    reader: &'h Reader<'h>,
    commands: &'h Commands<'h>,
    writers: Vec<(Writer, &'static str)>,
    seen: Vec<std::path::PathBuf>,
}

impl Hooks<'_> {
    /// A script that is not taken twice; a directory or a link to one is none.
    fn script(&mut self, path: &str) -> Option<TextFile> {
        let script = self.reader.program(path)?;
        if self.seen.contains(&script.file) {
            return None;
        }
        self.seen.push(script.file.clone());
        Some(script)
    }

    /// A script with its arguments. `plain`: it need not be executable.
    fn take(
        &mut self,
        path: &str,
        arguments: &[Option<&str>],
        (runs, plain): (Runs, bool),
        timing: Timing,
    ) {
        let Some(script) = self.script(path) else {
            return;
        };
        let mut acts = self.commands.of_script(&script, &owned(arguments));
        if runs == Runs::Perhaps {
            acts = in_doubt(acts);
        }
        let runs = runs != Runs::No && (plain || script.executable);
        let found = writer(acts, runs, timing);
        self.writers
            .extend(found.map(|found| (found, unit_of(path))));
    }

    fn directory(&mut self, directory: &Directory) {
        let reader = self.reader;
        let mut needs = directory.needs.iter();
        let installed = directory.needs.is_empty() || needs.any(|path| reader.exists(path));
        // ifupdown2 takes any name.
        let any = !directory.needs.is_empty() && reader.exists("/etc/network/ifupdown2");
        for name in reader.names(directory.path) {
            let runs = match directory.names.take(&name) {
                _ if !installed => Runs::No,
                false if any => Runs::Perhaps,
                false => Runs::No,
                true if directory.certain => Runs::Yes,
                true => Runs::Perhaps,
            };
            let path = format!("{}/{name}", directory.path);
            self.take(&path, &[], (runs, !directory.executable), Timing::AtStart);
        }
    }

    /// `NetworkManager` runs a script with what has happened as its second argument.
    /// It wants root as the owner, and that nobody else may write to it.
    fn dispatcher(&mut self) {
        for (directory, event) in DISPATCHER {
            for name in self.reader.names(directory) {
                let path = format!("{directory}/{name}");
                let Some(script) = self.script(&path) else {
                    continue;
                };
                let mut acts = self.of_event(&script, event);
                if event == "up" {
                    for further in FURTHER {
                        for act in in_doubt(self.of_event(&script, further)) {
                            let known = |known: &Act| {
                                (&known.does, &known.source) == (&act.does, &act.source)
                            };
                            if !acts.iter().any(known) {
                                acts.push(act);
                            }
                        }
                    }
                }
                let runs = Names::Dispatcher.take(&name)
                    && script.executable
                    && is_guarded(self.reader, &path);
                let found = writer(acts, runs, Timing::AtStart);
                self.writers
                    .extend(found.map(|found| (found, unit_of(&path))));
            }
        }
    }

    fn of_event(&self, script: &TextFile, event: &str) -> Vec<Act> {
        let arguments = owned(&[None, Some(event)]);
        self.commands.of_script(script, &arguments)
    }

    /// What `OpenWrt` sources: when the firewall starts, when an interface comes up,
    /// at the first boot.
    fn of_openwrt(&mut self) {
        let reader = self.reader;
        let under = |directory: &str| {
            let names = reader.names(directory).into_iter();
            let paths = names.map(|name| format!("{directory}/{name}"));
            paths.collect::<Vec<_>>()
        };
        let mut paths = vec!["/etc/firewall.user".to_owned()];
        for kind in reader.directories("/etc/hotplug.d") {
            paths.extend(under(&format!("/etc/hotplug.d/{kind}")));
        }
        paths.extend(under("/etc/uci-defaults"));
        for path in paths {
            let speaks = reader
                .file(&path)
                .is_some_and(|script| mentions(&script.text));
            if speaks {
                self.take(&path, &[], (Runs::Perhaps, true), Timing::AtStart);
            }
        }
    }

    /// Scripts that a system keeps which makes `/etc` anew.
    fn of_appliance(&mut self, appliance: Option<&Appliance>) {
        let Some(appliance) = appliance else {
            return;
        };
        for script in appliance.scripts {
            let paths = match script.strip_suffix('/') {
                None => vec![(*script).to_owned()],
                Some(directory) => {
                    let names = self.reader.names(directory).into_iter();
                    names.map(|name| format!("{script}{name}")).collect()
                }
            };
            for path in paths {
                self.take(
                    &path,
                    &[],
                    (Runs::Yes, appliance.runs_plain),
                    Timing::AtStart,
                );
            }
        }
    }
}

/// The unit that runs a hook where systemd starts the host.
fn unit_of(path: &str) -> &'static str {
    let local = ["rc.local", "boot.local"];
    if local.iter().any(|name| path.ends_with(name)) {
        "rc-local.service"
    } else if path.starts_with("/etc/network/") {
        "networking.service"
    } else {
        "a hook of the network"
    }
}

fn owned(arguments: &[Option<&str>]) -> Vec<Option<String>> {
    let owned = arguments.iter().map(|argument| argument.map(str::to_owned));
    owned.collect()
}

/// The same acts where it is not known whether they come about.
pub(super) fn in_doubt(acts: Vec<Act>) -> Vec<Act> {
    let doubted = acts.into_iter().map(|act| Act {
        certain: false,
        ..act
    });
    doubted.collect()
}
