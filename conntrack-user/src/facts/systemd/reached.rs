//! Which units a boot starts: those that its targets want, and what these want in
//! turn.

use std::collections::BTreeMap;

use crate::facts::{
    reader::Reader,
    systemd::files::{self, DIRECTORIES},
};

/// A unit that a boot starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::facts) struct Reached {
    /// Its name with its suffix.
    pub(in crate::facts) unit: String,
    /// What says so: a link or a unit.
    pub(in crate::facts) by: String,
    /// Whether it surely comes to that.
    pub(in crate::facts) certain: bool,
}

/// Targets that a boot reaches.
const OF_BOOT: [&str; 30] = [
    "default",
    "graphical",
    "multi-user",
    "basic",
    "sysinit",
    "local-fs",
    "local-fs-pre",
    "remote-fs",
    "remote-fs-pre",
    "network",
    "network-pre",
    "network-online",
    "sockets",
    "timers",
    "paths",
    "slices",
    "swap",
    "getty",
    "cryptsetup",
    "veritysetup",
    "time-set",
    "time-sync",
    "nss-lookup",
    "nss-user-lookup",
    "rpcbind",
    "cloud-init",
    "cloud-config",
    "runlevel3",
    "runlevel4",
    "runlevel5",
];

/// Targets that a boot does not reach.
const NOT_OF_BOOT: [&str; 26] = [
    "rescue",
    "emergency",
    "shutdown",
    "reboot",
    "poweroff",
    "halt",
    "kexec",
    "soft-reboot",
    "suspend",
    "hibernate",
    "hybrid-sleep",
    "suspend-then-hibernate",
    "sleep",
    "ctrl-alt-del",
    "umount",
    "final",
    "exit",
    "factory-reset",
    "system-update",
    "system-update-pre",
    "initrd",
    "initrd-fs",
    "initrd-switch-root",
    "runlevel0",
    "runlevel1",
    "runlevel6",
];

/// The suffixes of directories with links to what a unit starts.
const WANTS: [&str; 3] = [".wants", ".requires", ".upholds"];

/// Settings that name what a unit starts.
const KEYS: [&str; 4] = ["Wants", "Requires", "BindsTo", "Upholds"];

/// All of them, by name.
pub(in crate::facts) fn read(reader: &Reader<'_>) -> Vec<Reached> {
    let mut boot = Boot {
        reader,
        links: links(reader),
        reached: BTreeMap::new(),
    };
    let default = default_target(reader);
    for target in OF_BOOT {
        let graphical = ["graphical", "runlevel5"].contains(&target);
        if !(graphical && default.as_deref() == Some("multi-user.target")) {
            boot.start(&format!("{target}.target"), "the boot", true);
        }
    }
    if let Some(default) = &default {
        boot.start(default, "default.target", true);
    }
    boot.start_owned();
    boot.reached.into_values().collect()
}

/// What `default.target` leads to.
fn default_target(reader: &Reader<'_>) -> Option<String> {
    DIRECTORIES.iter().find_map(|directory| {
        let target = reader.resolve(&format!("{directory}/default.target"))?;
        Some(target.file_name()?.to_str()?.to_owned())
    })
}

/// Links to units, by the unit that starts them.
fn links(reader: &Reader<'_>) -> BTreeMap<String, Vec<String>> {
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for directory in DIRECTORIES {
        for name in reader.names(directory) {
            let owner = WANTS.iter().find_map(|suffix| name.strip_suffix(suffix));
            if let Some(owner) = owner {
                let units = reader.names(&format!("{directory}/{name}")).into_iter();
                let paths = units.map(|unit| format!("{directory}/{name}/{unit}"));
                links.entry(owner.to_owned()).or_default().extend(paths);
            }
        }
    }
    links
}

struct Boot<'r> {
    reader: &'r Reader<'r>,
    links: BTreeMap<String, Vec<String>>,
    reached: BTreeMap<String, Reached>,
}

impl Boot<'_> {
    /// A unit is started, and with it what it wants.
    fn start(&mut self, unit: &str, by: &str, certain: bool) {
        let known = self.reached.get(unit);
        if known.is_some_and(|known| known.certain || !certain) || unit.contains('%') {
            return;
        }
        let own = files::own(self.reader, unit);
        if own.as_ref().is_some_and(files::is_mask) {
            return;
        }
        let reached = Reached {
            unit: unit.to_owned(),
            by: by.to_owned(),
            certain,
        };
        self.reached.insert(unit.to_owned(), reached);
        for path in self.links.get(unit).cloned().unwrap_or_default() {
            self.follow(&path, certain);
        }
        let texts = files::read(self.reader, unit);
        for key in KEYS {
            for (value, source) in files::settings(&texts, "Unit", key) {
                for wanted in value.split_ascii_whitespace() {
                    self.start(wanted, &source.to_string(), certain);
                }
            }
        }
        // What these wait for may happen, or not.
        for (suffix, section, key) in [(".path", "Path", "Unit"), (".socket", "Socket", "Service")]
        {
            let Some(name) = unit.strip_suffix(suffix) else {
                continue;
            };
            let named = files::settings(&texts, section, key).pop();
            let started = named.map_or_else(|| format!("{name}.service"), |(named, _)| named);
            self.start(&started, unit, false);
        }
    }

    /// The unit of a link is started. One that no unit has the name of is read through
    /// the link by some versions only.
    fn follow(&mut self, path: &str, certain: bool) {
        let Some(unit) = path.rsplit('/').next() else {
            return;
        };
        self.start(unit, path, certain);
        let real = self.reader.resolve(path);
        let real = real.as_ref().and_then(|real| real.file_name()?.to_str());
        if let Some(real) = real
            && real != unit
            && !unit.contains('@')
            && files::own(self.reader, unit).is_none()
        {
            self.start(real, path, false);
        }
    }

    /// What units start that nothing is seen to start: of one whose file is not in the
    /// tree it is not known that it is not.
    fn start_owned(&mut self) {
        let owners: Vec<String> = self.links.keys().cloned().collect();
        for owner in owners {
            let target = owner.strip_suffix(".target");
            let never = target.is_some_and(|target| NOT_OF_BOOT.contains(&target));
            if never || self.reached.contains_key(&owner) {
                continue;
            }
            let certain = files::own(self.reader, &owner).is_none();
            for path in self.links.get(&owner).cloned().unwrap_or_default() {
                self.follow(&path, certain);
            }
        }
    }
}
