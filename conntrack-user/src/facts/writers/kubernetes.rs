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
        writers::{
            kube_proxy::Told,
            unit_files,
            writer::{Sets, Timing, Writer},
        },
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
            .flat_map(|path| with_drop_ins(reader, path))
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
            let says = |text: &TextFile| Told::by(std::slice::from_ref(text)).is_said();
            let own = |text: &&TextFile| name == "kube-proxy" || says(text);
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

fn judge(
    name: &'static str,
    first: Source,
    mut evidence: Vec<Source>,
    texts: &[TextFile],
    kernel: &HostKernel,
) -> Writer {
    let Told {
        per_core,
        min,
        disabled,
        unknown,
    } = Told::by(texts);
    let cores = per_core.as_ref().map_or(MAX_PER_CORE, |(value, _)| *value);
    let given = per_core.as_ref().or(min.as_ref());
    let source = unknown
        .clone()
        .or_else(|| given.map(|(_, source)| source.clone()))
        .unwrap_or(first);
    evidence.extend(disabled.clone());
    if !evidence.contains(&source) {
        evidence.push(source.clone());
    }
    let active = cores != 0 && disabled.is_none();
    let least = min.map_or(MIN, |(value, _)| value);
    let max = kernel
        .cpus
        .map(|cpus| cores.saturating_mul(u64::from(cpus)).max(least))
        .filter(|_| unknown.is_none());
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
        knob: "set conntrack.min in the configuration of kube-proxy; in k3s and RKE2 set \
               kube-proxy-arg: conntrack-min=N (with maxPerCore: 0 kube-proxy does not set the limit)"
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

/// A file, and what is put over it: drop-ins of a unit, and of k3s and RKE2 the files in
/// `config.yaml.d`.
fn with_drop_ins(reader: &Reader<'_>, path: &str) -> Vec<TextFile> {
    if let Some((_, unit)) = path.rsplit_once('/').filter(|_| path.ends_with(".service")) {
        return if path.starts_with("/etc/") {
            unit_files::files(reader, unit)
        } else {
            reader.text(path).into_iter().collect()
        };
    }
    let mut files: Vec<TextFile> = reader.text(path).into_iter().collect();
    if path.ends_with("/config.yaml") {
        let names = reader.names(&format!("{path}.d"));
        let names = names
            .iter()
            .filter(|name| name.strip_suffix(".yaml").is_some());
        files.extend(names.filter_map(|name| reader.text(&format!("{path}.d/{name}"))));
    }
    files
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
