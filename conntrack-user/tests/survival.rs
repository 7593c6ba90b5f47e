//! What survives on each platform: the value after a boot, a restart of its
//! firewall service and a reload of the module, and the line that decides, for
//! the trees in `trees/`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{path::Path, process::Command};

use conntrack_user::{
    facts::{Facts, root::Root},
    survival::{Outcome, Start, simulate},
};

/// A value and the place that decides it; empty if it is the kernel's default.
type Expected = (u64, &'static str);

/// Tree, and what is in force after boot, service restart and module reload.
const TABLE: [(&str, Expected, Expected, Expected); 35] = [
    (
        "el5",
        (1_048_576, "/etc/sysctl.conf:3"),
        (1_048_576, "/etc/sysctl.conf:3"),
        (65_536, ""),
    ),
    // The shell takes the list for one command's only.
    (
        "el5-curly-quotes",
        (1_048_576, "/etc/sysctl.conf:3"),
        (65_536, ""),
        (65_536, ""),
    ),
    (
        "el5-old-iptables",
        (1_048_576, "/etc/sysctl.conf:3"),
        (65_536, ""),
        (65_536, ""),
    ),
    (
        "el6-iptables-6",
        (222_222, "/etc/sysctl.d/90-conntrack.conf:2"),
        (65_536, ""),
        (65_536, ""),
    ),
    (
        "el6-iptables-16",
        (222_222, "/etc/sysctl.d/90-conntrack.conf:2"),
        (111_111, "/etc/sysctl.conf:2"),
        (65_536, ""),
    ),
    (
        "el6-iptables-19",
        (222_222, "/etc/sysctl.d/90-conntrack.conf:2"),
        (222_222, "/etc/sysctl.d/90-conntrack.conf:2"),
        (65_536, ""),
    ),
    // The twin's own configuration has the list under the wrong name.
    (
        "el6-ip6tables",
        (1_048_576, "/etc/sysctl.conf:1"),
        (65_536, ""),
        (65_536, ""),
    ),
    (
        "el7-iptables-18",
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:1"),
        (262_144, ""),
        (262_144, ""),
    ),
    // The script reads files of any suffix, also the backup.
    (
        "el7-iptables-24",
        (333_333, "/etc/sysctl.d/90-conntrack.conf.bak:1"),
        (333_333, "/etc/sysctl.d/90-conntrack.conf.bak:1"),
        (262_144, ""),
    ),
    ("el7-firewalld", (262_144, ""), (262_144, ""), (262_144, "")),
    (
        "el8-iptables",
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:2"),
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:2"),
        (262_144, ""),
    ),
    (
        "el8-firewalld",
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:2"),
        (2_097_152, "/etc/modprobe.d/conntrack.conf:1"),
        (2_097_152, "/etc/modprobe.d/conntrack.conf:1"),
    ),
    (
        "el9-iptables",
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:1"),
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:1"),
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:1"),
    ),
    (
        "debian11",
        (400_000, "/etc/sysctl.conf:3"),
        (400_000, "/etc/sysctl.conf:3"),
        (262_144, ""),
    ),
    // The module is loaded after sysctls have been set.
    ("debian12", (65_536, ""), (65_536, ""), (65_536, "")),
    // /etc/sysctl.conf is not read any more.
    ("debian13", (262_144, ""), (262_144, ""), (262_144, "")),
    (
        "ubuntu-ufw",
        (131_072, "/etc/ufw/sysctl.conf:3"),
        (131_072, "/etc/ufw/sysctl.conf:3"),
        (65_536, ""),
    ),
    (
        "kube-proxy",
        (524_288, "/var/lib/kube-proxy/config.conf:4"),
        (524_288, "/var/lib/kube-proxy/config.conf:4"),
        (262_144, ""),
    ),
    (
        "kube-proxy-left-alone",
        (2_097_152, "/etc/sysctl.d/99-kubernetes.conf:1"),
        (2_097_152, "/etc/sysctl.d/99-kubernetes.conf:1"),
        (262_144, ""),
    ),
    (
        "proxmox",
        (303_104, "/etc/pve/nodes/pve1/host.fw:4"),
        (303_104, "/etc/pve/nodes/pve1/host.fw:4"),
        (303_104, "/etc/pve/nodes/pve1/host.fw:4"),
    ),
    (
        "tuned",
        (800_000, "/etc/tuned/mine/tuned.conf:6"),
        (800_000, "/etc/tuned/mine/tuned.conf:6"),
        (262_144, ""),
    ),
    (
        "tuned-reapplies",
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:1"),
        (1_048_576, "/etc/sysctl.d/90-conntrack.conf:1"),
        (262_144, ""),
    ),
    (
        "k3s",
        (200_000, "/etc/systemd/system/k3s.service:4"),
        (200_000, "/etc/systemd/system/k3s.service:4"),
        (65_536, ""),
    ),
    (
        "rc-local",
        (131_072, "/etc/rc.d/rc.local:3"),
        (65_536, ""),
        (65_536, ""),
    ),
    (
        "arch",
        (600_000, "/usr/lib/sysctl.d/80-conntrack.conf:1"),
        (600_000, "/usr/lib/sysctl.d/80-conntrack.conf:1"),
        (262_144, ""),
    ),
    // Alpine's own script applies /etc/sysctl.conf after the directory.
    (
        "openrc-busybox",
        (100_000, "/etc/sysctl.conf:1"),
        (100_000, "/etc/sysctl.conf:1"),
        (8192, ""),
    ),
    // ufw loads conntrack before the network is up, when settings are applied again.
    (
        "ubuntu14-upstart",
        (262_144, "/etc/sysctl.conf:2"),
        (262_144, "/etc/sysctl.conf:2"),
        (65_536, ""),
    ),
    (
        "openwrt",
        (16_384, "/etc/sysctl.conf:2"),
        (16_384, "/etc/sysctl.conf:2"),
        (8192, ""),
    ),
    (
        "debian7-sysv",
        (300_000, "/etc/sysctl.conf:1"),
        (300_000, "/etc/sysctl.conf:1"),
        (65_536, ""),
    ),
    // Settings are applied before conntrack is loaded.
    ("sles11", (65_536, ""), (65_536, ""), (65_536, "")),
    ("slackware15", (262_144, ""), (262_144, ""), (262_144, "")),
    (
        "void",
        (500_000, "/etc/sysctl.conf:1"),
        (500_000, "/etc/sysctl.conf:1"),
        (262_144, ""),
    ),
    (
        "gentoo",
        (350_000, "/etc/sysctl.conf:1"),
        (350_000, "/etc/sysctl.conf:1"),
        (262_144, ""),
    ),
    (
        "buildroot",
        (40_000, "/etc/sysctl.conf:1"),
        (40_000, "/etc/sysctl.conf:1"),
        (4096, ""),
    ),
    (
        "built-in",
        (524_288, "/etc/sysctl.d/90-conntrack.conf:1"),
        (524_288, "/etc/sysctl.d/90-conntrack.conf:1"),
        (524_288, "/etc/sysctl.d/90-conntrack.conf:1"),
    ),
];

fn facts(tree: &str) -> Facts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/trees")
        .join(tree);
    Facts::read(&Root::open(&path).unwrap()).unwrap()
}

fn check(tree: &str, event: &str, outcome: &Outcome, (value, place): Expected) {
    let origin = &outcome.origin;
    let found = origin.source().map(ToString::to_string).unwrap_or_default();
    assert_eq!(
        (outcome.value, found.as_str()),
        (Some(value), place),
        "{tree}, {event}: {origin:?}\n{:#?}\n{:#?}",
        outcome.steps,
        outcome.caveats
    );
}

#[test]
fn each_platform() {
    for (tree, boot, restart, reload) in TABLE {
        let survival = simulate(&facts(tree), Start::AfterBoot);
        check(tree, "boot", &survival.boot, boot);
        check(tree, "service restart", &survival.service_restart, restart);
        check(tree, "module reload", &survival.module_reload, reload);
    }
}

#[test]
fn every_tree_is_in_the_table() {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    for entry in std::fs::read_dir(trees).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            assert!(TABLE.iter().any(|(tree, ..)| *tree == name), "{name}");
        }
    }
}

/// The commands that the documentation gives for copying a host.
fn recipe() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/status.md");
    let page = std::fs::read_to_string(page).unwrap();
    let begin = page.find("    from=").unwrap();
    let block = page[begin..]
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    block.flat_map(|line| [line, "\n"]).collect()
}

/// What `ctdrop status` says of a tree, without its path and the time.
fn judged(root: &Path) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(["status", "-o", "json", "--root"])
        .arg(root)
        .output()
        .unwrap();
    let mut report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for field in ["root", "time"] {
        report.as_object_mut().unwrap().remove(field).unwrap();
    }
    report
}

#[test]
fn a_copy_as_documented_is_judged_alike() {
    let recipe = recipe();
    for (name, ..) in TABLE {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/trees")
            .join(name);
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("box");
        let output = Command::new("sh")
            .args(["-euc", &recipe])
            .env("from", &tree)
            .env("box", &copy)
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {output:?}"
        );
        assert_eq!(judged(&copy), judged(&tree), "{name}");
    }
}

/// What the recipe must not take, and what it must not change.
#[test]
fn a_copy_holds_no_secrets_and_runs_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    std::fs::create_dir_all(at("host/etc/ssh")).unwrap();
    for file in ["etc/shadow", "etc/ssh/ssh_host_rsa_key", "etc/sysctl.conf"] {
        std::fs::write(at("host").join(file), "x\n").unwrap();
    }
    let run = || {
        Command::new("sh")
            .args(["-euc", &recipe()])
            .env("from", at("host"))
            .env("box", at("box"))
            .output()
            .unwrap()
    };
    assert!(run().status.success());
    assert!(at("box/etc/sysctl.conf").exists());
    assert!(!at("box/etc/shadow").exists() && !at("box/etc/ssh").exists());
    assert!(!run().status.success(), "the box is there already");
}
