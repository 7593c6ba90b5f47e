//! The setting of a program that owns the limit, in the form in which this host
//! configures that program.

use std::path::Path;

use crate::facts::writers::Writer;

/// How a host gives settings to kube-proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A file of its own, in YAML; of kubeadm it comes from a `ConfigMap`.
    Configuration {
        /// Whether kubeadm has made it.
        kubeadm: bool,
    },
    /// Flags in the manifest of a static pod.
    StaticPod,
    /// Flags in a unit of systemd.
    Unit,
    /// Flags in the configuration of k3s or RKE2.
    Rancher,
    /// Flags in the unit of k3s or RKE2.
    RancherUnit,
    /// Flags in the file of `MicroK8s`.
    MicroK8s,
    /// Not known: only the process, or the log of its pod, is there.
    Unknown,
}

impl Form {
    /// By the line that decides, or what shows that the program is there.
    pub(crate) fn of(owner: &Writer) -> Self {
        let decides = owner.sets.iter().map(|sets| &sets.source);
        let mut files = decides
            .chain(&owner.evidence)
            .map(|source| source.file.as_path());
        let known = files.find_map(|file| of_file(owner.name, file));
        known.unwrap_or(Self::Unknown)
    }
}

fn of_file(owner: &str, file: &Path) -> Option<Form> {
    let path = file.to_str()?;
    let suffix = file.extension().and_then(|suffix| suffix.to_str());
    let rancher = owner == "k3s" || owner == "rke2";
    Some(match suffix {
        _ if owner == "microk8s" => Form::MicroK8s,
        // A link that starts the unit says nothing about its form.
        _ if path.contains(".wants/") || path.contains(".requires/") => return None,
        Some("service") if rancher => Form::RancherUnit,
        _ if rancher => Form::Rancher,
        Some("service") => Form::Unit,
        _ if path.contains("/manifests/") => Form::StaticPod,
        _ if path.ends_with("/cmdline") || path.ends_with("/comm") => return None,
        _ if path.starts_with("/var/log/pods") => Form::Configuration { kubeadm: true },
        _ => Form::Configuration {
            kubeadm: path.ends_with("/var/lib/kube-proxy/config.conf"),
        },
    })
}

/// What to set, as a sentence.
pub(crate) fn what(owner: &Writer) -> String {
    match Form::of(owner) {
        _ if owner.name == "pve-firewall" => owner.knob.clone(),
        Form::Configuration { .. } => "set conntrack.min in the configuration of kube-proxy (with \
                                       conntrack.maxPerCore: 0 it does not set the limit)"
            .to_owned(),
        Form::StaticPod | Form::Unit | Form::MicroK8s => {
            "set the flag --conntrack-min of kube-proxy (with --conntrack-max-per-core=0 it does not \
             set the limit)"
                .to_owned()
        }
        Form::Rancher | Form::RancherUnit => {
            "give kube-proxy the argument conntrack-min (with conntrack-max-per-core=0 it does not set \
             the limit)"
                .to_owned()
        }
        Form::Unknown => owner.knob.clone(),
    }
}

/// The text to put there.
pub(crate) fn snippet(owner: &Writer, max: u64) -> String {
    let file = owner
        .sets
        .as_ref()
        .map_or_else(String::new, |sets| sets.source.file.display().to_string());
    let name = owner.name;
    match Form::of(owner) {
        _ if name == "pve-firewall" => format!(
            "# /etc/pve/local/host.fw\n[OPTIONS]\nnf_conntrack_max: {}\n",
            max.div_ceil(8192) * 8192
        ),
        Form::Configuration { kubeadm: true } => format!(
            "# kubectl -n kube-system edit configmap kube-proxy, in config.conf; then\n\
             # kubectl -n kube-system rollout restart daemonset kube-proxy\nconntrack:\n  min: {max}\n"
        ),
        Form::Configuration { kubeadm: false } => {
            format!("# {file} (KubeProxyConfiguration)\nconntrack:\n  min: {max}\n")
        }
        Form::StaticPod => {
            format!("# {file}, after the command of the container\n- --conntrack-min={max}\n")
        }
        Form::Unit => format!(
            "# systemctl edit --full kube-proxy: add to the flags in ExecStart of {file}\n\
             --conntrack-min={max}\n"
        ),
        Form::RancherUnit => format!(
            "# systemctl edit --full {}: add to ExecStart of {file}\n\
             --kube-proxy-arg=conntrack-min={max}\n",
            file.rsplit('/').next().unwrap_or(name)
        ),
        Form::Rancher => {
            format!("# /etc/rancher/{name}/config.yaml\nkube-proxy-arg:\n  - conntrack-min={max}\n")
        }
        Form::MicroK8s => format!(
            "# /var/snap/microk8s/current/args/kube-proxy; then: microk8s stop && microk8s start\n\
             --conntrack-min={max}\n"
        ),
        Form::Unknown if name == "k3s" || name == "rke2" => {
            format!("# /etc/rancher/{name}/config.yaml\nkube-proxy-arg:\n  - conntrack-min={max}\n")
        }
        Form::Unknown => format!(
            "# if kube-proxy is started with --config, in that file (KubeProxyConfiguration)\n\
             conntrack:\n  min: {max}\n# if it is started with flags only\n--conntrack-min={max}\n"
        ),
    }
}

/// The setting of kube-proxy in the machine configuration of Talos.
pub(crate) fn talos(max: u64) -> String {
    format!("cluster:\n  proxy:\n    extraArgs:\n      conntrack-min: \"{max}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{
        Source,
        writers::{Sets, Timing},
    };

    fn of(name: &'static str, files: &[&str]) -> (Form, String) {
        let source = |file: &&str| Source {
            file: file.into(),
            line: 1,
            text: String::new(),
        };
        let owner = Writer {
            name,
            evidence: files.iter().map(source).collect(),
            active: true,
            behaviour: String::new(),
            knob: String::new(),
            sets: Some(Sets {
                max: Some(1),
                buckets: None,
                timing: Timing::AtStart,
                source: source(&files[0]),
                reapplies: false,
                acts: Vec::new(),
            }),
        };
        (Form::of(&owner), snippet(&owner, 700_000))
    }

    #[test]
    fn each_host_has_its_form() {
        let flags = "--conntrack-min=700000";
        let yaml = "conntrack:\n  min: 700000";
        let rancher = "kube-proxy-arg:\n  - conntrack-min=700000";
        let wants = "/etc/systemd/system/multi-user.target.wants";
        let unit = format!("{wants}/kube-proxy.service");
        let k3s = format!("{wants}/k3s.service");
        for (name, files, form, words) in [
            (
                "kube-proxy",
                &["/var/lib/kube-proxy/config.conf"][..],
                Form::Configuration { kubeadm: true },
                &["configmap kube-proxy", yaml][..],
            ),
            (
                "kube-proxy",
                &[
                    "/proc/7/comm",
                    "/proc/7/root/var/lib/kube-proxy/config.conf",
                ],
                Form::Configuration { kubeadm: true },
                &["configmap kube-proxy", yaml],
            ),
            (
                "kube-proxy",
                &["/etc/kubernetes/kube-proxy-config.yaml"],
                Form::Configuration { kubeadm: false },
                &["/etc/kubernetes/kube-proxy-config.yaml", yaml],
            ),
            (
                "kube-proxy",
                &["/etc/kubernetes/manifests/kube-proxy.yaml"],
                Form::StaticPod,
                &[
                    "/etc/kubernetes/manifests/kube-proxy.yaml",
                    "- --conntrack-min=700000",
                ],
            ),
            (
                "kube-proxy",
                &[&unit, "/etc/systemd/system/kube-proxy.service"],
                Form::Unit,
                &["ExecStart", flags],
            ),
            (
                "kube-proxy",
                &["/proc/7/comm"],
                Form::Unknown,
                &[yaml, flags],
            ),
            (
                "k3s",
                &["/etc/rancher/k3s/config.yaml"],
                Form::Rancher,
                &["/etc/rancher/k3s/config.yaml", rancher],
            ),
            (
                "k3s",
                &["/etc/systemd/system/k3s.service"],
                Form::RancherUnit,
                &[
                    "--kube-proxy-arg=conntrack-min=700000",
                    "edit --full k3s.service",
                ],
            ),
            (
                "k3s",
                &[&k3s],
                Form::Unknown,
                &["/etc/rancher/k3s/config.yaml", rancher],
            ),
            (
                "rke2",
                &["/etc/rancher/rke2/config.yaml"],
                Form::Rancher,
                &["/etc/rancher/rke2/config.yaml", rancher],
            ),
            (
                "microk8s",
                &["/var/snap/microk8s/current/args/kube-proxy"],
                Form::MicroK8s,
                &["args/kube-proxy", flags],
            ),
        ] {
            let (found, text) = of(name, files);
            assert_eq!(found, form, "{files:?}");
            for word in words {
                assert!(text.contains(word), "{files:?}: {text}");
            }
            let yaml_only = matches!(form, Form::Configuration { .. } | Form::Rancher);
            assert!(!(yaml_only && text.contains(flags)), "{text}");
        }
    }

    #[test]
    fn talos_has_its_own() {
        assert!(talos(9).contains("extraArgs:\n      conntrack-min: \"9\""));
    }
}
