//! The DaemonSet has the rights that docs/install.md names, and no others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use saphyr::{LoadableYamlNode as _, Yaml};

/// The capabilities that the README names.
const CAPABILITIES: [&str; 6] = [
    "BPF",
    "NET_ADMIN",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_PTRACE",
];

fn text(path: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(workspace.join(path)).unwrap()
}

/// Checks the specification of the pods, which is all that matters to a node.
fn with_pod(check: impl Fn(&Yaml)) {
    let text = text("packaging/kubernetes/ctdrop.yaml");
    let documents = Yaml::load_from_str(&text).unwrap();
    let mut sets = documents
        .iter()
        .filter(|one| one["kind"].as_str() == Some("DaemonSet"));
    check(&sets.next().unwrap()["spec"]["template"]["spec"]);
    assert!(sets.next().is_none());
}

/// The strings of a list.
fn strings<'a>(list: &'a Yaml) -> Vec<&'a str> {
    let list = list.as_sequence().unwrap();
    list.iter().map(|one| one.as_str().unwrap()).collect()
}

#[test]
fn the_pods_have_no_more_rights_than_they_need() {
    with_pod(|pod| {
        assert_eq!(pod["hostPID"].as_bool(), Some(true));
        assert!(pod.as_mapping_get("hostNetwork").is_none());
        assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
        let context = &pod["containers"][0]["securityContext"];
        assert_eq!(context["privileged"].as_bool(), Some(false));
        assert_eq!(context["readOnlyRootFilesystem"].as_bool(), Some(true));
        assert_eq!(strings(&context["capabilities"]["drop"]), ["ALL"]);
        let mut added = strings(&context["capabilities"]["add"]);
        added.sort_unstable();
        assert_eq!(added, CAPABILITIES);
        for mount in pod["containers"][0]["volumeMounts"].as_sequence().unwrap() {
            let is_state = mount["name"].as_str() == Some("state");
            let is_read_only = mount.as_mapping_get("readOnly").and_then(Yaml::as_bool);
            assert_eq!(is_read_only, (!is_state).then_some(true));
        }
    });
    let documentation = text("docs/install.md");
    for capability in CAPABILITIES {
        assert!(
            documentation.contains(capability),
            "docs/install.md names no {capability}"
        );
    }
}

#[test]
fn the_pods_are_bounded_probed_and_of_this_version() {
    with_pod(|pod| {
        let container = &pod["containers"][0];
        let image = container["image"].as_str().unwrap();
        assert_eq!(image, concat!("ctdrop:", env!("CARGO_PKG_VERSION")));
        for bound in ["cpu", "memory"] {
            assert!(container["resources"]["limits"][bound].as_str().is_some());
        }
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"].as_str(), Some(path));
        }
    });
}
