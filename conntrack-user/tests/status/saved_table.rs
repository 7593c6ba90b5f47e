//! The table that was copied with a tree, or saved apart from it.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{of_root, status};

/// Connections that have been idle for days, beside some in use.
fn leak() -> String {
    let entry = |number: u32, left: u32| {
        format!(
            "tcp      6 {left} ESTABLISHED src=192.0.2.7 dst=192.0.2.9 sport={number} dport=80 \
             src=192.0.2.9 dst=192.0.2.7 sport=80 dport={number} [ASSURED] mark=0 use=1\n"
        )
    };
    let idle: String = (1..=180).map(|number| entry(number, 100_000)).collect();
    let used: String = (181..=200).map(|number| entry(number, 431_999)).collect();
    idle + &used
}

/// A tree of a host of 2.6.18 whose table of 200 entries is full.
fn tree(root: &Path) {
    for (path, text) in [
        ("etc/redhat-release", "CentOS release 5.11 (Final)\n"),
        ("proc/sys/kernel/osrelease", "2.6.18-398.el5\n"),
        ("proc/sys/net/ipv4/netfilter/ip_conntrack_max", "200\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(root.join("usr")).unwrap();
    fs::create_dir_all(root.join("proc/net")).unwrap();
}

#[test]
fn the_copied_table_of_an_old_box_is_judged() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    fs::write(root.path().join("proc/net/ip_conntrack"), leak()).unwrap();
    let (report, _) = of_root(root.path());
    assert_eq!(report["incident"]["kind"], "leak", "{report}");
    // The tree does not tell how many entries there are.
    assert_eq!(report["namespaces"][0]["entries"], 200);
    assert_eq!(report["warnings"], Value::Array(Vec::new()));
}

#[test]
fn a_table_saved_apart_is_named() {
    let root = tempfile::tempdir().unwrap();
    tree(root.path());
    let table = root.path().join("table.txt");
    let of = |text: &str| {
        fs::write(&table, text).unwrap();
        let (root, table) = (root.path().to_str().unwrap(), table.to_str().unwrap());
        status(&["-o", "json", "--root", root, "--table", table])
    };
    let output = of(&format!("{}nonsense\n", leak()));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["incident"]["kind"], "leak", "{report}");
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("the first is line 201: nonsense"),
        "{warning}"
    );
    let output = of("nonsense\n");
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("is not a saved conntrack table"), "{error}");
}
