//! Module options, modules that are loaded early at boot, and what is done when
//! a module has been loaded.

use serde::Serialize;

use crate::{
    facts::{
        init::Init,
        lines::{Format, joined},
        modprobe::{brings_conntrack, loads_conntrack},
        reader::{Reader, Source, TextFile},
        services::Services,
        systemd,
    },
    kernel::generation::Generation,
};

/// What is configured about the conntrack module.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Modules {
    /// Its option `hashsize`, the one that counts.
    pub hashsize: Option<Hashsize>,
    /// Options that the module does not have.
    pub unknown_options: Vec<Source>,
    /// Options for the module under the name that it has on other kernels.
    pub other_generation: Vec<Source>,
    /// A command that is run instead of loading it.
    pub install: Option<Source>,
    /// What loads it before sysctls are set at boot.
    pub early: Option<Source>,
    /// udev rules that set sysctls when it has been loaded.
    pub udev: Vec<UdevRule>,
}

/// The option `hashsize`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hashsize {
    /// Buckets wanted.
    pub buckets: u64,
    /// The line.
    pub source: Source,
}

/// A udev rule that sets sysctls when the module has been loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UdevRule {
    /// The rule.
    pub source: Source,
    /// Only settings below these paths are set; all if there are none.
    pub prefixes: Vec<String>,
}

/// Parameters of module `nf_conntrack`, and of `ip_conntrack`, which has the
/// first only.
const PARAMETERS: [&str; 8] = [
    "hashsize",
    "expect_hashsize",
    "acct",
    "nf_conntrack_helper",
    "tstamp",
    "enable_hooks",
    "events",
    "dyndbg",
];

impl Modules {
    pub(super) fn read(
        reader: &Reader<'_>,
        (init, services): (&Init, &Services),
        generation: Generation,
    ) -> Self {
        let mut modules = Self::default();
        for text in option_files(reader, init) {
            modules.take_options(&text, generation);
        }
        if *init == Init::Procd {
            for text in kmodloader_lists(reader) {
                modules.take_kmodloader(&text, generation);
            }
        }
        if let Some(cmdline) = reader.text("/proc/cmdline") {
            modules.take_cmdline(&cmdline, generation);
        }
        if services.reads_module_lists(init) && modules.early.is_none() {
            modules.early = early(reader, init);
        }
        modules.udev = udev(reader);
        modules
    }

    /// The line that makes modprobe do nothing in place of loading the module.
    pub fn kept_out(&self) -> Option<&Source> {
        self.install.as_ref().filter(|install| {
            let mut words = install.text.split_ascii_whitespace().skip(2);
            let command = words.next().unwrap_or_default();
            let name = command.rsplit('/').next().unwrap_or_default();
            ["true", "false", ":"].contains(&name) && words.next().is_none()
        })
    }

    /// modprobe.d(5). Options of several lines are put one after the other, and
    /// of one that comes twice the kernel keeps the last.
    fn take_options(&mut self, text: &TextFile, generation: Generation) {
        for (number, line) in joined(&text.text, Format::Modprobe) {
            let mut words = line.split_ascii_whitespace();
            let command = words.next();
            let module = words.next().unwrap_or_default().replace('-', "_");
            let source = || text.source(number, &line);
            match command {
                Some("options") if module == generation.module() => {
                    for option in words {
                        self.take_option(option, source());
                    }
                }
                Some("options") if module == generation.other().module() => {
                    self.other_generation.push(source());
                }
                Some("install") if module == generation.module() => self.install = Some(source()),
                _ => {}
            }
        }
    }

    /// A list of modules with their options (ubox `kmodloader.c: main_loader`).
    fn take_kmodloader(&mut self, text: &TextFile, generation: Generation) {
        for (number, line) in text.lines() {
            let mut words = line.split(' ');
            let module = words.next().unwrap_or_default().replace('-', "_");
            if module == generation.module() {
                for option in words.filter(|option| !option.is_empty()) {
                    self.take_option(option, text.source(number, line));
                }
            }
        }
    }

    fn take_option(&mut self, option: &str, source: Source) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if name == "hashsize" {
            if let Ok(buckets) = value.parse()
                && buckets > 0
            {
                self.hashsize = Some(Hashsize { buckets, source });
            } else {
                self.unknown_options.push(source);
            }
        } else if !PARAMETERS.contains(&name) {
            self.unknown_options.push(source);
        }
    }

    fn take_cmdline(&mut self, cmdline: &TextFile, generation: Generation) {
        for word in cmdline.text.split_ascii_whitespace() {
            let source = cmdline.source(1, word);
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            if name == "modules-load" || name == "modules_load" {
                if value.split(',').any(brings_conntrack) {
                    self.early = Some(source);
                }
            } else if let Some((module, option)) = name.split_once('.')
                && module.replace('-', "_") == generation.module()
            {
                self.take_option(&format!("{option}={value}"), source);
            }
        }
    }
}

/// The files with module options, in the order in which they are read.
fn option_files(reader: &Reader<'_>, init: &Init) -> Vec<TextFile> {
    // kmodloader has one file (ubox `kmodloader.c: load_options`).
    if *init == Init::Procd {
        return reader.text("/etc/modules.conf").into_iter().collect();
    }
    // module-init-tools read files of any suffix, kmod does not.
    let old = matches!(init, Init::RcSysinit { .. } | Init::SuseBoot);
    let mut files = Vec::new();
    if old {
        files.extend(reader.text("/etc/modprobe.conf"));
    }
    let directories = [
        "/etc/modprobe.d",
        "/run/modprobe.d",
        "/usr/local/lib/modprobe.d",
        "/usr/lib/modprobe.d",
        "/lib/modprobe.d",
    ];
    files.extend(masking(reader, &directories, |name| {
        if old {
            !name.starts_with('.') && !name.ends_with('~') && !name.contains(".rpm")
        } else {
            name.strip_suffix(".conf").is_some()
        }
    }));
    files
}

/// What kmodloader loads at boot.
fn kmodloader_lists(reader: &Reader<'_>) -> Vec<TextFile> {
    let names = reader.names("/etc/modules.d").into_iter();
    names
        .filter(|name| !name.starts_with('.'))
        .filter_map(|name| reader.text(&format!("/etc/modules.d/{name}")))
        .collect()
}

/// Files of several directories by name; of those that have the same name the
/// first counts.
pub(super) fn masking(
    reader: &Reader<'_>,
    directories: &[&str],
    wanted: impl Fn(&str) -> bool,
) -> Vec<TextFile> {
    let mut names: Vec<(String, String)> = Vec::new();
    for directory in directories {
        for name in reader.names(directory) {
            if wanted(&name) && !names.iter().any(|(known, _)| *known == name) {
                let path = format!("{directory}/{name}");
                names.push((name, path));
            }
        }
    }
    names.sort();
    names
        .iter()
        .filter_map(|(_, path)| reader.text(path))
        .collect()
}

/// What loads conntrack before sysctls are set at boot.
fn early(reader: &Reader<'_>, init: &Init) -> Option<Source> {
    let listed = |text: &TextFile| {
        text.first(|line| {
            let name = line.split_ascii_whitespace().next().unwrap_or_default();
            !name.starts_with(['#', ';']) && brings_conntrack(name)
        })
    };
    let load_d = || {
        let directories = [
            "/etc/modules-load.d",
            "/run/modules-load.d",
            "/usr/local/lib/modules-load.d",
            "/usr/lib/modules-load.d",
            "/lib/modules-load.d",
        ];
        masking(reader, &directories, |name| {
            name.strip_suffix(".conf").is_some()
        })
        .iter()
        .find_map(listed)
    };
    let modules = || reader.text("/etc/modules").and_then(|text| listed(&text));
    match init {
        Init::Systemd { .. } => load_d().or_else(|| by_unit(reader)),
        Init::Runit | Init::S6 => load_d(),
        Init::DebianSysV => modules(),
        Init::Upstart => modules().or_else(load_d),
        Init::Procd => kmodloader_lists(reader).iter().find_map(listed),
        // Where the module is loaded before settings are applied is not known.
        Init::Slackware | Init::SuseBoot | Init::Synology | Init::Qnap | Init::Unknown => None,
        Init::OpenRc { .. } => load_d().or_else(modules).or_else(|| {
            let text = reader.text("/etc/conf.d/modules")?;
            text.first(|line| {
                let code = line.trim();
                code.starts_with("modules")
                    && code.split(['"', '\'', ' ', '=']).any(brings_conntrack)
            })
        }),
        Init::BusyboxInit => {
            let names = reader.names("/etc/init.d");
            let before = names.iter().filter(|name| {
                name.starts_with('S') && name.as_str() < "S02sysctl" && name.len() > 2
            });
            loaded_by(reader, before.map(|name| format!("/etc/init.d/{name}")))
        }
        Init::RcSysinit { .. } => {
            let names = reader.names("/etc/sysconfig/modules");
            let scripts = names
                .iter()
                .filter(|name| name.ends_with(".modules"))
                .map(|name| format!("/etc/sysconfig/modules/{name}"))
                .chain(["/etc/rc.modules".to_owned()]);
            loaded_by(reader, scripts)
        }
    }
}

/// The first command of a unit that loads conntrack before files are applied.
fn by_unit(reader: &Reader<'_>) -> Option<Source> {
    let mut commands = systemd::early::commands(reader).into_iter();
    let found = commands.find(|(command, _)| loads_conntrack(command));
    found.map(|(_, source)| source)
}

/// The first line of scripts that loads conntrack.
fn loaded_by(reader: &Reader<'_>, scripts: impl Iterator<Item = String>) -> Option<Source> {
    scripts
        .filter_map(|script| reader.text(&script))
        .filter(|text| text.executable)
        .find_map(|text| {
            text.first(|line| !line.trim_start().starts_with('#') && loads_conntrack(line))
        })
}

/// Rules that run systemd-sysctl when module `nf_conntrack` has been added.
fn udev(reader: &Reader<'_>) -> Vec<UdevRule> {
    let directories = [
        "/etc/udev/rules.d",
        "/run/udev/rules.d",
        "/usr/local/lib/udev/rules.d",
        "/usr/lib/udev/rules.d",
        "/lib/udev/rules.d",
    ];
    let files = masking(reader, &directories, |name| {
        name.strip_suffix(".rules").is_some()
    });
    let mut rules = Vec::new();
    for text in &files {
        for (number, line) in joined(&text.text, Format::Modprobe) {
            let compact: String = line.chars().filter(|letter| *letter != ' ').collect();
            if compact.contains("SUBSYSTEM==\"module\"")
                && line.contains("nf_conntrack")
                && line.contains("systemd-sysctl")
            {
                let prefixes = line
                    .split(['"', ' ', '\t'])
                    .filter_map(|word| word.strip_prefix("--prefix="))
                    .map(str::to_owned)
                    .collect();
                rules.push(UdevRule {
                    source: text.source(number, &line),
                    prefixes,
                });
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Modules {
        let mut modules = Modules::default();
        let text = TextFile {
            file: "/etc/modprobe.d/x.conf".into(),
            text: text.to_owned(),
            executable: false,
        };
        modules.take_options(&text, Generation::NfConntrack);
        modules
    }

    #[test]
    fn the_last_hashsize_counts() {
        let found = options(
            "options nf_conntrack hashsize=1024 acct=1\n#options nf_conntrack hashsize=1\n\
             options nf-conntrack \\\n  hashsize=65536\noptions other hashsize=7\n",
        );
        let hashsize = found.hashsize.unwrap();
        assert_eq!((hashsize.buckets, hashsize.source.line), (65_536, 3));
        assert!(found.unknown_options.is_empty());
    }

    #[test]
    fn options_that_do_not_exist_are_told() {
        let found = options("options nf_conntrack nf_conntrack_max=1048576\n");
        assert_eq!(found.unknown_options.len(), 1);
        assert_eq!(
            options("options nf_conntrack hashsize=many\n")
                .unknown_options
                .len(),
            1
        );
        assert_eq!(
            options("options ip_conntrack hashsize=9\n")
                .other_generation
                .len(),
            1
        );
        assert!(
            options("install nf_conntrack /bin/true\n")
                .install
                .is_some()
        );
        let kept_out = |command| {
            let found = options(&format!("install nf_conntrack {command}\n"));
            found.kept_out().is_some()
        };
        assert!(kept_out("/bin/true") && kept_out("/usr/bin/false") && kept_out(":"));
        assert!(!kept_out("/sbin/modprobe --ignore-install nf_conntrack"));
        assert!(!kept_out("/bin/true; /sbin/modprobe -i nf_conntrack"));
    }
}
