//! How a host gives settings to kube-proxy, and which setting that is.

use std::path::Path;

use crate::facts::{reader::Source, writers::writer::Writer};

/// How a host gives settings to kube-proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubeForm {
    /// A file of its own, in YAML; of kubeadm it comes from a `ConfigMap`.
    Configuration {
        /// Whether kubeadm has made it.
        kubeadm: bool,
    },
    /// Flags in the manifest of a static pod.
    StaticPod,
    /// Flags in a unit of systemd.
    Unit,
    /// Flags in a variable of a file that the unit names.
    Environment,
    /// Flags in the configuration of k3s or RKE2.
    Rancher,
    /// Flags in the unit of k3s or RKE2.
    RancherUnit,
    /// Flags in the file of `MicroK8s`.
    MicroK8s,
    /// Not known: only the process, or the log of its pod, is there.
    Unknown,
}

impl KubeForm {
    /// By the line that decides, or what shows that the program is there.
    pub fn of(owner: &Writer) -> Self {
        let decides = owner.sets.iter().map(|sets| &sets.source);
        Self::by(owner.name, decides.chain(&owner.evidence))
    }

    fn by<'s>(owner: &str, mut sources: impl Iterator<Item = &'s Source>) -> Self {
        let known = sources.find_map(|source| of_source(owner, source));
        known.unwrap_or(Self::Unknown)
    }
}

fn of_source(owner: &str, source: &Source) -> Option<KubeForm> {
    let file: &Path = &source.file;
    let path = file.to_str()?;
    let suffix = file.extension().and_then(|suffix| suffix.to_str());
    let rancher = owner == "k3s" || owner == "rke2";
    let is_unit = suffix == Some("service") || path.contains(".service.d/");
    Some(match suffix {
        _ if owner == "microk8s" => KubeForm::MicroK8s,
        // A link that starts the unit says nothing about its form.
        _ if path.contains(".wants/") || path.contains(".requires/") => return None,
        _ if is_unit && rancher => KubeForm::RancherUnit,
        _ if rancher => KubeForm::Rancher,
        _ if is_unit => KubeForm::Unit,
        _ if path.contains("/manifests/") => KubeForm::StaticPod,
        _ if path.ends_with("/cmdline") || path.ends_with("/comm") => return None,
        _ if path.starts_with("/var/log/pods") => KubeForm::Configuration { kubeadm: true },
        _ if assigns(&source.text) => KubeForm::Environment,
        _ => KubeForm::Configuration {
            kubeadm: path.ends_with("/var/lib/kube-proxy/config.conf"),
        },
    })
}

/// Whether a line gives a variable of the shell a value.
pub(super) fn assigns(line: &str) -> bool {
    let name = line.split_once('=').map(|(name, _)| name.trim());
    name.is_some_and(|name| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// What to set, as a sentence: in the place that decides, as far as it is known.
pub(super) fn knob(name: &str, decides: &Source, evidence: &[Source]) -> String {
    let file = decides.file.display();
    match KubeForm::by(name, [decides].into_iter().chain(evidence)) {
        KubeForm::Configuration { kubeadm: true } => {
            "set conntrack.min in the ConfigMap kube-proxy (with conntrack.maxPerCore: 0 kube-proxy \
             does not set the limit)"
                .to_owned()
        }
        KubeForm::Configuration { kubeadm: false } => format!(
            "set conntrack.min in {file} (with conntrack.maxPerCore: 0 kube-proxy does not set the \
             limit)"
        ),
        KubeForm::StaticPod | KubeForm::Unit | KubeForm::Environment => format!(
            "give kube-proxy the flag --conntrack-min=N in {} (with --conntrack-max-per-core=0 it does \
             not set the limit)",
            place(name, decides)
        ),
        KubeForm::MicroK8s => "give kube-proxy the flag --conntrack-min=N in \
                           /var/snap/microk8s/current/args/kube-proxy (with \
                           --conntrack-max-per-core=0 it does not set the limit)"
            .to_owned(),
        KubeForm::RancherUnit => format!(
            "add --kube-proxy-arg=conntrack-min=N to ExecStart in {} (with conntrack-max-per-core=0 \
             kube-proxy does not set the limit)",
            place(name, decides)
        ),
        KubeForm::Rancher => format!(
            "set kube-proxy-arg: conntrack-min=N in {file} (with conntrack-max-per-core=0 kube-proxy \
             does not set the limit)"
        ),
        KubeForm::Unknown if name == "k3s" || name == "rke2" => format!(
            "set kube-proxy-arg: conntrack-min=N in /etc/rancher/{name}/config.yaml (with \
             conntrack-max-per-core=0 kube-proxy does not set the limit)"
        ),
        KubeForm::Unknown => {
            "set conntrack.min in the file that kube-proxy's --config names, or, if it has none, give \
             it the flag --conntrack-min=N (with maxPerCore 0 it does not set the limit)"
                .to_owned()
        }
    }
}

/// Where flags are: the line may be the link that starts the unit.
fn place(name: &str, decides: &Source) -> String {
    let path = decides.file.display().to_string();
    if path.contains(".wants/") || path.contains(".requires/") {
        format!("the unit of {name}")
    } else {
        path
    }
}
