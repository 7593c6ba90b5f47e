//! The setting of a program that owns the limit, in the form in which this host
//! configures that program.

use crate::facts::writers::{KubeForm, Writer};

/// The text to put there.
pub(crate) fn snippet(owner: &Writer, max: u64) -> String {
    let file = owner
        .sets
        .as_ref()
        .map_or_else(String::new, |sets| sets.source.file.display().to_string());
    let name = owner.name;
    match KubeForm::of(owner) {
        _ if name == "pve-firewall" => format!(
            "# /etc/pve/local/host.fw\n[OPTIONS]\nnf_conntrack_max: {}\n",
            max.div_ceil(8192) * 8192
        ),
        KubeForm::Configuration { kubeadm: true } => format!(
            "# kubectl -n kube-system edit configmap kube-proxy, in config.conf; then\n\
             # kubectl -n kube-system rollout restart daemonset kube-proxy\nconntrack:\n  min: {max}\n"
        ),
        KubeForm::Configuration { kubeadm: false } => {
            format!("# {file} (KubeProxyConfiguration)\nconntrack:\n  min: {max}\n")
        }
        KubeForm::StaticPod => {
            format!("# {file}, after the command of the container\n- --conntrack-min={max}\n")
        }
        KubeForm::Unit => format!(
            "# systemctl edit --full kube-proxy: add to the flags in ExecStart of {file}\n\
             --conntrack-min={max}\n"
        ),
        KubeForm::Environment => {
            format!("# {file}: add to the flags in the variable\n--conntrack-min={max}\n")
        }
        KubeForm::RancherUnit => format!(
            "# systemctl edit --full {}: add to ExecStart of {file}\n\
             --kube-proxy-arg=conntrack-min={max}\n",
            file.rsplit('/').next().unwrap_or(name)
        ),
        KubeForm::Rancher => {
            format!("# {file}\nkube-proxy-arg:\n  - conntrack-min={max}\n")
        }
        KubeForm::MicroK8s => format!(
            "# /var/snap/microk8s/current/args/kube-proxy; then: microk8s stop && microk8s start\n\
             --conntrack-min={max}\n"
        ),
        KubeForm::Unknown if name == "k3s" || name == "rke2" => {
            format!("# /etc/rancher/{name}/config.yaml\nkube-proxy-arg:\n  - conntrack-min={max}\n")
        }
        KubeForm::Unknown => format!(
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

    fn of(name: &'static str, files: &[&str]) -> (KubeForm, String) {
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
        (KubeForm::of(&owner), snippet(&owner, 700_000))
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
                KubeForm::Configuration { kubeadm: true },
                &["configmap kube-proxy", yaml][..],
            ),
            (
                "kube-proxy",
                &[
                    "/proc/7/comm",
                    "/proc/7/root/var/lib/kube-proxy/config.conf",
                ],
                KubeForm::Configuration { kubeadm: true },
                &["configmap kube-proxy", yaml],
            ),
            (
                "kube-proxy",
                &["/etc/kubernetes/kube-proxy-config.yaml"],
                KubeForm::Configuration { kubeadm: false },
                &["/etc/kubernetes/kube-proxy-config.yaml", yaml],
            ),
            (
                "kube-proxy",
                &["/etc/kubernetes/manifests/kube-proxy.yaml"],
                KubeForm::StaticPod,
                &[
                    "/etc/kubernetes/manifests/kube-proxy.yaml",
                    "- --conntrack-min=700000",
                ],
            ),
            (
                "kube-proxy",
                &[&unit, "/etc/systemd/system/kube-proxy.service"],
                KubeForm::Unit,
                &["ExecStart", flags],
            ),
            (
                "kube-proxy",
                &["/proc/7/comm"],
                KubeForm::Unknown,
                &[yaml, flags],
            ),
            (
                "k3s",
                &["/etc/rancher/k3s/config.yaml"],
                KubeForm::Rancher,
                &["/etc/rancher/k3s/config.yaml", rancher],
            ),
            (
                "k3s",
                &["/etc/systemd/system/k3s.service"],
                KubeForm::RancherUnit,
                &[
                    "--kube-proxy-arg=conntrack-min=700000",
                    "edit --full k3s.service",
                ],
            ),
            (
                "k3s",
                &[&k3s],
                KubeForm::Unknown,
                &["/etc/rancher/k3s/config.yaml", rancher],
            ),
            (
                "rke2",
                &["/etc/rancher/rke2/config.yaml"],
                KubeForm::Rancher,
                &["/etc/rancher/rke2/config.yaml", rancher],
            ),
            (
                "microk8s",
                &["/var/snap/microk8s/current/args/kube-proxy"],
                KubeForm::MicroK8s,
                &["args/kube-proxy", flags],
            ),
        ] {
            let (found, text) = of(name, files);
            assert_eq!(found, form, "{files:?}");
            for word in words {
                assert!(text.contains(word), "{files:?}: {text}");
            }
            let yaml_only = matches!(form, KubeForm::Configuration { .. } | KubeForm::Rancher);
            assert!(!(yaml_only && text.contains(flags)), "{text}");
        }
    }

    #[test]
    fn talos_has_its_own() {
        assert!(talos(9).contains("extraArgs:\n      conntrack-min: \"9\""));
    }
}
