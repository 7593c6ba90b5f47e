//! The bundles of containerd and CRI-O: `config.json` of the OCI runtime specification, whose
//! annotations have the names of the container. The rest of the file, which has the environment of
//! the container's processes, is skipped.

use std::collections::HashMap;

use serde::Deserialize;

use crate::kernel::container::{
    form::{image, name},
    names::Names,
    tree::{Found, Tree},
    workload::Workload,
};

/// The state folders of containerd: its own, and those of k3s and rke2, k0s, and microk8s.
const CONTAINERD: [&str; 4] = [
    "/run/containerd",
    "/run/k3s/containerd",
    "/run/k0s/containerd",
    "/var/snap/microk8s/common/run/containerd",
];

/// Where the bundles are in there, a folder for each of containerd's namespaces: since
/// containerd 1.2, and before.
const RUNTIMES: [&str; 2] = [
    "io.containerd.runtime.v2.task",
    "io.containerd.runtime.v1.linux",
];

/// The most namespaces of containerd that are searched.
const NAMESPACES: usize = 32;

/// Where CRI-O keeps a container's bundle (`/run`, and `/var/lib` for what outlives a boot).
const CRIO: [&str; 2] = [
    "/run/containers/storage/overlay-containers",
    "/var/lib/containers/storage/overlay-containers",
];

#[derive(Deserialize)]
struct Bundle {
    annotations: Option<HashMap<String, String>>,
}

/// The names in the bundle of containerd for the container with that id.
pub(super) fn of_containerd(tree: &Tree, id: &str) -> Found<Names> {
    let mut unread = None;
    for state in CONTAINERD {
        for runtime in RUNTIMES {
            let folder = format!("{state}/{runtime}");
            let namespaces = tree.list(&folder, NAMESPACES)?.unwrap_or_default();
            for namespace in namespaces.names {
                let path = format!("{folder}/{namespace}/{id}/config.json");
                if let Some(content) = tree.read(&path)? {
                    return parse(&content, &path).map(Some);
                }
            }
            unread = unread.or(namespaces.unread);
        }
    }
    unread.map_or(Ok(None), Err)
}

/// The names in the bundle of CRI-O for the container with that id.
pub(super) fn of_crio(tree: &Tree, id: &str) -> Found<Names> {
    for folder in CRIO {
        let path = format!("{folder}/{id}/userdata/config.json");
        if let Some(content) = tree.read(&path)? {
            return parse(&content, &path).map(Some);
        }
    }
    Ok(None)
}

fn parse(content: &[u8], path: &str) -> Result<Names, String> {
    let bundle: Bundle =
        serde_json::from_slice(content).map_err(|error| format!("{path}: {error}"))?;
    let annotations = bundle.annotations.unwrap_or_default();
    let said = |key: &str| annotations.get(key).map(String::as_str);
    let named = |key: &str| said(key).and_then(name);
    let by_containerd = || {
        let pod = named("io.kubernetes.cri.sandbox-name")?;
        Some(Names {
            container: named("io.kubernetes.cri.container-name"),
            image: said("io.kubernetes.cri.image-name").and_then(image),
            namespace: named("io.kubernetes.cri.sandbox-namespace"),
            pod: Some(pod),
            ..Names::by(path)
        })
    };
    let by_nerdctl = || Names {
        container: named("nerdctl/name"),
        ..Names::by(path)
    };
    Ok(by_containerd()
        .or_else(|| by_crio(said, path))
        .unwrap_or_else(by_nerdctl))
}

/// CRI-O writes the labels of a pod and of its containers as JSON in one annotation, and
/// those of a container as annotations, too.
fn by_crio<'a>(said: impl Fn(&str) -> Option<&'a str>, path: &str) -> Option<Names> {
    let kind = said("io.kubernetes.cri-o.ContainerType")?;
    let labels = said("io.kubernetes.cri-o.Labels").unwrap_or("{}");
    let labels: HashMap<String, String> = serde_json::from_str(labels).unwrap_or_default();
    let label = |key: &str| labels.get(key).map(String::as_str);
    let named = |key: &str| said(key).and_then(name);
    let pod = of_kubernetes(label, path).or_else(|| of_kubernetes(&said, path));
    let pod = pod.unwrap_or_else(|| Names {
        pod: named("io.kubernetes.cri-o.KubeName"),
        namespace: named("io.kubernetes.cri-o.Namespace"),
        ..Names::by(path)
    });
    if kind == "sandbox" {
        return Some(Names {
            container: None,
            ..pod
        });
    }
    let called = |key: &str| said(key).and_then(image);
    Some(Names {
        // The name that was asked for may be a short one; the other one is any of the image.
        image: called("io.kubernetes.cri-o.Image")
            .filter(|image| !is_digest(image))
            .or_else(|| called("io.kubernetes.cri-o.ImageName")),
        ..pod
    })
}

/// Whether the name of an image is only its id.
fn is_digest(image: &str) -> bool {
    image.len() >= 64 && image.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The names in the kubelet's labels: those of a container, or those of a pod
/// (`pkg/kubelet/kuberuntime/labels.go` and `k8s.io/kubelet/pkg/types/labels.go`, 1.3 to 1.34).
pub(super) fn of_kubernetes<'a>(
    label: impl Fn(&str) -> Option<&'a str>,
    path: &str,
) -> Option<Names> {
    let named = |key: &str| label(key).and_then(name);
    let pod = named("io.kubernetes.pod.name")?;
    // "POD" is what dockershim called a sandbox.
    let container = named("io.kubernetes.container.name").filter(|name| name != "POD");
    Some(Names {
        container,
        namespace: named("io.kubernetes.pod.namespace"),
        workload: Workload::by_labels(&pod, &label),
        pod: Some(pod),
        ..Names::by(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerd() {
        let bundle = r#"{"ociVersion":"1.1.0","process":{"env":["A=b"]},"annotations":{
            "io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"web",
            "io.kubernetes.cri.image-name":"docker.io/library/nginx:1.25",
            "io.kubernetes.cri.sandbox-name":"cart-6d5f7c9b8-x2x4z",
            "io.kubernetes.cri.sandbox-namespace":"shop"}}"#;
        let names = parse(bundle.as_bytes(), "f").unwrap();
        assert_eq!(names.pod(), Some(("shop", "cart-6d5f7c9b8-x2x4z")));
        assert_eq!(names.container.as_deref(), Some("web"));
        assert_eq!(names.image.as_deref(), Some("docker.io/library/nginx:1.25"));
    }

    #[test]
    fn nerdctl() {
        let bundle = br#"{"annotations":{"nerdctl/name":"web","nerdctl/namespace":"default"}}"#;
        let names = parse(bundle, "f").unwrap();
        assert_eq!(
            (names.container.as_deref(), names.pod()),
            (Some("web"), None)
        );
        assert!(!parse(b"{}", "f").unwrap().say_something());
    }

    #[test]
    fn crio() {
        let container = r#"{"annotations":{"io.kubernetes.cri-o.ContainerType":"container",
            "io.kubernetes.container.name":"web","io.kubernetes.pod.name":"cart-1",
            "io.kubernetes.pod.namespace":"shop","io.kubernetes.cri-o.Image":"quay.io/a/web:2",
            "io.kubernetes.cri-o.ImageName":"quay.io/a/web:latest"}}"#;
        let names = parse(container.as_bytes(), "f").unwrap();
        assert_eq!(names.pod(), Some(("shop", "cart-1")));
        assert_eq!(names.container.as_deref(), Some("web"));
        assert_eq!(names.image.as_deref(), Some("quay.io/a/web:2"));
        let sandbox = r#"{"annotations":{"io.kubernetes.cri-o.ContainerType":"sandbox",
            "io.kubernetes.cri-o.Labels":"{\"pod-template-hash\":\"6d5f7c9b8\",\"io.kubernetes.pod.name\":\"cart-6d5f7c9b8-x2x4z\",\"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.container.name\":\"POD\"}"}}"#;
        let names = parse(sandbox.as_bytes(), "f").unwrap();
        assert_eq!(names.details(), ["by its labels of Deployment cart"]);
        assert_eq!(names.container, None);
    }
}
