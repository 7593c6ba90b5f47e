//! `ctdrop status` as a program: exit codes, JSON, text, and trees that cannot be
//! read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod again;
mod old_box;
mod saved_table;
mod sentences;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn status(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .arg("status")
        .args(arguments)
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

fn tree(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/trees")
        .join(name)
}

fn of_root(root: &Path) -> (Value, i32) {
    let output = status(&["-o", "json", "--root", root.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    (
        serde_json::from_str(&text).unwrap(),
        output.status.code().unwrap(),
    )
}

fn whats(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["what"].as_str().unwrap())
        .collect()
}

#[test]
fn an_old_box_is_judged_from_its_files() {
    let (report, code) = of_root(&tree("el5-curly-quotes"));
    assert_eq!(code, 2, "its table is full");
    assert_eq!(report["type"], "status");
    assert_eq!(report["state"], "critical");
    assert_eq!(report["limit"]["max"], 65_536);
    assert_eq!(report["limit"]["buckets"], 8192);
    assert_eq!(report["limit"]["default"]["max"], 65_536);
    let namespace = &report["namespaces"][0];
    assert_eq!(namespace["netns"], Value::Null);
    assert_eq!(namespace["entries"], 65_530);
    assert_eq!(namespace["max"], 65_536);
    assert_eq!(report["counters"]["drop"], 0x1767);
    assert_eq!(
        report["counters"]["chaintoolong"],
        Value::Null,
        "it has no such counter"
    );
    assert_eq!(report["memory"]["entry"], 316);
    assert_eq!(report["memory"]["measured"], true);
    assert_eq!(report["memory"]["buckets"], 8192 * 16);
    assert_eq!(report["timeouts"]["tcp_timeout_established"], 432_000);
    assert_eq!(report["expected_backend"], Value::Null);
    let boot = &report["survives"]["boot"];
    assert_eq!(boot["value"], 1_048_576);
    assert_eq!(boot["because"]["file"], "/etc/sysctl.conf");
    assert_eq!(boot["because"]["line"], 3);
    assert_eq!(
        boot["because"]["text"],
        "net.ipv4.netfilter.ip_conntrack_max = 1048576"
    );
    assert_eq!(report["survives"]["service_restart"]["value"], 65_536);
    assert_eq!(report["survives"]["module_reload"]["value"], 65_536);
    let found = whats(&report);
    assert!(found[0].contains("99 % full"), "{found:?}");
    for part in [
        "the limit is 65,536, but files set 1,048,576 at boot",
        "a restart of iptables lowers the limit from 1,048,576 to 65,536",
    ] {
        assert!(found.iter().any(|what| what.contains(part)), "{found:?}");
    }
    assert!(
        found.iter().any(|what| what.contains("iptables-config:6")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|what| what.contains("5,991 packets have been refused since boot")),
        "{found:?}"
    );
}

/// What is found in each tree, as a part of the sentence, and the exit code.
const FOUND: [(&str, i32, &str); 13] = [
    (
        "el5-old-iptables",
        1,
        "IPTABLES_SYSCTL_LOAD_LIST in /etc/sysconfig/iptables-config:6 has no effect",
    ),
    (
        "el6-iptables-16",
        1,
        "a restart of iptables lowers the limit from 222,222 to 111,111",
    ),
    (
        "el6-ip6tables",
        1,
        "a restart of ip6tables lowers the limit from 1,048,576 to 65,536",
    ),
    (
        "el7-iptables-24",
        1,
        "iptables applies /etc/sysctl.d/90-conntrack.conf.bak",
    ),
    (
        "el7-firewalld",
        1,
        "the limit of 1,048,576 in /etc/sysctl.d/90-conntrack.conf:1 is lost at boot",
    ),
    ("el9-iptables", 0, ""),
    (
        "debian11",
        0,
        "1 other setting of the limit is overridden at boot",
    ),
    (
        "debian12",
        1,
        "the limit of 1,048,576 in /etc/sysctl.d/50-conntrack.conf:1 is lost at boot",
    ),
    ("debian13", 1, "/etc/sysctl.conf:1 is not read at boot"),
    ("ubuntu-ufw", 0, "ufw sets the sysctls of its own file"),
    (
        "kube-proxy",
        0,
        "kube-proxy sets the limit when it starts: 65,536 for each processor",
    ),
    (
        "proxmox",
        0,
        "pve-firewall sets the limit to 303,104 every 10 s",
    ),
    ("arch", 1, "/etc/sysctl.conf:1 is not read at boot"),
];

#[test]
fn each_tree_has_its_findings() {
    for (name, code, part) in FOUND {
        let (report, exit) = of_root(&tree(name));
        let found = whats(&report);
        assert_eq!(exit, code, "{name}: {found:?}");
        assert!(
            part.is_empty() || found.iter().any(|what| what.contains(part)),
            "{name}: {found:#?}"
        );
        for finding in report["findings"].as_array().unwrap() {
            assert_ne!(finding["why"], "", "{name}: {finding}");
        }
    }
}

#[test]
fn writers_are_named_with_evidence() {
    for (name, writer) in [
        ("ubuntu-ufw", "ufw"),
        ("kube-proxy", "kube-proxy"),
        ("k3s", "k3s"),
        ("proxmox", "pve-firewall"),
        ("tuned", "tuned"),
        ("rc-local", "script"),
        ("el7-firewalld", "firewalld"),
    ] {
        let (report, _) = of_root(&tree(name));
        let writers = report["writers"].as_array().unwrap();
        let found = writers.iter().find(|found| found["name"] == writer);
        let found = found.unwrap_or_else(|| panic!("{name}: {writers:?}"));
        let evidence = found["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{found}");
        assert!(
            evidence[0]["file"].as_str().unwrap().starts_with('/'),
            "{found}"
        );
        assert_ne!(found["knob"], "", "{found}");
    }
}

#[test]
fn a_script_that_sets_the_limit_is_named_by_its_path() {
    let (report, _) = of_root(&tree("rc-local"));
    let script = "/etc/rc.d/rc.local sets the limit when it";
    let found = whats(&report);
    assert!(
        found.iter().any(|what| what.starts_with(script)),
        "{found:#?}"
    );
    let why = report["survives"]["boot"]["because"]["why"]
        .as_str()
        .unwrap();
    assert!(why.starts_with(script), "{why}");
}

#[test]
fn what_cannot_be_read_is_not_absent() {
    let tree = tempfile::tempdir().unwrap();
    // A directory in the place of a file cannot be read even by root.
    fs::create_dir_all(tree.path().join("etc/sysctl.conf")).unwrap();
    fs::create_dir_all(tree.path().join("usr")).unwrap();
    fs::create_dir_all(tree.path().join("proc")).unwrap();
    let (report, code) = of_root(tree.path());
    assert_eq!(code, 3, "{report}");
    assert_eq!(report["state"], "unknown");
    assert_eq!(report["unreadable"][0]["path"], "/etc/sysctl.conf");
    assert_eq!(report["survives"]["boot"]["value"], Value::Null);
    assert!(whats(&report)[0].contains("/etc/sysctl.conf cannot be read"));
}

/// The first line, and the exit code.
fn first_line(root: &Path) -> (String, i32) {
    let output = status(&["--root", root.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    (
        text.lines().next().unwrap_or_default().to_owned(),
        output.status.code().unwrap(),
    )
}

#[test]
fn a_tree_that_decides_nothing_is_unknown() {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir_all(copy.path().join("etc")).unwrap();
    fs::write(copy.path().join("etc/hostname"), "box\n").unwrap();
    assert_eq!(
        first_line(copy.path()),
        (
            "UNKNOWN: the limit is unknown after a boot, after a reload of the module".to_owned(),
            3
        )
    );
    let (report, _) = of_root(copy.path());
    let finding = &report["findings"][0];
    assert_eq!(finding["severity"], "unknown");
    let why = finding["why"].as_str().unwrap();
    for missing in ["osrelease", "/proc/meminfo", "/usr", "/proc"] {
        assert!(why.contains(missing), "{why}");
    }
    assert!(
        finding["remedy"]
            .as_str()
            .unwrap()
            .contains("docs/status.md"),
        "{finding}"
    );
}

/// GNU tar stores as many bytes of a file as its length says, of procfs none.
#[test]
fn what_tar_has_emptied_is_not_absent() {
    let copy = tempfile::tempdir().unwrap();
    let at = |path: &str| copy.path().join(path);
    let emptied = [
        "meminfo",
        "sys/kernel/osrelease",
        "sys/net/netfilter/nf_conntrack_max",
        "sys/net/netfilter/nf_conntrack_count",
        "slabinfo",
    ];
    for path in emptied {
        let path = at("proc").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::create_dir_all(at("etc")).unwrap();
    fs::create_dir_all(at("usr")).unwrap();
    // It may well be empty.
    fs::write(at("etc/sysctl.conf"), "").unwrap();
    let (report, code) = of_root(copy.path());
    assert_eq!(code, 3, "{report}");
    let unreadable = report["unreadable"].as_array().unwrap();
    let mut found: Vec<&str> = unreadable
        .iter()
        .map(|unreadable| unreadable["path"].as_str().unwrap())
        .collect();
    found.sort_unstable();
    let mut expected = emptied.map(|path| format!("/proc/{path}"));
    expected.sort_unstable();
    assert_eq!(found, expected);
    for unreadable in unreadable {
        let why = unreadable["why"].as_str().unwrap();
        assert!(why.contains("empty: copied with tar"), "{why}");
    }
    let findings = report["findings"].as_array().unwrap();
    let numbers = findings
        .iter()
        .find(|finding| finding["what"].as_str().unwrap().contains("numbers"))
        .unwrap();
    assert_eq!(numbers["severity"], "unknown");
    let what = numbers["what"].as_str().unwrap();
    assert!(what.contains("nf_conntrack_max") && !what.contains("slabinfo"));
    for finding in findings.iter().filter(|one| one["severity"] == "unknown") {
        let remedy = finding["remedy"].as_str().unwrap();
        assert!(
            remedy.contains("cp") && !remedy.contains("root"),
            "{finding}"
        );
    }
}

#[test]
fn only_what_lasts_is_said_to_last() {
    for (name, line) in [
        (
            "k3s",
            "OK: the limit is 200,000 after a boot, 65,536 after a reload of the module",
        ),
        (
            "kube-proxy",
            "OK: the limit is 524,288 after a boot, 262,144 after a reload of the module",
        ),
        (
            "openrc-busybox",
            "OK: the limit is 100,000 after a boot, 8,192 after a reload of the module",
        ),
        (
            "el9-iptables",
            "OK: the limit is 1,048,576 after a boot, and lasts",
        ),
        (
            "built-in",
            "OK: the limit is 524,288 after a boot, and lasts",
        ),
    ] {
        assert_eq!(first_line(&tree(name)), (line.to_owned(), 0), "{name}");
    }
}

#[test]
fn text_says_the_same_and_moves_no_terminal() {
    let copy = tempfile::tempdir().unwrap();
    let at = |path: &str| copy.path().join(path);
    fs::create_dir_all(at("etc/sysctl.d")).unwrap();
    fs::write(
        at("etc/os-release"),
        "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian \u{1b}]0;x\u{7}\"\n",
    )
    .unwrap();
    fs::write(
        at("etc/sysctl.d/x.conf"),
        "net.nf_conntrack_max = many\u{1b}[2J\n",
    )
    .unwrap();
    let output = status(&["--root", copy.path().to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("WARNING: /etc/sysctl.d/x.conf:1 has no effect"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{7}'),
        "{text:?}"
    );
    for when in ["boot", "service restart", "module reload"] {
        assert!(text.contains(when), "{text}");
    }
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_usage_and_failure_are_unknown() {
    for (arguments, said) in [
        (&["--interval", "soon"][..], "--interval"),
        (&["--critical", "101"][..], "--critical"),
        (&["--root", "/nowhere"][..], "/nowhere"),
        (&["--root", "/proc/self"][..], "has no etc/"),
    ] {
        let output = status(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {error}");
        assert!(error.contains(said), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(["status", "-o", "json", "--root"])
        .arg(tree("debian12"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}
