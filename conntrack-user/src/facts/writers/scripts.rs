//! Scripts and units that set the limit with a command: `rc.local`, units made by
//! the administrator, hooks of the network; and calicoctl and APF, which set it
//! by themselves.

use crate::facts::{
    reader::{Reader, Source, TextFile},
    services::Services,
    sysctl::{Variable, line::number},
    writers::writer::{SCRIPT, Sets, Timing, Writer, assigned},
};

/// Directories whose files may be commands that are run when something starts.
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/etc/network/if-up.d",
    "/etc/network/if-pre-up.d",
    "/etc/network/interfaces.d",
    "/etc/NetworkManager/dispatcher.d",
];

/// Files that are.
const FILES: [&str; 5] = [
    "/etc/rc.d/rc.local",
    "/etc/rc.local",
    "/etc/network/interfaces",
    "/etc/ppp/ip-up.local",
    "/sbin/ifup-local",
];

pub(super) fn read(reader: &Reader<'_>, services: &Services) -> Vec<Writer> {
    let mut writers = Vec::new();
    let mut seen = Vec::new();
    let listed = DIRECTORIES.into_iter().flat_map(|directory| {
        let names = reader.names(directory).into_iter();
        names
            .filter(move |name| directory != DIRECTORIES[0] || name.ends_with(".service"))
            .map(move |name| format!("{directory}/{name}"))
    });
    let paths: Vec<String> = FILES
        .iter()
        .map(|&path| path.to_owned())
        .chain(listed)
        .collect();
    for path in paths {
        // A directory or a link to one is no script.
        let Some(text) = reader.file(&path) else {
            continue;
        };
        if seen.contains(&text.file) {
            continue;
        }
        let enabled = is_run(&text, &path, services);
        writers.extend(of_calico(&text, enabled));
        writers.extend(of_script(&text, enabled));
        seen.push(text.file);
    }
    writers.extend(of_apf(reader));
    writers
}

/// Whether a unit is started at boot; of other scripts `rc.local` has to be
/// executable.
fn is_run(text: &TextFile, path: &str, services: &Services) -> bool {
    match path.strip_suffix(".service") {
        Some(unit) => {
            let name = unit.rsplit('/').next().unwrap_or(unit);
            services.starts(name)
        }
        None => text.executable || path.contains("/interfaces"),
    }
}

fn of_script(text: &TextFile, enabled: bool) -> Option<Writer> {
    let found: Vec<(Variable, Option<u64>, Source)> = text
        .lines()
        .filter_map(|(at, line)| {
            let (variable, value) = command(line)?;
            Some((variable, value, text.source(at, line)))
        })
        .collect();
    let last = |wanted| {
        found
            .iter()
            .rev()
            .find(|(variable, ..)| *variable == wanted)
    };
    let (_, max, source) = last(Variable::Max)?.clone();
    Some(Writer {
        name: SCRIPT,
        active: enabled,
        behaviour: if enabled {
            "sets the limit when it runs".to_owned()
        } else {
            "would set the limit, but does not run at boot".to_owned()
        },
        knob: format!("change or delete the line in {}", source.file.display()),
        evidence: found.iter().map(|(_, _, source)| source.clone()).collect(),
        sets: enabled.then(|| Sets {
            max,
            buckets: last(Variable::Buckets).and_then(|(_, value, _)| *value),
            timing: Timing::AtStart,
            source,
            reapplies: false,
        }),
    })
}

/// What a line of a script sets: `sysctl -w key=value` or `echo value > file`.
/// The value is none if only the shell could tell it.
fn command(line: &str) -> Option<(Variable, Option<u64>)> {
    let code = line.trim();
    if code.starts_with('#') {
        return None;
    }
    if let Some((left, right)) = code.split_once('>') {
        let file = right.trim_start_matches('>').trim();
        let file = file.split_ascii_whitespace().next()?;
        let file = file.trim_matches(['"', '\'']).trim_end_matches(';');
        let variable = match file.strip_prefix("/proc/sys/") {
            Some(path) => assigned(path, "")?.0,
            None if file.starts_with("/sys/module/")
                && file.ends_with("_conntrack/parameters/hashsize") =>
            {
                Variable::Buckets
            }
            None => return None,
        };
        let value = left.split_once("echo")?.1.trim();
        return Some((variable, number(value.trim_matches(['"', '\'']))));
    }
    let (_, arguments) = code.split_once("sysctl")?;
    arguments
        .split(|c: char| c.is_ascii_whitespace() || c == ';' || c == '"' || c == '\'')
        .find_map(|word| {
            let (key, value) = word.split_once('=')?;
            assigned(key, value)
        })
}

/// `calicoctl node run` sets a million, whatever it was.
fn of_calico(text: &TextFile, enabled: bool) -> Option<Writer> {
    let source = text.first(|line| {
        !line.trim_start().starts_with('#')
            && line.contains("calicoctl")
            && line.contains("node run")
    })?;
    Some(Writer {
        name: "calicoctl",
        active: enabled,
        behaviour: "sets the limit to 1,000,000 at its start, even if it was larger".to_owned(),
        knob: "set the limit in a unit that starts after this one".to_owned(),
        evidence: vec![source.clone()],
        sets: enabled.then_some(Sets {
            max: Some(1_000_000),
            buckets: None,
            timing: Timing::AtStart,
            source,
            reapplies: false,
        }),
    })
}

/// APF sets what its configuration says when it starts.
fn of_apf(reader: &Reader<'_>) -> Option<Writer> {
    let config = reader.text("/etc/apf/conf.apf")?;
    let source = config.first(|line| line.trim_start().starts_with("SYSCTL_CONNTRACK="))?;
    let value = source.text.split_once('=')?.1.trim_matches('"');
    let max = number(value);
    Some(Writer {
        name: "APF",
        active: max != Some(0),
        behaviour: "sets the limit whenever it starts".to_owned(),
        knob: format!("set SYSCTL_CONNTRACK in {}", source.file.display()),
        sets: (max != Some(0)).then(|| Sets {
            max,
            buckets: None,
            timing: Timing::AtStart,
            source: source.clone(),
            reapplies: false,
        }),
        evidence: vec![source],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_set_the_limit() {
        let max = |value| Some((Variable::Max, value));
        assert_eq!(
            command("sysctl -w net.netfilter.nf_conntrack_max=131072"),
            max(Some(131_072))
        );
        assert_eq!(
            command("/sbin/sysctl -qw net.ipv4.ip_conntrack_max=\"$N\""),
            max(None)
        );
        assert_eq!(
            command("echo 65536 > /proc/sys/net/ipv4/ip_conntrack_max"),
            max(Some(65_536))
        );
        assert_eq!(
            command("ExecStart=/bin/sh -c 'echo 9 >/sys/module/nf_conntrack/parameters/hashsize'"),
            Some((Variable::Buckets, Some(9)))
        );
        assert_eq!(command("# sysctl -w net.nf_conntrack_max=1"), None);
        assert_eq!(command("sysctl net.nf_conntrack_max"), None, "only reads");
        assert_eq!(command("cat /proc/sys/net/nf_conntrack_max > /tmp/x"), None);
    }
}
