//! How origins and caveats are said: as text, and in JSON, which has a code for
//! each (docs/json.md).

use std::{fmt, path::Path};

use serde::{Serialize, Serializer};

use crate::{
    facts::writers::Timing,
    say::{
        finding::{Code, Finding, Severity},
        number::number,
    },
    survival::origin::{Actor, Caveat, MissedSetting, ModuleLoad, Origin},
};

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("the kernel, which has conntrack built in"),
            Self::FirstUser => f.write_str("the first rule or program that needs conntrack"),
            Self::Line(source) => source.fmt(f),
            Self::Program(name) => f.write_str(name),
            Self::Service(name) | Self::Writer(name) => f.write_str(name),
            Self::Stop(service) => write!(f, "the stop of {service}"),
            Self::UdevRule(source) => {
                write!(f, "systemd-sysctl, run by the udev rule {source}")
            }
            Self::LoadSysctl(script) => write!(f, "load_sysctl in {}", script.display()),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Origin {
    /// Its code in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "setting",
            Self::Writer { .. } => "writer",
            Self::ModuleOption { .. } => "module_option",
            Self::KernelDefault { .. } => "kernel_default",
            Self::UnknownInit { .. } => "unknown_init",
            Self::RebuiltEtc { .. } => "rebuilt_etc",
            Self::Unordered { .. } => "unordered",
            Self::Current => "current",
            Self::NotLoaded => "not_loaded",
            Self::Unknown { .. } => "unknown",
            Self::BuiltIn(inner) => inner.code(),
        }
    }

    /// The text of the line that decides; without a line, what decides.
    pub fn text(&self) -> &str {
        match self {
            Self::Setting { source, .. }
            | Self::Writer { source, .. }
            | Self::Unknown { source, .. }
            | Self::Unordered { source, .. }
            | Self::ModuleOption { source, .. } => &source.text,
            Self::KernelDefault { .. } => "the kernel's default",
            Self::UnknownInit { .. } | Self::RebuiltEtc { .. } => "not known",
            Self::Current => "the value in force",
            Self::NotLoaded => "conntrack is not loaded",
            Self::BuiltIn(inner) => inner.text(),
        }
    }

    /// The line that decides, if one does, and why it does.
    pub fn sentence(&self) -> String {
        let why = self.why();
        match self.source() {
            Some(source) => format!("{source} says {}; {why}", source.text),
            None => why,
        }
    }

    /// Why it is this that decides.
    pub fn why(&self) -> String {
        match self {
            Self::Setting { by, .. } => {
                format!("{by} sets the limit, and nothing changes it afterwards")
            }
            Self::Writer { title, timing, .. } => match timing {
                Timing::Early | Timing::BeforeFiles | Timing::AfterFiles => {
                    format!("{title} sets the limit early at boot")
                }
                Timing::AtLoad => {
                    format!("{title} sets the limit whenever the module is loaded")
                }
                // A script runs; a program starts.
                Timing::AtStart if title.starts_with('/') => {
                    format!("{title} sets the limit when it runs, after all files are applied")
                }
                Timing::AtStart => {
                    format!("{title} sets the limit when it starts, after all files are applied")
                }
                Timing::Always => format!("{title} resets the limit whenever it differs"),
            },
            Self::ModuleOption { buckets, load, .. } => load.around(&format!(
                "starts with {} buckets by its option hashsize, and with a limit of 8 times that",
                number(*buckets)
            )),
            Self::KernelDefault { known: true, load } => {
                load.around("starts with the kernel's default")
            }
            Self::KernelDefault { known: false, load } => load.around(
                "starts with the kernel's default, which depends on memory and kernel release; these \
                 are unknown here",
            ),
            Self::UnknownInit { init } => format!(
                "this host is started by {init}; ctdrop does not know which settings it applies at \
                 boot"
            ),
            Self::RebuiltEtc { system } => format!(
                "{system} makes /etc anew at each boot; ctdrop does not know which settings it applies then"
            ),
            Self::Unordered { other, .. } => format!(
                "{other} says {}; nothing orders the two, so the limit is unknown",
                other.text
            ),
            Self::Unknown {
                by,
                may_set: Some(max),
                ..
            } => format!(
                "{by} may set {} there, but ctdrop cannot tell whether it runs that line, so the limit is unknown",
                number(*max)
            ),
            Self::Unknown { by, .. } => {
                format!("ctdrop cannot predict what {by} does there, so the limit is unknown")
            }
            Self::Current => "nothing changes the limit".to_owned(),
            Self::NotLoaded => "nothing loads conntrack".to_owned(),
            Self::BuiltIn(inner) => {
                format!("conntrack is built in and cannot be unloaded; {}", inner.why())
            }
        }
    }
}

impl ModuleLoad {
    /// What the module does when it is loaded, with what came before.
    fn around(&self, starts: &str) -> String {
        let what = match &self.unloaded {
            Some((by, Some(source))) => {
                format!("{by} unloads the module ({source}); when it is loaded again, it {starts}")
            }
            Some((by, None)) => {
                format!("{by} unloads the module; when it is loaded again, it {starts}")
            }
            None => format!("conntrack {starts}"),
        };
        match &self.missed {
            Some(MissedSetting { source, by, value }) => {
                let value = value.map_or_else(String::new, |value| format!(" ({})", number(value)));
                format!(
                    "{what}; {by} applied {source}{value} too early, before conntrack was loaded"
                )
            }
            None => what,
        }
    }
}

/// As it is in JSON.
#[derive(Serialize)]
struct OriginReport<'a> {
    code: &'static str,
    file: Option<&'a Path>,
    line: Option<u32>,
    text: &'a str,
    why: String,
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = self.source();
        let report = OriginReport {
            code: self.code(),
            file: source.map(|source| source.file.as_path()),
            line: source.map(|source| source.line),
            text: self.text(),
            why: self.why(),
        };
        report.serialize(serializer)
    }
}

impl Caveat {
    /// Its code in JSON.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::NotCaptured(_) => "not_captured",
            Self::InstallCommand(_) => "install_command",
            Self::KeptOut(_) => "kept_out",
            Self::UdevRace(_) => "udev_race",
            Self::NoOrder => "no_order",
            Self::Unsorted(_) => "unsorted",
            Self::NameUnknown(_) => "name_unknown",
            Self::Pattern(_) => "pattern",
            Self::KeptLoaded(_) => "kept_loaded",
            Self::ComputedList { .. } => "computed_list",
            Self::FilePattern { .. } => "file_pattern",
            Self::Prefixed { .. } => "prefixed",
            Self::StartFails { .. } => "start_fails",
            Self::NeedsBridge { .. } => "needs_bridge",
        }
    }

    /// As a finding.
    pub fn finding(&self) -> Finding {
        Finding::new(
            Code::PredictionIncomplete,
            Severity::Info,
            format!("the prediction is incomplete: {}", self.about()),
            self.to_string(),
            self.remedy(),
        )
    }

    /// The file or the service that it is about.
    fn about(&self) -> String {
        match self {
            Self::Unreadable(unreadable) => unreadable.path.display().to_string(),
            Self::NotCaptured(directory) | Self::Unsorted(directory) => (*directory).to_owned(),
            Self::InstallCommand(source)
            | Self::KeptOut(source)
            | Self::UdevRace(source)
            | Self::NameUnknown(source)
            | Self::Pattern(source)
            | Self::ComputedList { source, .. } => source.to_string(),
            Self::Prefixed { setting, .. }
            | Self::StartFails { setting, .. }
            | Self::NeedsBridge { setting, .. } => setting.to_string(),
            Self::NoOrder => "two names of the limit".to_owned(),
            Self::KeptLoaded(service) => format!("a restart of {service}"),
            Self::FilePattern { list, .. } => list.clone(),
        }
    }

    /// What makes it complete.
    fn remedy(&self) -> String {
        match self {
            Self::Unreadable(unreadable) => unreadable.remedy.to_owned(),
            Self::NotCaptured(directory) => {
                format!("copy {directory} into the tree: docs/status.md has a recipe")
            }
            Self::InstallCommand(source) => {
                format!("delete the line {source}, or read what its command does")
            }
            Self::KeptOut(_) => "delete the line if this host needs conntrack".to_owned(),
            Self::UdevRace(_) => {
                "let the module option hashsize set the limit after a reload: it does \
                                  not depend on the rule"
                    .to_owned()
            }
            Self::NoOrder => {
                "set both names to the same value, or delete one of the lines".to_owned()
            }
            Self::Unsorted(directory) => {
                format!("set the limit in a single file of {directory}")
            }
            Self::NameUnknown(_) => {
                "copy /boot/config-* of the kernel into the tree, or set the limit by \
                                     a name that sysctl -a lists on that host"
                    .to_owned()
            }
            Self::Pattern(_) => "write the name of the sysctl in full".to_owned(),
            Self::KeptLoaded(_) => "read the limit after the next restart: sysctl -a | grep \
                                    conntrack_max"
                .to_owned(),
            Self::ComputedList { list, .. } => {
                format!("write the value of {list} without variables and commands")
            }
            Self::FilePattern { list, .. } => format!("write {list} without *, ? and ["),
            Self::Prefixed { .. } => {
                "update the package of the script, or set the module option hashsize".to_owned()
            }
            Self::StartFails { setting, .. } => format!("correct or delete the line {setting}"),
            Self::NeedsBridge { setting, .. } => {
                format!("load br_netfilter at boot, or delete the line {setting}")
            }
        }
    }
}

impl fmt::Display for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(unreadable) => write!(f, "cannot read {unreadable}"),
            Self::NotCaptured(directory) => write!(f, "the tree has no {directory}"),
            Self::InstallCommand(source) => write!(
                f,
                "{source} runs a command instead of loading the module; its effect is unknown"
            ),
            Self::KeptOut(source) => {
                write!(f, "because of {source}, modprobe does not load conntrack")
            }
            Self::UdevRace(source) => write!(
                f,
                "before Linux 5.11 the udev rule {source} may run before the module is ready, so \
                 ctdrop does not rely on it"
            ),
            Self::NoOrder => f.write_str(
                "the limit has different values under two names, and this version of \
                 systemd-sysctl applies them in no fixed order",
            ),
            Self::Unsorted(directory) => write!(
                f,
                "more than one file of {directory} sets the limit, and they are applied in no fixed \
                 order"
            ),
            Self::NameUnknown(source) => write!(
                f,
                "{source} sets the limit by a name that not every kernel before 4.9 has, and neither \
                 /proc/sys nor /boot/config-* shows whether this kernel has it"
            ),
            Self::Pattern(source) => write!(
                f,
                "{source} is a pattern that may match the limit; ctdrop cannot tell whether the line sets \
                 the limit"
            ),
            Self::KeptLoaded(service) => write!(
                f,
                "while {service} runs, its rules may keep the module loaded, and with it the limit"
            ),
            Self::ComputedList { list, source } => write!(
                f,
                "ctdrop cannot evaluate {source} ({}), so the value of {list} is unknown",
                source.text
            ),
            Self::FilePattern { word, list } => write!(
                f,
                "the shell treats {word} in {list} as a pattern of file names"
            ),
            Self::Prefixed { script, setting } => write!(
                f,
                "{script} puts the file name before each line, so {setting} is not applied"
            ),
            Self::StartFails { setting, service } => write!(
                f,
                "{setting} cannot be applied, so the start of {service} fails although its rules \
                 are loaded"
            ),
            Self::NeedsBridge { setting, service } => write!(
                f,
                "{setting} needs the module br_netfilter; without it the start of {service} fails"
            ),
        }
    }
}

/// As it is in JSON.
#[derive(Serialize)]
struct CaveatReport {
    code: &'static str,
    text: String,
}

impl Serialize for Caveat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = CaveatReport {
            code: self.code(),
            text: self.to_string(),
        };
        report.serialize(serializer)
    }
}
