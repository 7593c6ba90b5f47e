//! Which services a host starts at boot, and in which order where that is
//! written down.

use serde::Serialize;

use crate::facts::{init::Init, reader::Reader, systemd::reached};

/// A service that is started at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enabled {
    /// Name, without suffix or number.
    pub name: String,
    /// What says so: a link, in most cases.
    pub by: String,
    /// Place in the order of System V.
    pub order: u32,
}

/// The services that are started at boot.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Services {
    /// In the order in which they are started, where that is known.
    pub enabled: Vec<Enabled>,
}

impl Services {
    pub(super) fn read(reader: &Reader<'_>, init: &Init) -> Self {
        let mut enabled = match init {
            Init::Systemd { .. } => systemd(reader),
            Init::RcSysinit { .. } => {
                let mut enabled = jobs(reader);
                enabled.extend(sysv(reader, &["/etc/rc.d/rc3.d", "/etc/rc3.d"]));
                enabled
            }
            Init::DebianSysV => sysv(reader, &["/etc/rcS.d", "/etc/rc2.d"]),
            Init::OpenRc { .. } => directories(
                reader,
                &[
                    "/etc/runlevels/sysinit",
                    "/etc/runlevels/boot",
                    "/etc/runlevels/default",
                ],
            ),
            Init::Runit => directories(reader, &["/etc/runit/runsvdir/default"]),
            Init::Upstart => upstart(reader),
            Init::Procd => sysv(reader, &["/etc/rc.d"]),
            Init::BusyboxInit => sysv(reader, &["/etc/init.d"]),
            Init::S6 => directories(reader, &["/etc/s6/adminsv/default/contents.d"]),
            Init::Slackware => rc_scripts(reader),
            Init::SuseBoot => sysv(reader, &["/etc/init.d/boot.d", "/etc/init.d/rc3.d"]),
            Init::Synology | Init::Qnap | Init::Unknown => Vec::new(),
        };
        enabled.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        enabled.dedup_by(|a, b| a.name == b.name);
        Self { enabled }
    }

    /// Whether a service is started at boot.
    pub fn starts(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether lists of modules are read at boot: `OpenRC` has a service for that.
    pub fn reads_module_lists(&self, init: &Init) -> bool {
        !matches!(init, Init::OpenRc { .. })
            || self.enabled.is_empty()
            || self.module_lists().is_some()
    }

    /// The service that loads the modules of lists, where scripts start the host: Debian's
    /// is `kmod`.
    pub fn module_lists(&self) -> Option<&Enabled> {
        let mut names = ["modules", "modules-load", "kmod"].into_iter();
        names.find_map(|name| self.get(name))
    }

    /// The entry of a service that is started at boot.
    pub fn get(&self, name: &str) -> Option<&Enabled> {
        self.enabled.iter().find(|service| service.name == name)
    }
}

/// Jobs that only run the scripts of System V.
const OF_UPSTART: [&str; 4] = ["rc", "rcS", "rc-sysinit", "rcS-sulogin"];

/// Services that a boot surely starts.
fn systemd(reader: &Reader<'_>) -> Vec<Enabled> {
    let reached = reached::read(reader).into_iter();
    let services = reached
        .filter(|reached| reached.certain)
        .filter_map(|reached| {
            Some(Enabled {
                name: reached.unit.strip_suffix(".service")?.to_owned(),
                by: reached.by,
                order: 0,
            })
        });
    services.collect()
}

/// Links such as `S08iptables`.
fn sysv(reader: &Reader<'_>, levels: &[&str]) -> Vec<Enabled> {
    let mut enabled = Vec::new();
    for (level, directory) in (0..).zip(levels) {
        for link in reader.names(directory) {
            let order_and_name = link.strip_prefix('S').and_then(|rest| {
                let (order, name) = rest.split_at_checked(2)?;
                Some((order.parse::<u32>().ok()?, name.to_owned()))
            });
            if let Some((order, name)) = order_and_name {
                enabled.push(Enabled {
                    name,
                    by: format!("{directory}/{link}"),
                    order: level * 100 + order,
                });
            }
        }
    }
    enabled
}

/// Jobs of Upstart, and scripts of System V that it runs.
fn upstart(reader: &Reader<'_>) -> Vec<Enabled> {
    let mut enabled = jobs(reader);
    enabled.extend(sysv(reader, &["/etc/rcS.d", "/etc/rc2.d"]));
    enabled
}

/// Jobs of Upstart, which Enterprise Linux 6 has, too: each but those that only an
/// administrator starts (init(5), "Override File Handling").
fn jobs(reader: &Reader<'_>) -> Vec<Enabled> {
    let files = reader.names("/etc/init");
    let jobs = files.iter().filter_map(|file| {
        let name = file.strip_suffix(".conf")?;
        let manual = |suffix: &str| {
            let text = reader.file(&format!("/etc/init/{name}.{suffix}"));
            text.is_some_and(|text| text.text.lines().any(|line| line.trim() == "manual"))
        };
        let runs = !manual("conf") && !manual("override") && !OF_UPSTART.contains(&name);
        runs.then(|| Enabled {
            name: name.to_owned(),
            by: format!("/etc/init/{file}"),
            order: 0,
        })
    });
    jobs.collect()
}

/// Scripts of Slackware, such as `/etc/rc.d/rc.firewall`: those that are executable
/// are run.
fn rc_scripts(reader: &Reader<'_>) -> Vec<Enabled> {
    let names = reader.names("/etc/rc.d");
    let scripts = names.iter().filter_map(|file| {
        let by = format!("/etc/rc.d/{file}");
        let name = file.strip_prefix("rc.")?.to_owned();
        let runs = reader.file(&by).is_some_and(|script| script.executable);
        runs.then_some(Enabled { name, by, order: 0 })
    });
    scripts.collect()
}

fn directories(reader: &Reader<'_>, levels: &[&str]) -> Vec<Enabled> {
    let mut enabled = Vec::new();
    for (order, directory) in (0..).zip(levels) {
        for name in reader.names(directory) {
            enabled.push(Enabled {
                by: format!("{directory}/{name}"),
                name,
                order,
            });
        }
    }
    enabled
}
