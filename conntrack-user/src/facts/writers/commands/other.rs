//! Programs that may be scripts of the host, or of a package, or be told of the limit by
//! their arguments.

use crate::facts::{
    reader::{Source, TextFile},
    shell::effect::Word,
    writers::{
        acts::{mentions, speaks_of_conntrack, unknown},
        commands::{Commands, DEEPEST, Run, as_arguments, is_of_kernel, under},
        writer::Act,
    },
};

/// Programs that only look, or set nothing of ours.
const HARMLESS: [&str; 25] = [
    "cat",
    "grep",
    "egrep",
    "fgrep",
    "ls",
    "stat",
    "head",
    "tail",
    "wc",
    "cut",
    "logger",
    "modprobe",
    "insmod",
    "rmmod",
    "iptables",
    "nft",
    "conntrack",
    "chmod",
    "chown",
    "echo",
    "printf",
    // A udev rule that runs it is told apart.
    "systemd-sysctl",
    // Read where Kubernetes is: `kubernetes`.
    "k3s",
    "rke2",
    "kube-proxy",
];

/// Programs that set what they are told by their arguments, or run them: an argument that
/// only the shell could tell may be the limit.
const SETTING: [&str; 7] = ["tee", "dd", "cp", "mv", "install", "xargs", "su"];

/// Where programs are that a package brings: only what speaks of the limit is followed.
const PACKAGED: [&str; 8] = [
    "/bin/",
    "/sbin/",
    "/usr/bin/",
    "/usr/sbin/",
    "/lib/",
    "/usr/lib/",
    "/usr/libexec/",
    "/lib64/",
];

/// Where scripts are that a host's owner brings.
const OWN: [&str; 6] = ["/etc/", "/usr/local/", "/opt/", "/root/", "/srv/", "/home/"];

/// Scripts, and a directory of them, in which a host's owner sets what they want at boot.
const LOCAL: [&str; 6] = [
    "/etc/rc.local",
    "/etc/rc.d/rc.local",
    "/etc/init.d/rc.local",
    "/etc/init.d/boot.local",
    "/etc/conf.d/local.start",
    "/etc/local.d",
];

/// Programs of packages that are described elsewhere.
const DESCRIBED: [&str; 13] = [
    "ufw",
    "ufw-init",
    "ufw-init-functions",
    "iptables.init",
    "ip6tables.init",
    "firehol",
    "firewalld",
    "firewall-cmd",
    "tuned",
    "cloud-init",
    "procps",
    "netfilter-persistent",
    "pve-firewall",
];

/// The largest script of a package that is read, in bytes.
const LARGEST: usize = 1 << 20;

impl Commands<'_> {
    /// A program that may be a script of the host, or speak of the limit.
    pub(super) fn other(&self, program: &str, words: &[Word], run: &Run<'_>, acts: &mut Vec<Act>) {
        let name = program.rsplit('/').next().unwrap_or(program);
        if HARMLESS.contains(&name) {
            return;
        }
        if run.depth < DEEPEST
            && let Some(script) = self.script_of(program, run)
        {
            let arguments = as_arguments(&words[1..]);
            let surroundings = run.surroundings.clone();
            let found = self.script(&script, &arguments, surroundings, run.depth + 1);
            acts.extend(under(found, run.certain));
            return;
        }
        if program.contains('/') {
            self.missing(program, run);
        }
        if let Some(at) = words.iter().position(is_sysctl)
            && !ONLY_NAMES.contains(&name)
        {
            // Most likely it is run: by `find -exec`, `flock`, `systemd-run`.
            let run = Run {
                certain: false,
                ..run.clone()
            };
            self.sysctl(&words[at + 1..], &run, acts);
            return;
        }
        let unclear = words.iter().any(|word| word.known().is_none());
        let speaks = words.iter().any(tells)
            || run.input.is_some_and(|input| tells(&Word::new(input)))
            || unclear && SETTING.contains(&name) && mentions(&run.at.text);
        if speaks {
            acts.push(unknown(run.at));
        }
    }

    /// The script that a program is, if it is one.
    fn script_of(&self, program: &str, run: &Run<'_>) -> Option<TextFile> {
        if program.contains('/') {
            let path = run.absolute(&Word::new(program));
            return self.script_at(path.known()?);
        }
        let directories = [
            "/usr/local/sbin",
            "/usr/local/bin",
            "/usr/sbin",
            "/usr/bin",
            "/sbin",
            "/bin",
        ];
        let mut paths = directories
            .iter()
            .map(|directory| format!("{directory}/{program}"));
        let is_name = !program.is_empty();
        is_name.then(|| paths.find_map(|path| self.script_at(&path)))?
    }

    /// A script that is run: of those of packages only such that speak of the limit.
    pub(super) fn script_at(&self, path: &str) -> Option<TextFile> {
        let is_of_kernel = is_of_kernel(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_packaged = is_packaged(path);
        if is_of_kernel || is_packaged && DESCRIBED.contains(&name) {
            return None;
        }
        let speaks = |script: &TextFile| {
            script.text.len() <= LARGEST
                && !script.text.contains('\0')
                && (mentions(&script.text) || applies_files(&script.text))
        };
        let script = self.reader.program(path);
        script.filter(|script| !is_packaged || speaks(script))
    }

    /// Notes that a script is not in the tree, and apart one that may be about the limit.
    pub(super) fn missing(&self, path: &str, run: &Run<'_>) {
        let own = OWN.iter().any(|directory| path.starts_with(directory));
        if !own && path.starts_with('/') || self.reader.is_this_host() || self.reader.exists(path) {
            return;
        }
        if is_plausible(path, run.at) {
            self.reader.misses(path, run.at);
        } else {
            self.reader.lacks(path, run.at);
        }
    }
}

/// Whether a package brings a file.
pub(super) fn is_packaged(path: &str) -> bool {
    PACKAGED.iter().any(|directory| path.starts_with(directory))
}

/// Programs that only name others.
const ONLY_NAMES: [&str; 14] = [
    "which", "type", "pgrep", "pkill", "killall", "man", "apt-get", "apt", "yum", "dnf", "rpm",
    "dpkg", "mail", "hash",
];

fn is_sysctl(word: &Word) -> bool {
    word.known()
        .is_some_and(|word| word.rsplit('/').next() == Some("sysctl"))
}

/// Whether a script of a package applies files of sysctls, or one of them.
fn applies_files(script: &str) -> bool {
    [
        "sysctl --system",
        "sysctl -p",
        "sysctl -q -p",
        "sysctl -e -p",
        "sysctl -qp",
        "sysctl -f",
    ]
    .iter()
    .any(|command| script.contains(command))
}

/// Whether a word may tell a program to set the limit: not as a sentence speaks of it.
pub(super) fn tells(word: &Word) -> bool {
    let text = word.with_gaps();
    if !mentions(text) {
        return false;
    }
    let is_sentence = text.trim().contains([' ', '\t', '\n']);
    let assigns = text.split("conntrack_").skip(1).any(|rest| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        after.trim_start().starts_with('=')
    });
    !is_sentence
        || assigns
        || ["/proc/sys/", "/sys/module/", "sysctl"]
            .iter()
            .any(|mark| text.contains(mark))
}

/// Whether a script that is not in a tree may be about the limit: the line that runs it
/// says so, or is one of a script in which a host's owner sets what they want at boot.
/// Any other is taken for a program that leaves the limit alone.
fn is_plausible(program: &str, at: &Source) -> bool {
    let local = LOCAL.iter().any(|path| at.file.starts_with(path));
    local || speaks_of_conntrack(program) || speaks_of_conntrack(&at.text)
}
