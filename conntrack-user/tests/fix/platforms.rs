//! What is changed on each platform, to the byte, and what survives then. The
//! files that are changed or made lie in `golden/`, below the tree's name; all
//! others must stay as they are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::tree::{KEPT, LIMIT, Node, Snapshot, Tree, copy};

/// Tree, and the limit after a boot, after the worst restart, after a reload.
///
/// Without a udev rule that is counted on (from Linux 5.11 on), a reload leads to
/// eight times the buckets, which is twice the limit. Where a restart or a boot
/// leaves only the option, there are buckets for an eighth of the entries, so that
/// the limit is as wanted; but more that are configured stay (`el8-firewalld`), and
/// Linux 5.15 needs a bucket for each entry (`slackware15`).
const TABLE: [(&str, [u64; 3]); 32] = [
    ("el5", [LIMIT, LIMIT, 3_000_000]),
    ("el5-curly-quotes", [LIMIT, LIMIT, 3_000_000]),
    ("el5-old-iptables", [LIMIT, LIMIT, LIMIT]),
    ("el6-iptables-6", [LIMIT, LIMIT, LIMIT]),
    ("el6-iptables-16", [LIMIT, LIMIT, 3_000_000]),
    ("el6-iptables-19", [LIMIT, LIMIT, 3_000_000]),
    ("el6-ip6tables", [LIMIT, LIMIT, 3_000_000]),
    ("el7-iptables-18", [LIMIT, LIMIT, 3_000_000]),
    ("el7-iptables-24", [LIMIT, LIMIT, 3_000_000]),
    ("el7-firewalld", [LIMIT, LIMIT, LIMIT]),
    ("el8-iptables", [LIMIT, LIMIT, 3_002_368]),
    ("el8-iptables-any-suffix", [LIMIT, LIMIT, 3_002_368]),
    ("el8-firewalld", [LIMIT, 2_097_152, 2_097_152]),
    ("el9-iptables", [LIMIT, LIMIT, LIMIT]),
    ("debian11", [LIMIT, LIMIT, 3_002_368]),
    ("debian12", [LIMIT, LIMIT, LIMIT]),
    ("debian13", [LIMIT, LIMIT, LIMIT]),
    ("ubuntu-ufw", [LIMIT, LIMIT, LIMIT]),
    ("kube-proxy-left-alone", [LIMIT, LIMIT, LIMIT]),
    ("tuned", [LIMIT, LIMIT, LIMIT]),
    ("tuned-reapplies", [LIMIT, LIMIT, LIMIT]),
    ("arch", [LIMIT, LIMIT, LIMIT]),
    ("openrc-busybox", [LIMIT, LIMIT, 3_002_368]),
    ("ubuntu14-upstart", [LIMIT, LIMIT, 3_000_000]),
    ("openwrt", [LIMIT, LIMIT, 3_002_368]),
    ("debian7-sysv", [LIMIT, LIMIT, 3_000_000]),
    ("sles11", [LIMIT, LIMIT, LIMIT]),
    ("slackware15", [12_001_280, 12_001_280, 12_001_280]),
    ("void", [LIMIT, LIMIT, 3_002_368]),
    ("gentoo", [LIMIT, LIMIT, 3_002_368]),
    ("buildroot", [LIMIT, LIMIT, 3_002_368]),
    ("built-in", [LIMIT, LIMIT, LIMIT]),
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fix/golden")
        .join(name)
}

fn tree(name: &str) -> Tree {
    // Enterprise Linux 8 before 1.8.4-15 read files of any suffix.
    if name == "el8-iptables-any-suffix" {
        let tree = Tree::copy_of("el8-iptables");
        let script = "/usr/libexec/iptables/iptables.init";
        let text = tree.text(script).replace("sysctl.d/*.conf", "sysctl.d/*");
        tree.write(script, &text);
        tree.write(
            "/etc/sysctl.d/90-conntrack.conf.rpmsave",
            "net.netfilter.nf_conntrack_max = 65536\n",
        );
        return tree;
    }
    Tree::copy_of(name)
}

/// The tree as it should be: the files of `golden/` laid over it.
fn expected(name: &str) -> Snapshot {
    let expected = tree(name);
    copy(&golden(name), expected.path());
    expected.snapshot()
}

/// Without times, which a change changes.
fn contents(snapshot: &Snapshot) -> Vec<(&Path, Option<(u32, String)>)> {
    snapshot
        .iter()
        .map(|(path, node)| match node {
            Node::File { mode, content, .. } => {
                let text = String::from_utf8_lossy(content).into_owned();
                (path.as_path(), Some((*mode, text)))
            }
            Node::Link(_) | Node::Directory(_) => (path.as_path(), None),
        })
        .collect()
}

fn values(tree: &Tree) -> [Option<u64>; 3] {
    let survival = tree.survival();
    [
        survival.boot,
        survival.service_restart,
        survival.module_reload,
    ]
    .map(|outcome| outcome.value)
}

#[test]
fn each_platform() {
    for (name, survives) in TABLE {
        let tree = tree(name);
        let before = tree.snapshot();
        tree.fix();
        let after = tree.snapshot();
        assert_eq!(contents(&after), contents(&expected(name)), "{name}");
        assert_eq!(values(&tree), survives.map(Some), "{name}");
        for (path, node) in &before {
            if after[path] != *node {
                let changed = golden(name).join(path.strip_prefix("/").unwrap());
                assert!(
                    changed.is_file(),
                    "{name}: {} is not to be touched",
                    path.display()
                );
            }
        }

        let whole = tree.whole();
        let out = tree.fix();
        // What is to be done elsewhere stays so.
        let said = if out.contains("To do elsewhere: ") {
            "ctdrop changes nothing here; see"
        } else {
            "Nothing needs to be changed"
        };
        assert!(out.contains(said), "{name}: {out}");
        assert_eq!(
            tree.whole(),
            whole,
            "{name}: the second time changed something"
        );

        tree.done("undo", &[]);
        assert_eq!(tree.snapshot(), before, "{name}: not all was taken back");
    }
}

/// Each line that is added for the module's option has the buckets that are said.
fn buckets_are_as_said(out: &str) {
    let added = |line: &str| {
        Some(
            line.strip_prefix('+')?
                .split_once("hashsize=")?
                .1
                .to_owned(),
        )
    };
    for buckets in out.lines().filter_map(added) {
        let digits: String = buckets.chars().take_while(char::is_ascii_digit).collect();
        let said = "the module then starts with ";
        let said = out.lines().filter_map(|line| line.split_once(said));
        let mut said = said.map(|(_, rest)| rest.split(' ').next().unwrap().replace(',', ""));
        assert!(said.any(|said| said == digits), "{digits}: {out}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    for (name, _) in TABLE {
        let tree = tree(name);
        let before = tree.whole();
        let out = tree.done("fix", &["--to", "1500000", "--dry-run"]);
        assert!(out.contains("+++ b/etc/"), "{out}");
        buckets_are_as_said(&out);
        assert_eq!(tree.whole(), before, "{name}");
        assert!(!tree.at(KEPT).exists());
    }
}

/// Fewer than the kernel would choose by itself.
#[test]
fn an_option_that_is_there_gets_what_is_said() {
    let tree = Tree::copy_of("debian12");
    tree.write(
        "/etc/modprobe.d/nf_conntrack.conf",
        "options nf_conntrack hashsize=512\n",
    );
    let out = tree.done("fix", &["--to", "100000", "--dry-run"]);
    assert!(out.contains("+options nf_conntrack hashsize="), "{out}");
    buckets_are_as_said(&out);
}

/// Settings come before the module there, and no line overrides them.
#[test]
fn a_line_that_comes_too_early_is_not_called_overridden() {
    let tree = tree("sles11");
    tree.write(
        "/etc/sysctl.conf",
        "net.ipv4.netfilter.ip_conntrack_max = 200000\nnet.netfilter.nf_conntrack_max = 200000\n",
    );
    let out = tree.done("fix", &["--to", "1500000", "--dry-run"]);
    assert!(!out.contains("is overridden"), "{out}");
}

#[test]
fn nobody_is_fought() {
    for (name, words) in [
        (
            "kube-proxy",
            ["configmap kube-proxy", "conntrack:\n      min: 1500000"],
        ),
        (
            "k3s",
            // Flags in the unit override the configuration file.
            [
                "/etc/systemd/system/k3s.service",
                "--kube-proxy-arg=conntrack-min=1500000",
            ],
        ),
        (
            "proxmox",
            ["/etc/pve/local/host.fw", "nf_conntrack_max: 1507328"],
        ),
    ] {
        let tree = Tree::copy_of(name);
        let before = tree.whole();
        let output = tree.run("fix", &["--to", "1500000", "--yes"]);
        let (out, err) = crate::tree::texts(&output);
        assert_eq!(output.status.code(), Some(1), "{out}");
        assert!(
            err.contains("no file was changed: no setting on this host can keep the limit"),
            "{err}"
        );
        for word in words {
            assert!(out.contains(word), "{name}: {out}");
        }
        assert_eq!(tree.whole(), before, "{name}");
    }
}

#[test]
fn what_an_owner_sets_is_enough_if_it_is_enough() {
    let tree = Tree::copy_of("proxmox");
    let out = tree.done("fix", &["--to", "300000", "--yes"]);
    assert!(out.contains("Nothing needs to be changed"), "{out}");
    assert!(!out.contains("To do elsewhere"), "{out}");
}

#[test]
fn a_script_that_sets_another_limit_is_named() {
    let tree = Tree::copy_of("rc-local");
    let rc_local = tree.text("/etc/rc.d/rc.local");
    let err = tree.fails(
        "fix",
        &["--to", "1500000", "--yes"],
        &["a boot still leads to a limit of 131,072"],
    );
    assert!(!err.contains("a restart"), "{err}");
    assert_eq!(tree.text("/etc/rc.d/rc.local"), rc_local);
}

#[test]
fn files_made_from_a_description_are_left() {
    let tree = Tree::empty();
    tree.write(
        "/etc/os-release",
        "ID=nixos\nNAME=NixOS\nPRETTY_NAME=\"NixOS 25.05\"\n",
    );
    tree.write(
        "/etc/sysctl.d/60-nixos.conf",
        "net.netfilter.nf_conntrack_max = 262144\n",
    );
    tree.write("/proc/sys/kernel/osrelease", "6.12.30\n");
    tree.write("/proc/meminfo", "MemTotal: 16310000 kB\n");
    tree.write("/usr/lib/systemd/systemd", "");
    let before = tree.whole();
    let output = tree.run("fix", &["--to", "524288", "--yes"]);
    let (out, _) = crate::tree::texts(&output);
    assert_eq!(output.status.code(), Some(1));
    for word in [
        "boot.kernel.sysctl.\"net.netfilter.nf_conntrack_max\" = 524288;",
        "boot.kernelModules = [ \"nf_conntrack\" ];",
        "options nf_conntrack hashsize=262144",
    ] {
        assert!(out.contains(word), "{out}");
    }
    assert_eq!(tree.whole(), before);
}

#[test]
fn files_of_a_manager_are_left() {
    let tree = Tree::copy_of("debian12");
    let path = "/etc/sysctl.d/50-conntrack.conf";
    let managed = format!("# Ansible managed\n{}", tree.text(path));
    tree.write(path, &managed);
    let output = tree.run("fix", &["--to", "1500000", "--yes"]);
    let (out, err) = crate::tree::texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains("is managed by Ansible"), "{out}");
    assert!(
        err.contains("a boot still leads to a limit of 1,048,576"),
        "{err}"
    );
    assert_eq!(tree.text(path), managed);
}

#[test]
fn a_list_that_would_break_the_service_is_not_made() {
    let tree = Tree::copy_of("el9-iptables");
    tree.write(
        "/etc/sysctl.d/50-old.conf",
        "net.netfilter.nf_conntrack_tcp_be_mean = 1\n",
    );
    tree.write(
        "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
        "432000\n",
    );
    let config = tree.text("/etc/sysconfig/iptables-config");
    let out = tree.fix();
    assert!(out.contains("/etc/sysctl.d/50-old.conf:1"), "{out}");
    assert_eq!(tree.text("/etc/sysconfig/iptables-config"), config);
}

#[test]
fn rules_without_conntrack_have_the_module_loaded() {
    let tree = Tree::copy_of("el6-iptables-16");
    tree.write(
        "/etc/sysconfig/iptables",
        "*filter\n-A INPUT -j ACCEPT\nCOMMIT\n",
    );
    tree.fix();
    let config = tree.text("/etc/sysconfig/iptables-config");
    assert!(
        config.contains("\nIPTABLES_MODULES=\"nf_conntrack\"\n"),
        "{config}"
    );
    assert_eq!(values(&tree)[..2], [Some(LIMIT), Some(LIMIT)]);
}

#[test]
fn a_name_of_another_kernel_is_replaced() {
    let tree = Tree::copy_of("el6-iptables-16");
    fs::remove_file(tree.at("/etc/sysctl.d/90-conntrack.conf")).unwrap();
    tree.write(
        "/etc/sysctl.conf",
        "# x\nnet.ipv4.ip_conntrack_max = 65536\n",
    );
    tree.fix();
    assert_eq!(
        tree.text("/etc/sysctl.conf"),
        "# x\nnet.netfilter.nf_conntrack_max = 1500000\n"
    );
}

#[test]
fn conflicts_are_made_comments_only_if_asked() {
    let tree = Tree::copy_of("el6-iptables-19");
    let conf = tree.text("/etc/sysctl.conf");
    tree.fix();
    assert_eq!(tree.text("/etc/sysctl.conf"), conf);
    tree.done("fix", &["--to", "1500000", "--yes", "--edit-conflicts"]);
    assert_eq!(
        tree.text("/etc/sysctl.conf"),
        conf.replace("net.nf_conntrack_max", "#net.nf_conntrack_max")
    );
    assert_eq!(values(&tree)[..2], [Some(LIMIT), Some(LIMIT)]);
}

#[test]
fn what_was_wanted_in_vain_is_wanted() {
    // Nobody says how much: the file that was lost by a restart does, and the full
    // table asks for less.
    let tree = Tree::copy_of("el5-curly-quotes");
    let out = tree.done("fix", &["--dry-run", "-o", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["current"]["max"], 65_536);
    assert_eq!(report["target"]["max"], 1_048_576);
    assert_eq!(report["target"]["buckets"], 262_144);
    assert_eq!(report["incident"]["kind"], "undersized");
    assert_eq!(report["survives"]["service_restart"]["before"], 65_536);
    assert_eq!(report["survives"]["service_restart"]["after"], 1_048_576);
    assert_eq!(
        report["survives"]["service_restart"]["because"]["file"],
        "/etc/sysctl.conf"
    );
    let steps = report["steps"].as_array().unwrap();
    let paths: BTreeSet<&str> = steps
        .iter()
        .map(|step| step["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        BTreeSet::from(["/etc/modprobe.conf", "/etc/sysconfig/iptables-config"])
    );
    assert_eq!(steps[0]["kind"], "create");
    assert_eq!(steps[0]["before"], Value::Null);
    assert_eq!(steps[1]["kind"], "edit");
    assert_eq!(report["applied"], false);
}

#[test]
fn a_leak_is_no_demand() {
    let tree = Tree::copy_of("debian12");
    tree.write("/etc/sysctl.d/50-conntrack.conf", "");
    tree.write("/proc/sys/net/netfilter/nf_conntrack_max", "65536\n");
    tree.write("/proc/sys/net/netfilter/nf_conntrack_count", "65536\n");
    tree.write("/proc/sys/net/netfilter/nf_conntrack_buckets", "65536\n");
    let entry = |left: u32, port: u32| {
        format!(
            "ipv4 2 tcp 6 {left} ESTABLISHED src=192.0.2.7 dst=192.0.2.9 sport={port} dport=80 src=192.0.2.9 dst=192.0.2.7 sport=80 dport={port} [ASSURED] mark=0 use=2\n"
        )
    };
    let idle: String = (0..90).map(|port| entry(100_000, port)).collect();
    let busy: String = (0..10).map(|port| entry(431_999, port)).collect();
    tree.write("/proc/net/nf_conntrack", &format!("{idle}{busy}"));
    let report: Value =
        serde_json::from_str(&tree.done("fix", &["--dry-run", "-o", "json"])).unwrap();
    assert_eq!(report["incident"]["kind"], "leak");
    assert_eq!(
        report["target"]["max"], 65_536,
        "a tenth of it is honest load"
    );
    let remedy = &report["incident"]["remedies"][0];
    assert_eq!(remedy["code"], "shorten_timeout");
    assert_eq!(remedy["timeout"], "tcp_timeout_established");
    // Without the leak the same table asks for twice as much.
    tree.write("/proc/net/nf_conntrack", &busy);
    let report: Value =
        serde_json::from_str(&tree.done("fix", &["--dry-run", "-o", "json"])).unwrap();
    assert_eq!(report["target"]["max"], 131_072);
}

#[test]
fn consent_is_needed() {
    let tree = Tree::copy_of("debian12");
    let before = tree.whole();
    let mut command = tree.command("fix", &["--to", "1500000"]);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    crate::tree::failed(&output, &["nothing was changed", "--yes"]);
    assert_eq!(tree.whole(), before);
}
