//! Services that a command starts, and what their units run.

use crate::facts::{
    reader::{Source, TextFile},
    shell::{Surroundings, effect::Word},
    systemd::{
        command::{EnvironmentFile, STARTING, environment_files, surroundings, words},
        files::{self, settings},
    },
    writers::{
        acts::{mentions, speaks_of_conntrack, unknown},
        commands::{Commands, DEEPEST, Run, rights::Rights, sysctl_command, under},
        writer::Act,
    },
};

/// Services that are described elsewhere: what they do to the limit is known.
const DESCRIBED: [&str; 18] = [
    "iptables",
    "ip6tables",
    "netfilter-persistent",
    "network",
    "networking",
    "procps",
    "sysctl",
    "boot.sysctl",
    "ufw",
    "firehol",
    "firewalld",
    "tuned",
    "kube-proxy",
    "kubelet",
    "k3s",
    "docker",
    "cloud-init",
    "pve-firewall",
];

/// Where scripts of services are.
const SCRIPTS: [&str; 2] = ["/etc/init.d", "/etc/rc.d/init.d"];

impl Commands<'_> {
    /// What a unit does when it starts.
    pub(in crate::facts::writers) fn of_unit(&self, files: &[TextFile]) -> Vec<Act> {
        self.unit(files, 0)
    }

    fn unit(&self, files: &[TextFile], depth: usize) -> Vec<Act> {
        let listed = environment_files(self.reader, files);
        let surroundings = surroundings(self.reader, files, &listed);
        let rights = Rights::of(files);
        let speaks = environment_speaks(files, &listed);
        let mut acts = Vec::new();
        for key in STARTING {
            for (line, source) in settings(files, "Service", key) {
                let command = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
                let full = line[..line.len() - command.len()].contains('+');
                let words = words(command, &surroundings.environment);
                let program = words.first().and_then(Word::known);
                if program.is_some_and(|program| self.cannot_run(program)) {
                    continue;
                }
                let run = Run {
                    at: &source,
                    certain: true,
                    script: &source.text,
                    input: None,
                    surroundings: surroundings.clone(),
                    depth,
                };
                let mut found = Vec::new();
                self.program(&words, &run, &mut found);
                if found.is_empty() && speaks && words.iter().any(|word| word.known().is_none()) {
                    found.push(unknown(&source));
                }
                match rights {
                    Rights::None if !full => {}
                    Rights::Unknown if !full => acts.extend(under(found, false)),
                    _ => acts.extend(found),
                }
            }
        }
        acts
    }

    /// Whether a program is there and not executable.
    fn cannot_run(&self, program: &str) -> bool {
        let file = self
            .reader
            .program(program)
            .filter(|_| program.starts_with('/'));
        file.is_some_and(|file| !file.executable && !file.text.is_empty())
    }

    /// `systemctl start NAME`, `service NAME start`; whether it is one.
    pub(super) fn starts_services(
        &self,
        name: &str,
        words: &[Word],
        run: &Run<'_>,
        acts: &mut Vec<Act>,
    ) {
        let known: Vec<&str> = words.iter().skip(1).filter_map(Word::known).collect();
        if sysctl_command::starts_at_boot(&known) {
            acts.push(sysctl_command::as_at_boot(run.at, run.certain));
            return;
        }
        let arguments: Vec<&str> = known
            .into_iter()
            .filter(|word| !word.starts_with('-'))
            .collect();
        let is_start = |word: &str| {
            [
                "start",
                "restart",
                "force-reload",
                "reload-or-restart",
                "try-restart",
                "enable",
            ]
            .contains(&word)
        };
        let now = words.iter().any(|word| word.known() == Some("--now"));
        match (name, arguments.as_slice()) {
            ("systemctl", [verb, units @ ..]) if is_start(verb) && (*verb != "enable" || now) => {
                for unit in units {
                    self.start(unit, run, acts);
                }
            }
            ("service" | "invoke-rc.d" | "rc-service", [service, verb, ..])
                if is_start(verb) && *verb != "enable" =>
            {
                self.start(service, run, acts);
            }
            ("initctl", ["start" | "restart", service, ..]) => self.start(service, run, acts),
            _ => {}
        }
    }

    fn start(&self, service: &str, run: &Run<'_>, acts: &mut Vec<Act>) {
        let name = service.strip_suffix(".service").unwrap_or(service);
        if DESCRIBED.contains(&name) || name.contains('/') || run.depth >= DEEPEST {
            return;
        }
        let unit = files::read(self.reader, &format!("{name}.service"));
        let script = || {
            let paths = SCRIPTS
                .iter()
                .map(|directory| format!("{directory}/{name}"));
            paths
                .into_iter()
                .find_map(|path| self.reader.program(&path))
        };
        if !unit.is_empty() {
            acts.extend(under(self.unit(&unit, run.depth + 1), run.certain));
        } else if let Some(script) = script() {
            let start = [Some("start".to_owned())];
            let found = self.script(&script, &start, Surroundings::in_root(), run.depth + 1);
            acts.extend(under(found, run.certain));
        } else if speaks_of_conntrack(name) || speaks_of_conntrack(&run.at.text) {
            self.misses_unit(name, run.at);
        }
    }

    fn misses_unit(&self, name: &str, at: &Source) {
        if !self.reader.is_this_host() {
            let path = format!("/etc/systemd/system/{name}.service");
            self.reader.misses(&path, at);
        }
    }
}

/// Whether the variables of a service speak of the limit.
fn environment_speaks(files: &[TextFile], listed: &[EnvironmentFile]) -> bool {
    let set = settings(files, "Service", "Environment");
    let mut texts = listed.iter().filter_map(|listed| listed.file.as_ref());
    set.iter().any(|(value, _)| mentions(value)) || texts.any(|file| mentions(&file.text))
}
