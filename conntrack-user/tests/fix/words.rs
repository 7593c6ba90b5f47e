//! What a plan says: what is to be done elsewhere, what it is for, and what is against it.

use serde_json::Value;

use crate::tree::{Tree, texts};

fn plan(tree: &Tree, arguments: &[&str]) -> (Value, String) {
    let dry = [arguments, &["--dry-run"]].concat();
    let (text, _) = texts(&tree.run("fix", &dry));
    let json = [&dry[..], &["-o", "json"]].concat();
    let (json, _) = texts(&tree.run("fix", &json));
    (serde_json::from_str(&json).unwrap(), text)
}

fn warnings<'r>(report: &'r Value, code: &str) -> Vec<&'r Value> {
    let warnings = report["warnings"].as_array().unwrap();
    warnings
        .iter()
        .filter(|warning| warning["code"] == code)
        .collect()
}

#[test]
fn a_limit_that_is_not_kept_has_a_remedy() {
    for (name, words) in [
        (
            "kube-proxy",
            "set conntrack.min in the ConfigMap kube-proxy",
        ),
        ("proxmox", "set nf_conntrack_max under [OPTIONS]"),
        (
            "rc-local",
            "change or delete the line in /etc/rc.d/rc.local",
        ),
    ] {
        let (report, text) = plan(&Tree::copy_of(name), &["--to", "1500000"]);
        let found = warnings(&report, "limit_not_kept");
        assert!(!found.is_empty(), "{text}");
        for warning in found {
            assert_ne!(warning["remedy"], "", "{text}");
        }
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn status_and_fix_name_the_same_setting_of_kube_proxy() {
    for name in ["kube-proxy", "k3s", "proxmox"] {
        let tree = Tree::copy_of(name);
        let (report, text) = plan(&tree, &["--to", "1500000"]);
        let note = report["notes"][0]["what"].as_str().unwrap().to_owned();
        let (status, _) = texts(&tree.run("status", &[]));
        assert!(
            status.contains(&format!("remedy  {note}")),
            "{status}\n{text}"
        );
        assert_eq!(text.matches(&note).count(), 1, "{text}");
    }
}

#[test]
fn no_file_is_written_that_is_read_too_early() {
    let tree = Tree::copy_of("slackware15");
    for to in ["300000", "400000"] {
        let (report, text) = plan(&tree, &["--to", to]);
        assert_eq!(text.matches("+++ b/").count(), 1, "{text}");
        assert!(!warnings(&report, "limit_higher").is_empty(), "{text}");
    }
    let (status, _) = texts(&tree.run("status", &[]));
    assert!(
        status.contains("set the limit once more in /etc/rc.d/rc.local"),
        "{status}"
    );
}

#[test]
fn what_is_to_be_done_with_firewalld_is_named() {
    for name in ["el7-firewalld", "el8-firewalld"] {
        let (report, text) = plan(&Tree::copy_of(name), &[]);
        let note = report["notes"][0]["what"].as_str().unwrap();
        assert!(note.contains("set CleanupModulesOnExit=no"), "{text}");
    }
    // Its option leads to more than is wanted, as it did before.
    let (report, text) = plan(&Tree::copy_of("el8-firewalld"), &[]);
    let higher = warnings(&report, "limit_higher");
    assert_eq!(higher.len(), 2, "{text}");
    assert!(
        higher.iter().all(|note| note["severity"] == "info"),
        "{text}"
    );
}

#[test]
fn an_old_host_is_not_told_to_run_ctdrop() {
    let (_, text) = plan(&Tree::copy_of("el5-curly-quotes"), &[]);
    assert!(!text.contains("ctdrop who"), "{text}");
    assert!(text.contains("/proc/net/ip_conntrack | sort -rn"), "{text}");
}

#[test]
fn all_that_a_file_sets_the_limit_at_is_said() {
    let (_, text) = plan(&Tree::copy_of("tuned"), &[]);
    let words = "this sets the limit at a boot and at a reload of the module";
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_limit_that_needs_more_than_the_memory_is_a_problem() {
    let tree = Tree::copy_of("debian12");
    let (report, text) = plan(&tree, &["--to", "90000000"]);
    assert_eq!(warnings(&report, "memory_share")[0]["severity"], "critical");
    assert!(
        text.contains("Problem: this host runs out of memory"),
        "{text}"
    );
}
