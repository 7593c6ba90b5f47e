//! What decides a limit, and why a prediction of it may be wrong.

use std::path::PathBuf;

use crate::facts::{Source, Unreadable, writers::Timing};

/// Who does something to the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The kernel itself, which has conntrack built in.
    Kernel,
    /// The first rule or program that needs conntrack.
    FirstUser,
    /// A line of a file that names the module.
    Line(Source),
    /// A program.
    Program(&'static str),
    /// Somebody else who writes the limit ([`title`](crate::facts::writers::Writer::title)).
    Writer(String),
    /// The start of a service.
    Service(String),
    /// The stop of a service.
    Stop(String),
    /// `systemd-sysctl`, run by this udev rule.
    UdevRule(Source),
    /// The function `load_sysctl` in this script.
    LoadSysctl(PathBuf),
}

/// What decides a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of a settings file.
    Setting {
        /// The line.
        source: Source,
        /// What applies it.
        by: Actor,
    },
    /// Somebody else who writes the limit.
    Writer {
        /// The line that makes them write this.
        source: Source,
        /// What to call them ([`title`](crate::facts::writers::Writer::title)).
        title: String,
        /// When they write.
        timing: Timing,
    },
    /// The option `hashsize` of the module.
    ModuleOption {
        /// Its line.
        source: Source,
        /// Buckets that the module makes.
        buckets: u64,
        /// How the module was loaded.
        load: ModuleLoad,
    },
    /// The kernel's own choice.
    KernelDefault {
        /// Whether memory and release are known, which it depends on.
        known: bool,
        /// How the module was loaded.
        load: ModuleLoad,
    },
    /// Nobody knows which settings are applied at boot.
    UnknownInit {
        /// What starts the host ([`name`](crate::facts::init::Init::name)).
        init: &'static str,
    },
    /// The files that decide are made anew before the boot.
    RebuiltEtc {
        /// What makes them ([`name`](crate::facts::appliance::Appliance::name)).
        system: &'static str,
    },
    /// Two lines set different limits, and nothing says which comes last.
    Unordered {
        /// The one.
        source: Source,
        /// The other.
        other: Source,
    },
    /// Something that cannot be told: what the shell makes of a script, or what a
    /// program or the kernel makes of a setting.
    Unknown {
        /// The line.
        source: Source,
        /// Who runs it.
        by: Actor,
        /// The limit that it sets if it comes to run, which is not known; none if what
        /// it sets is not known.
        may_set: Option<u64>,
    },
    /// The value in force, which nothing changes.
    Current,
    /// Nothing: conntrack is not loaded.
    NotLoaded,
    /// As the inner one says: conntrack is built in, so that no reload is
    /// possible.
    BuiltIn(Box<Self>),
}

/// What came before the module was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleLoad {
    /// Who had unloaded it just before, and the line that made them.
    pub unloaded: Option<(Actor, Option<Source>)>,
    /// A setting that was applied too early: before the module was loaded.
    pub missed: Option<MissedSetting>,
}

/// A setting of the limit that was applied before conntrack was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedSetting {
    /// Its line.
    pub source: Source,
    /// What applied it.
    pub by: Actor,
    /// The limit in it, if it is a number.
    pub value: Option<u64>,
}

impl Origin {
    /// What decides, whether or not conntrack is built in.
    pub fn inner(&self) -> &Self {
        match self {
            Self::BuiltIn(inner) => inner.inner(),
            origin => origin,
        }
    }

    /// The line that decides; none if none does.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Setting { source, .. }
            | Self::Writer { source, .. }
            | Self::Unknown { source, .. }
            | Self::Unordered { source, .. }
            | Self::ModuleOption { source, .. } => Some(source),
            Self::KernelDefault { .. }
            | Self::UnknownInit { .. }
            | Self::RebuiltEtc { .. }
            | Self::Current
            | Self::NotLoaded => None,
            Self::BuiltIn(inner) => inner.source(),
        }
    }
}

/// Why a prediction may be wrong, or is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caveat {
    /// A file cannot be read.
    Unreadable(Unreadable),
    /// The tree lacks a directory that every host has.
    NotCaptured(&'static str),
    /// This line runs a command in place of loading the module.
    InstallCommand(Source),
    /// This line makes modprobe do nothing in place of loading the module.
    KeptOut(Source),
    /// This udev rule may come before the module is ready.
    UdevRace(Source),
    /// Two names of the limit have different values, and are set in no order.
    NoOrder,
    /// Files of this directory set different limits, and are applied in no order.
    Unsorted(&'static str),
    /// This line sets the limit by a name that this kernel may not have.
    NameUnknown(Source),
    /// This line is a pattern that the limit matches.
    Pattern(Source),
    /// Another service may keep the module loaded while this one restarts.
    KeptLoaded(&'static str),
    /// A list that only the shell can tell.
    ComputedList {
        /// The list.
        list: String,
        /// The line because of which that is so.
        source: Source,
    },
    /// A word of a list that the shell takes for a pattern of file names.
    FilePattern {
        /// The word.
        word: String,
        /// The list.
        list: String,
    },
    /// A script puts the name of the file before a line, so that nobody
    /// understands it.
    Prefixed {
        /// The line of the script.
        script: Source,
        /// The setting.
        setting: Source,
    },
    /// A setting cannot be applied, which makes the start of a service fail.
    StartFails {
        /// The setting.
        setting: Source,
        /// The service.
        service: &'static str,
    },
    /// A setting needs the module `br_netfilter`, or the start of a service fails.
    NeedsBridge {
        /// The setting.
        setting: Source,
        /// The service.
        service: &'static str,
    },
}
