//! What `ctdrop status` says of trees: each sentence once, and with what to do.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{of_root, status, tree};

const KEY: &str = "net.netfilter.nf_conntrack_max";

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A host with a gigabyte of memory whose files set a limit of 300,000.
fn host() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    write(root, "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
    write(root, "proc/sys/kernel/osrelease", "6.1.0-25-amd64\n");
    write(root, "proc/meminfo", "MemTotal: 1048576 kB\n");
    write(root, "usr/lib/systemd/systemd", "");
    write(root, "etc/modules-load.d/ct.conf", "nf_conntrack\n");
    write(
        root,
        "etc/sysctl.d/90-ct.conf",
        &format!("{KEY} = 300000\n"),
    );
    tree
}

/// A unit that is started at boot.
fn starts(root: &Path, name: &str, command: &str) {
    for directory in ["", "multi-user.target.wants/"] {
        let path = format!("etc/systemd/system/{directory}{name}.service");
        write(root, &path, &format!("[Service]\nExecStart={command}\n"));
    }
}

fn findings(root: &Path, code: &str) -> Vec<Value> {
    let (report, _) = of_root(root);
    let findings = report["findings"].as_array().unwrap().clone();
    let mut found = findings;
    found.retain(|finding| finding["code"] == code);
    found
}

#[test]
fn each_prediction_that_is_incomplete_has_a_title_and_a_remedy_of_its_own() {
    let names = fs::read_dir(tree("")).unwrap();
    let mut any = 0;
    for name in names.map(|entry| entry.unwrap().path()) {
        if !name.is_dir() {
            continue;
        }
        let found = findings(&name, "prediction_incomplete");
        let titles: BTreeSet<&str> = found
            .iter()
            .map(|finding| finding["what"].as_str().unwrap())
            .collect();
        assert_eq!(titles.len(), found.len(), "{found:?}");
        assert!(
            found.iter().all(|finding| finding["remedy"] != ""),
            "{found:?}"
        );
        any += found.len();
    }
    assert!(any > 3, "{any}");
}

#[test]
fn a_writer_that_changes_nothing_is_not_to_be_changed() {
    for (value, remedy) in [("300000", false), ("655360", true)] {
        let host = host();
        starts(
            host.path(),
            "tune",
            &format!("/sbin/sysctl -w {KEY}={value}"),
        );
        let found = findings(host.path(), "other_writer");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["remedy"] != "", remedy, "{found:?}");
    }
}

#[test]
fn a_rule_of_udev_is_told_once() {
    let host = host();
    let rule = format!(
        "ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\", SYSCTL{{{KEY}}}=\"65536\"\n"
    );
    write(host.path(), "etc/udev/rules.d/99-ct.rules", &rule);
    assert_eq!(findings(host.path(), "other_writer").len(), 1);
    // Which of both wins at boot is not known.
    assert_eq!(findings(host.path(), "settings_overridden").len(), 0);
}

#[test]
fn what_is_there_already_is_not_advised() {
    let found = findings(&tree("el8-firewalld"), "other_writer");
    let remedy = found[0]["remedy"].as_str().unwrap();
    assert_eq!(
        remedy,
        "set CleanupModulesOnExit=no in /etc/firewalld/firewalld.conf"
    );
}

#[test]
fn programs_that_the_tree_lacks_are_told_once() {
    let host = host();
    starts(host.path(), "a", "/usr/local/bin/exporter");
    assert_eq!(findings(host.path(), "prediction_incomplete").len(), 1);
    starts(host.path(), "b", "/opt/b/run --fast");
    let found = findings(host.path(), "prediction_incomplete");
    assert_eq!(found.len(), 1, "{found:?}");
    let what = found[0]["what"].as_str().unwrap();
    assert!(
        what.ends_with("2 programs that this host runs are not in the tree"),
        "{what}"
    );
    assert!(
        found[0]["why"].as_str().unwrap().contains("/opt/b/run"),
        "{found:?}"
    );
    // The limit is told all the same.
    assert_eq!(of_root(host.path()).0["survives"]["boot"]["value"], 300_000);
}

#[test]
fn a_table_that_needs_all_of_the_memory_is_critical() {
    let host = host();
    for (max, severity) in [("1000000", "warning"), ("5000000", "critical")] {
        write(host.path(), "proc/sys/net/netfilter/nf_conntrack_max", max);
        let found = findings(host.path(), "memory_share");
        assert_eq!(found[0]["severity"], severity, "{max}: {found:?}");
    }
}

#[test]
fn a_row_says_the_default_once_and_an_entry_has_both_its_sizes() {
    let output = status(&["--root", tree("debian12").to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("320 B for an entry, 448 B with extensions"),
        "{text}"
    );
    for row in text
        .lines()
        .filter(|line| line.contains("the kernel's default"))
    {
        assert_eq!(row.matches("the kernel's default").count(), 1, "{row}");
    }
}

#[test]
fn a_script_runs_and_a_program_starts() {
    let local = of_root(&tree("rc-local")).0;
    let why = local["survives"]["boot"]["because"]["why"]
        .as_str()
        .unwrap();
    assert!(why.contains("sets the limit when it runs"), "{why}");
    let found = findings(&tree("rc-local"), "other_writer");
    assert!(
        found[0]["what"].as_str().unwrap().contains("when it runs"),
        "{found:?}"
    );
}
