//! The services `iptables` and `ip6tables` of Enterprise Linux and Fedora: what
//! their script does at start and stop, by reading the script that is installed,
//! and how it is configured.
//!
//! Versions are no guide: rebuilds and local changes exist. The script's own
//! lines are.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    facts::{
        init::Init,
        reader::{Reader, Source, TextFile},
        rules,
        shell::{Configured, Dialect, Files, LookAlike, Value},
    },
    kernel::generation::Generation,
};

/// A service that loads rules with `iptables-restore`.
#[derive(Clone, Debug, Serialize)]
pub struct IptablesService {
    /// `iptables` or `ip6tables`.
    pub name: &'static str,
    /// The script that starts and stops it.
    pub script: PathBuf,
    /// How the script sets sysctls again at start; none if it does not.
    pub load: Option<LoadSysctl>,
    /// What the script unloads conntrack with when it stops; none if it does not.
    pub unload: Option<Source>,
    /// `IPTABLES_MODULES_UNLOAD`, by the script or by the configuration.
    pub unload_setting: Setting,
    /// `IPTABLES_SYSCTL_LOAD_LIST`.
    pub list: Setting,
    /// `IPTABLES_MODULES`: modules that are loaded at start.
    pub modules: Setting,
    /// The configuration file; none if there is none.
    pub config: Option<PathBuf>,
    /// Letters in it that look like quotes and are none.
    pub look_alikes: Vec<Source>,
    /// A saved rule that needs conntrack.
    pub rule: Option<Source>,
    /// Whether there are saved rules: without, nothing is started.
    pub has_rules: bool,
    /// Whether its stop does nothing if no rules were loaded: then a restart without
    /// saved rules does nothing.
    pub idle_without_rules: bool,
}

/// How sysctls are set again at start: lines that have one of the words of
/// `IPTABLES_SYSCTL_LOAD_LIST` in them are given to `sysctl -p -`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadSysctl {
    /// The line of the script.
    pub source: Source,
    /// The files that are searched; the last part may be a pattern.
    pub files: Vec<String>,
    /// Whether what is found is put after the name of its file, so that no line
    /// can be understood: several files, and no `-h`.
    pub prefixed: bool,
    /// Whether the service fails if a setting cannot be set.
    pub failure_is_fatal: bool,
}

/// A variable of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its value; none if it is not set, or only the shell could tell.
    pub value: Option<String>,
    /// Where it is set; none if nowhere.
    pub source: Option<Source>,
    /// Whether only the shell could tell the value.
    pub computed: bool,
    /// An assignment that has no effect, as a command follows it on the line.
    pub lost: Option<Source>,
}

impl Setting {
    fn of(configured: &Configured, name: &str) -> Self {
        let value = configured.value(name);
        Self {
            value: value.text().map(str::to_owned),
            source: value.source().cloned(),
            computed: matches!(value, Value::Unknown(_)),
            lost: configured.lost(name).cloned(),
        }
    }

    /// The line that keeps its value from being known; none if it is known.
    pub fn unknown(&self) -> Option<&Source> {
        self.source.as_ref().filter(|_| self.computed)
    }
}

/// What the script of a service can read: its configuration, and nothing else.
struct Sourced<'c> {
    path: &'c str,
    config: Option<&'c TextFile>,
}

impl Files for Sourced<'_> {
    fn read(&self, path: &str) -> Option<TextFile> {
        self.config.filter(|_| path == self.path).cloned()
    }

    fn exists(&self, path: &str) -> Option<bool> {
        (path == self.path).then_some(self.config.is_some())
    }

    fn names(&self, _: &str) -> Option<Vec<String>> {
        None
    }
}

/// Where the program of kmod is.
const KMOD: [&str; 4] = ["/bin/kmod", "/usr/bin/kmod", "/sbin/kmod", "/usr/sbin/kmod"];

/// What the configuration of both sets, after the name of the service.
const SETTINGS: [&str; 3] = ["MODULES_UNLOAD", "SYSCTL_LOAD_LIST", "MODULES"];

/// Both services, as far as they are installed.
pub(super) fn read(
    reader: &Reader<'_>,
    init: &Init,
    generation: Generation,
) -> Vec<IptablesService> {
    // Every release with systemd has kmod in place of module-init-tools.
    let has_kmod = init.is_systemd() || KMOD.iter().any(|path| reader.exists(path));
    ["iptables", "ip6tables"]
        .into_iter()
        .filter_map(|name| IptablesService::read(reader, name, (generation, has_kmod)))
        .collect()
}

impl IptablesService {
    fn read(
        reader: &Reader<'_>,
        name: &'static str,
        (generation, has_kmod): (Generation, bool),
    ) -> Option<Self> {
        let script = [
            format!("/usr/libexec/iptables/{name}.init"),
            format!("/usr/libexec/{name}.init"),
            format!("/etc/rc.d/init.d/{name}"),
            format!("/etc/init.d/{name}"),
        ]
        .iter()
        .find_map(|path| reader.text(path))
        // OpenRC has a service of this name, which does other things.
        .filter(|script| {
            !script
                .text
                .lines()
                .next()
                .is_some_and(|line| line.contains("openrc"))
        })?;
        let path = format!("/etc/sysconfig/{name}-config");
        let config = reader.text(&path);
        let rules = reader.text(&format!("/etc/sysconfig/{name}"));
        let prefix = name.to_ascii_uppercase();
        let variables = SETTINGS.map(|setting| format!("{prefix}_{setting}"));
        let files = Sourced {
            path: &path,
            config: config.as_ref(),
        };
        let configured = Configured::by(&script, &path, &variables, (&files, Dialect::Bash));
        let [unload_setting, list, modules] =
            variables.map(|variable| Setting::of(&configured, &variable));
        Some(Self {
            name,
            load: load_sysctl(&script),
            unload: unload(&script, &prefix, name, generation)
                .filter(|_| !(has_kmod && finds_users_by_module_init_tools(&script))),
            unload_setting,
            list,
            modules,
            look_alikes: config.as_ref().map(look_alikes).unwrap_or_default(),
            rule: rules.as_ref().and_then(rules::needs_conntrack),
            has_rules: rules.is_some(),
            idle_without_rules: script
                .first(|line| {
                    is_code(line) && line.contains("_NAMES\" ]") && line.contains("return")
                })
                .is_some(),
            script: script.file,
            config: config.map(|config| config.file),
        })
    }

    /// The words of `IPTABLES_SYSCTL_LOAD_LIST`.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let list = self.list.value.as_deref().unwrap_or_default();
        // As the shell splits: a carriage return is a part of a word.
        list.split([' ', '\t', '\n'])
            .filter(|word| !word.is_empty())
    }

    /// Whether it unloads conntrack when it stops.
    pub fn unloads(&self) -> bool {
        self.unload.is_some() && self.unload_setting.value.as_deref() == Some("yes")
    }

    /// The line that keeps it from being known whether it unloads conntrack.
    pub fn may_unload(&self) -> Option<&Source> {
        self.unload_setting
            .unknown()
            .filter(|_| self.unload.is_some())
    }

    /// Whether conntrack is loaded once it has started.
    pub fn loads_conntrack(&self) -> bool {
        self.has_rules && (self.rule.is_some() || self.loads_by_name())
    }

    /// Whether conntrack is among the modules that it loads before rules and
    /// sysctls.
    pub fn loads_by_name(&self) -> bool {
        let modules = self.modules.value.as_deref().unwrap_or_default();
        modules
            .split([' ', '\t', '\n'])
            .any(super::modprobe::brings_conntrack)
    }
}

fn look_alikes(config: &TextFile) -> Vec<Source> {
    let mut lines: Vec<u32> = LookAlike::find(&config.text)
        .iter()
        .map(|found| found.line)
        .collect();
    lines.dedup();
    lines
        .into_iter()
        .filter_map(|line| {
            let text = config.text.lines().nth(line as usize - 1)?;
            Some(config.source(line, text))
        })
        .collect()
}

fn is_code(line: &str) -> bool {
    !line.trim_start().starts_with('#')
}

/// Finds the line `fgrep … $item FILES | sysctl -p -`.
fn load_sysctl(script: &TextFile) -> Option<LoadSysctl> {
    let lines: Vec<(u32, &str)> = script.lines().collect();
    let at = lines.iter().position(|(_, line)| {
        is_code(line) && line.contains("sysctl -p -") && search(line).is_some()
    })?;
    let (number, line) = lines[at];
    let words = search(line)?;
    let flags = || words.iter().skip(1).filter(|word| word.starts_with('-'));
    let files: Vec<String> = words
        .iter()
        .filter(|word| word.starts_with('/'))
        .map(|word| (*word).to_owned())
        .collect();
    let several = files.len() > 1 || files.iter().any(|file| file.contains('*'));
    let named = flags().any(|flag| !flag.starts_with("--") && flag.contains('h'))
        || flags().any(|flag| *flag == "--no-filename");
    // The function begins above; a result of its own does not reach `start`.
    let function = lines[..at]
        .iter()
        .rev()
        .take_while(|(_, line)| line.trim_end() != "}");
    let own_result = function
        .filter(|(_, line)| is_code(line))
        .any(|(_, line)| line.trim_start().starts_with("local ret"));
    Some(LoadSysctl {
        source: script.source(number, line),
        prefixed: several && !named,
        files,
        failure_is_fatal: !own_result,
    })
}

/// The words of a search for fixed text whose result is given on.
fn search(line: &str) -> Option<Vec<&str>> {
    let (left, _) = line.split_once('|')?;
    let command = left.find("grep")?;
    let start = left[..command]
        .rfind(|c: char| c.is_ascii_whitespace() || c == '(' || c == '`' || c == ';')
        .map_or(0, |at| at + 1);
    let words: Vec<&str> = left[start..].split_ascii_whitespace().collect();
    words.get(1)?;
    Some(words)
}

/// Finds what unloads conntrack, which only happens if
/// `IPTABLES_MODULES_UNLOAD` is asked for.
fn unload(script: &TextFile, prefix: &str, name: &str, generation: Generation) -> Option<Source> {
    let variable = format!("{prefix}_MODULES_UNLOAD");
    let asks = |line: &str| {
        is_code(line) && line.contains(&variable) && (line.contains('[') || line.contains("test "))
    };
    let asked = script.first(asks)?;
    let module = generation.module();
    // The oldest scripts name the module after the protocol: ip6_conntrack is
    // another one.
    let family = if name == "iptables" { "ip" } else { "ip6" };
    let unloads = script
        .lines()
        .filter(|(_, line)| is_code(line))
        .any(|(_, line)| {
            line.replace("${IPV}", family)
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .any(|word| word == module)
        });
    unloads.then_some(asked)
}

/// Whether a script asks for the program module-init-tools before it looks for the
/// modules that use another one: where kmod is in its place, it finds none, so that
/// those stay loaded, and conntrack with them (iptables of Enterprise Linux 7 up to
/// 1.4.21-16).
fn finds_users_by_module_init_tools(script: &TextFile) -> bool {
    let asks = |line: &str| is_code(line) && line.contains("module-init-tools");
    script.first(asks).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> TextFile {
        TextFile {
            file: "/etc/init.d/iptables".into(),
            text: text.to_owned(),
            executable: true,
        }
    }

    fn load(line: &str) -> LoadSysctl {
        let text = format!(
            "load_sysctl() {{\n    # load matched settings\n    for item in $LIST; do\n\t{line}\n    done\n}}\n"
        );
        load_sysctl(&script(&text)).unwrap()
    }

    #[test]
    fn which_files_are_searched() {
        let el5 = load("fgrep $item /etc/sysctl.conf | sysctl -p - >/dev/null");
        assert_eq!(el5.files, ["/etc/sysctl.conf"]);
        assert_eq!(el5.source.line, 4);
        assert!(!el5.prefixed && el5.failure_is_fatal);
        let el6 =
            load("fgrep -hs $item /etc/sysctl.conf /etc/sysctl.d/*.conf | sysctl -p - >/dev/null");
        assert_eq!(el6.files, ["/etc/sysctl.conf", "/etc/sysctl.d/*.conf"]);
        assert!(!el6.prefixed);
        let broken = load("fgrep $item /etc/sysctl.d/* | sysctl -p - >/dev/null");
        assert!(
            broken.prefixed,
            "each line begins with the name of its file"
        );
        let quoted = load("grep -F -h \"$item\" /etc/sysctl.d/*.conf 2>/dev/null | sysctl -p -");
        assert_eq!(quoted.files, ["/etc/sysctl.d/*.conf"]);
        assert!(!quoted.prefixed);
    }

    #[test]
    fn whether_a_failure_is_kept() {
        let text = "other() {\n    local ret=0\n}\nload_sysctl() {\n    ret=0\n    fgrep -hs $item /etc/sysctl.d/* | sysctl -p - >/dev/null\n}\n";
        assert!(load_sysctl(&script(text)).unwrap().failure_is_fatal);
        let text = "load_sysctl() {\n    local ret=0\n    for item in x; do\n    fgrep -hs $item /etc/sysctl.d/* | sysctl -p - >/dev/null\n}\n";
        assert!(!load_sysctl(&script(text)).unwrap().failure_is_fatal);
    }

    #[test]
    fn scripts_without() {
        assert_eq!(load_sysctl(&script("#!/bin/sh\nsysctl -p -\n")), None);
        assert_eq!(
            load_sysctl(&script("# fgrep $item /etc/sysctl.conf | sysctl -p -\n")),
            None
        );
    }

    #[test]
    fn what_is_unloaded() {
        let el5 = script(
            "if [ \"x$IPTABLES_MODULES_UNLOAD\" = \"xyes\" ]; then\n    rmmod_r ${IPV}_tables\n    rmmod_r ${IPV}_conntrack\nfi\n",
        );
        let of = |text: &TextFile, name: &str, generation| {
            unload(text, &name.to_ascii_uppercase(), name, generation).map(|source| source.line)
        };
        assert_eq!(of(&el5, "iptables", Generation::IpConntrack), Some(1));
        let twin = script(&el5.text.replace("IPTABLES", "IP6TABLES"));
        assert_eq!(of(&twin, "ip6tables", Generation::IpConntrack), None);
        let el6 = script(
            "NF_MODULES_COMMON=(x_tables nf_nat nf_conntrack)\n[ \"x$IPTABLES_MODULES_UNLOAD\" = \"xyes\" ] || return 0\n",
        );
        assert_eq!(of(&el6, "iptables", Generation::NfConntrack), Some(2));
        let el9 = script("IPTABLES_MODULES=\"\"\n# IPTABLES_MODULES_UNLOAD is gone\n");
        assert_eq!(of(&el9, "iptables", Generation::NfConntrack), None);
    }
}
