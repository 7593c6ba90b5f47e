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
            kube_files::{self, Found},
            kube_form,
            kube_proxy::Told,
            writer::{Sets, Timing, Writer},
        },
    },
    say::number::number,
};

const MAX_PER_CORE: u64 = 32_768;
const MIN: u64 = 131_072;

/// Programs that are kube-proxy or have it in them: name, service, and where they are
/// configured unless a flag names another file.
const KINDS: [(&str, &str, &[&str]); 6] = [
    (
        "kube-proxy",
        "kube-proxy",
        &[
            "/var/lib/kube-proxy/config.conf",
            "/var/lib/kube-proxy/kube-proxy-config.yaml",
            "/etc/kubernetes/kube-proxy-config.yaml",
            "/etc/kubernetes/manifests/kube-proxy.yaml",
            "/etc/kubernetes/manifests/kube-proxy.manifest",
        ],
    ),
    ("k3s", "k3s", &["/etc/rancher/k3s/config.yaml"]),
    ("k3s", "k3s-agent", &["/etc/rancher/k3s/config.yaml"]),
    ("rke2", "rke2-server", &["/etc/rancher/rke2/config.yaml"]),
    ("rke2", "rke2-agent", &["/etc/rancher/rke2/config.yaml"]),
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
        let Found { mut texts, unknown } = kube_files::of_service(reader, service, files);
        texts.extend(process.iter().flat_map(|(_, texts)| texts.clone()));
        let by_service = services.get(service).map(|enabled| Source {
            file: PathBuf::from(&enabled.by),
            line: 1,
            text: format!("{service} is started at boot"),
        });
        let by_process = process.map(|(source, _)| source);
        let by_log = (name == "kube-proxy").then(|| pod_log(reader)).flatten();
        let by_file = || {
            let says = |text: &TextFile| Told::by(std::slice::from_ref(text)).is_said();
            let own = |text: &&TextFile| name == "kube-proxy" || name == "microk8s" || says(text);
            texts.iter().find(own).map(TextFile::as_source)
        };
        let evidence: Vec<Source> = [by_process, by_service, by_log, by_file()]
            .into_iter()
            .flatten()
            .collect();
        let first = evidence.first()?.clone();
        let mut told = Told::by(&texts);
        told.unknown = told.unknown.or(unknown);
        Some(judge(name, first, evidence, told, kernel))
    })
}

fn judge(
    name: &'static str,
    first: Source,
    mut evidence: Vec<Source>,
    told: Told,
    kernel: &HostKernel,
) -> Writer {
    let Told {
        per_core,
        min,
        disabled,
        unknown,
    } = told;
    let cores = per_core.as_ref().map_or(MAX_PER_CORE, |(value, _)| *value);
    let given = per_core.as_ref().or(min.as_ref());
    let source = unknown
        .clone()
        .or_else(|| given.map(|(_, source)| source.clone()))
        .unwrap_or(first);
    // Of a file the line that decides says more than its first one.
    for decides in disabled.iter().chain([&source]) {
        evidence.retain(|known| known.file != decides.file);
        evidence.push(decides.clone());
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
        behaviour: match (active, &unknown) {
            (true, None) => format!(
                "sets the limit when it starts: {} for each processor, at least {}; many versions \
                 also lower a larger value",
                number(cores),
                number(least)
            ),
            (true, Some(_)) => {
                "sets the limit when it starts, to a value that ctdrop cannot predict".to_owned()
            }
            (false, _) => "is configured not to set the limit".to_owned(),
        },
        knob: kube_form::knob(name, &source, &evidence),
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
