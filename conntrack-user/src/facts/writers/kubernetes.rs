//! kube-proxy, by itself or inside k3s, RKE2 and `MicroK8s`.
//!
//! It wants `maxPerCore` (32768) for each processor, at least `min` (131072), and
//! leaves the limit alone if `maxPerCore` is 0 (kubernetes
//! `pkg/proxy/conntrack/sysctls.go`, `cmd/kube-proxy/app`). It writes when it
//! starts. Whether it also lowers a larger value depends on its version: up to
//! 1.21 it does, then not, from 1.29 again, until 1.38.

use std::path::PathBuf;

use crate::{
    facts::{
        host_kernel::HostKernel,
        reader::{Reader, Source, TextFile},
        services::Services,
        writers::writer::{Sets, Timing, Writer, value_of},
    },
    say::number::number,
};

const MAX_PER_CORE: u64 = 32_768;
const MIN: u64 = 131_072;

/// Programs that are kube-proxy or have it in them: name of the process and
/// the service, and where they are configured.
const KINDS: [(&str, &str, &[&str]); 5] = [
    (
        "kube-proxy",
        "kube-proxy",
        &[
            "/var/lib/kube-proxy/config.conf",
            "/var/lib/kube-proxy/kube-proxy-config.yaml",
            "/etc/kubernetes/kube-proxy-config.yaml",
            "/etc/kubernetes/manifests/kube-proxy.yaml",
            "/etc/kubernetes/manifests/kube-proxy.manifest",
            "/etc/systemd/system/kube-proxy.service",
            "/usr/lib/systemd/system/kube-proxy.service",
        ],
    ),
    (
        "k3s",
        "k3s",
        &[
            "/etc/rancher/k3s/config.yaml",
            "/etc/systemd/system/k3s.service",
        ],
    ),
    (
        "k3s",
        "k3s-agent",
        &[
            "/etc/rancher/k3s/config.yaml",
            "/etc/systemd/system/k3s-agent.service",
        ],
    ),
    (
        "rke2",
        "rke2-agent",
        &[
            "/etc/rancher/rke2/config.yaml",
            "/usr/local/lib/systemd/system/rke2-agent.service",
            "/usr/lib/systemd/system/rke2-agent.service",
        ],
    ),
    (
        "microk8s",
        "snap.microk8s.daemon-kubelite",
        &["/var/snap/microk8s/current/args/kube-proxy"],
    ),
];

pub(super) fn read(
    reader: &Reader<'_>,
    services: &Services,
    kernel: &HostKernel,
) -> Option<Writer> {
    let processes = processes(reader);
    KINDS.iter().find_map(|&(name, service, files)| {
        let comm = if name == "microk8s" {
            "kubelite"
        } else {
            service
        };
        let process = processes
            .iter()
            .find(|(_, found)| found.text.trim() == comm)
            .map(|(pid, found)| (found.as_source(), started_with(reader, pid)));
        let texts: Vec<TextFile> = files
            .iter()
            .filter_map(|path| reader.text(path))
            .chain(process.iter().flat_map(|(_, texts)| texts.clone()))
            .collect();
        let by_service = services.get(service).map(|enabled| Source {
            file: PathBuf::from(&enabled.by),
            line: 1,
            text: format!("{service} is started at boot"),
        });
        let by_process = process.map(|(source, _)| source);
        let by_log = (name == "kube-proxy").then(|| pod_log(reader)).flatten();
        let by_file = || {
            let own = |text: &&TextFile| name == "kube-proxy" || value_of(text, FLAG).is_some();
            texts.iter().find(own).map(TextFile::as_source)
        };
        let evidence: Vec<Source> = [by_process, by_service, by_log, by_file()]
            .into_iter()
            .flatten()
            .collect();
        let first = evidence.first()?.clone();
        Some(judge(name, first, evidence, &texts, kernel))
    })
}

const FLAG: &str = "conntrack-max-per-core";

fn judge(
    name: &'static str,
    first: Source,
    mut evidence: Vec<Source>,
    texts: &[TextFile],
    kernel: &HostKernel,
) -> Writer {
    let setting = |key, flag| {
        let flagged = texts.iter().find_map(|text| value_of(text, flag));
        flagged.or_else(|| texts.iter().find_map(|text| in_section(text, key)))
    };
    let per_core = setting("maxPerCore", FLAG);
    let min = setting("min", "conntrack-min");
    let disabled = texts.iter().find_map(|text| {
        text.first(|line| {
            let line = line.trim();
            !line.starts_with('#')
                && (line.contains("--disable-kube-proxy") || line == "disable-kube-proxy: true")
        })
    });
    let cores = per_core.as_ref().map_or(MAX_PER_CORE, |(value, _)| *value);
    let source = per_core
        .as_ref()
        .or(min.as_ref())
        .map_or(first, |(_, source)| source.clone());
    evidence.extend(disabled.clone());
    if !evidence.contains(&source) {
        evidence.push(source.clone());
    }
    let active = cores != 0 && disabled.is_none();
    let least = min.map_or(MIN, |(value, _)| value);
    let max = kernel.cpus.map(|cpus| (cores * u64::from(cpus)).max(least));
    Writer {
        name,
        active,
        behaviour: if active {
            format!(
                "sets the limit when it starts: {} for each processor, at least {}; many versions \
                 also lower a larger value",
                number(cores),
                number(least)
            )
        } else {
            "is configured not to set the limit".to_owned()
        },
        knob: "set conntrack.maxPerCore and conntrack.min in the configuration of kube-proxy \
               (with maxPerCore: 0 the host sets the limit); in k3s and RKE2 as kube-proxy-arg"
            .to_owned(),
        sets: active.then_some(Sets {
            max,
            buckets: None,
            timing: Timing::AtStart,
            source,
            reapplies: false,
            acts: Vec::new(),
        }),
        evidence,
    }
}

/// A number in the section `conntrack` of a configuration file in YAML, with
/// its line.
fn in_section(text: &TextFile, key: &str) -> Option<(u64, Source)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut section = None;
    for (number, line) in text.lines() {
        let word = line.trim();
        if word.is_empty() || word.starts_with('#') {
            continue;
        }
        match section {
            None if word == "conntrack:" => section = Some(indent(line)),
            Some(outer) if indent(line) <= outer => section = None,
            Some(_) => {
                if let Some((name, value)) = word.split_once(':')
                    && name == key
                    && let Ok(value) = value.trim().parse()
                {
                    return Some((value, text.source(number, line)));
                }
            }
            None => {}
        }
    }
    None
}

/// All processes, by number, with their names.
fn processes(reader: &Reader<'_>) -> Vec<(String, TextFile)> {
    reader
        .names("/proc")
        .into_iter()
        .filter(|entry| entry.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|pid| {
            let name = reader.of_process(&pid, "comm")?;
            Some((pid, name))
        })
        .collect()
}

/// What a process was started with and configured by.
fn started_with(reader: &Reader<'_>, pid: &str) -> Vec<TextFile> {
    ["cmdline", "root/var/lib/kube-proxy/config.conf"]
        .into_iter()
        .filter_map(|path| reader.of_process(pid, path))
        .collect()
}

/// The log of its pod, which the kubelet keeps.
fn pod_log(reader: &Reader<'_>) -> Option<Source> {
    let pod = reader
        .names("/var/log/pods")
        .into_iter()
        .find(|name| name.starts_with("kube-system_kube-proxy"))?;
    Some(Source {
        file: PathBuf::from("/var/log/pods").join(&pod),
        line: 1,
        text: "the log of a pod of kube-proxy".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_found() {
        let text = TextFile {
            file: "/var/lib/kube-proxy/config.conf".into(),
            text: "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nconntrack:\n  # min: 7\n  \
                   maxPerCore: 65536\n  min: null\nmode: iptables\nmin: 3\n"
                .to_owned(),
            executable: false,
        };
        let (value, source) = in_section(&text, "maxPerCore").unwrap();
        assert_eq!((value, source.line), (65_536, 4));
        assert_eq!(in_section(&text, "min"), None, "null is no number");
    }
}
