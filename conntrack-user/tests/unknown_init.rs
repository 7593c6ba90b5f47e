//! Hosts whose init is not known, or lets nothing last: what a boot leads to is
//! unknown, and no success is claimed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use conntrack_user::facts::appliance::{self, Appliance, Keeps};
use serde_json::Value;
use tempfile::TempDir;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A host with a limit in `/etc/sysctl.conf`, and one more file.
fn host(path: &str, text: &str) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    write(
        tree.path(),
        "etc/os-release",
        "ID=something\nNAME=Something\n",
    );
    write(
        tree.path(),
        "etc/sysctl.conf",
        "net.netfilter.nf_conntrack_max = 400000\n",
    );
    write(tree.path(), "proc/sys/kernel/osrelease", "6.1.0\n");
    write(tree.path(), "proc/meminfo", "MemTotal: 8000000 kB\n");
    write(tree.path(), "usr/bin/env", "");
    write(tree.path(), path, text);
    tree
}

fn run(root: &Path, command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args([command, "--root"])
        .arg(root)
        .args(arguments)
        .output()
        .unwrap()
}

fn report(root: &Path) -> (Value, Option<i32>) {
    let output = run(root, "status", &["-o", "json"]);
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        output.status.code(),
    )
}

#[test]
fn a_boot_by_an_unknown_init_is_unknown() {
    for (path, text, named, place) in [
        (
            "etc/motd",
            "",
            "an init that ctdrop does not know",
            "a script",
        ),
        (
            "etc/dinit.d/boot",
            "",
            "an init that ctdrop does not know",
            "a script",
        ),
        ("etc/s6/rc/compiled", "", "s6", "a script"),
        (
            "etc/synoinfo.conf",
            "",
            "DSM of Synology",
            "/usr/local/etc/rc.d/",
        ),
        ("etc/config/uLinux.conf", "", "QTS of QNAP", "autorun.sh"),
        (
            "etc/slackware-version",
            "Slackware 14.1\n",
            "rc.S of Slackware",
            "/etc/rc.d/rc.local",
        ),
    ] {
        let tree = host(path, text);
        let (report, code) = report(tree.path());
        let boot = &report["survives"]["boot"];
        assert_eq!(boot["value"], Value::Null, "{path}: {boot}");
        assert_eq!(boot["because"]["code"], "unknown_init", "{path}");
        assert_eq!((report["state"].as_str(), code), (Some("unknown"), Some(3)));
        let finding = report["findings"].as_array().unwrap().iter();
        let finding = finding.filter(|finding| finding["code"] == "limit_unknown");
        let said: Vec<String> = finding.map(ToString::to_string).collect();
        assert!(
            said.len() == 1 && said[0].contains(named) && said[0].contains(place),
            "{path}: {said:?}"
        );

        let output = run(tree.path(), "fix", &["--to", "500000", "--yes"]);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{path}: {out}");
        assert!(err.contains("no file was changed"), "{path}: {err}");
        assert!(
            out.contains("cannot predict the limit after a boot")
                && out.contains("sysctl -w net.netfilter.nf_conntrack_max=500000"),
            "{path}: {out}"
        );
        assert!(!out.contains("Verified"), "{out}");
        let conf = fs::read_to_string(tree.path().join("etc/sysctl.conf")).unwrap();
        assert!(conf.contains("400000"), "{path}: {conf}");
    }
}

/// A host with systemd that is this system.
fn shown_to_be(appliance: &Appliance) -> TempDir {
    let tree = host("usr/lib/systemd/systemd", "");
    let (path, text) = appliance.example();
    if path == "jffs/scripts" {
        fs::create_dir_all(tree.path().join(path)).unwrap();
    } else {
        write(tree.path(), path, &text);
    }
    tree
}

/// Each system that makes `/etc` anew: no file is changed, and no success is claimed.
#[test]
fn a_file_of_a_system_that_makes_etc_anew_does_not_last() {
    for appliance in &appliance::ALL {
        let name = appliance.name;
        let tree = shown_to_be(appliance);
        write(
            tree.path(),
            "etc/sysctl.d/90-ct.conf",
            "net.netfilter.nf_conntrack_max = 500000\n",
        );
        write(tree.path(), "etc/modules-load.d/ct.conf", "nf_conntrack\n");
        let (report, code) = report(tree.path());
        let boot = &report["survives"]["boot"];
        assert_eq!(boot["value"], Value::Null, "{name}: {boot}");
        assert_eq!(boot["because"]["code"], "rebuilt_etc", "{name}");
        assert_eq!((report["state"].as_str(), code), (Some("unknown"), Some(3)));
        let said = report["findings"].to_string();
        assert!(said.contains(&format!("{name} makes /etc anew")), "{said}");
        let output = run(tree.path(), "fix", &["--to", "500000", "--yes"]);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {out}");
        assert!(err.contains("no file was changed"), "{name}: {err}");
        assert!(!out.contains("Verified"), "{name}: {out}");
        assert!(out.contains("500000"), "{name}: {out}");
        let place = match appliance.keeps {
            Keeps::Configuration { place, .. } => place,
            Keeps::Script(file) => file,
            Keeps::Nowhere => "after each boot",
        };
        assert!(out.contains(place) && said.contains(place), "{name}: {out}");
        assert!(!out.contains("NUMBER") && !out.contains("BUCKETS"), "{out}");
    }
}

/// A start script that such a system keeps decides.
#[test]
fn a_start_script_that_lasts_decides() {
    for appliance in &appliance::ALL {
        let Some(script) = appliance.scripts.first() else {
            continue;
        };
        let tree = shown_to_be(appliance);
        let script = script.trim_start_matches('/');
        let script = if script.ends_with('/') {
            format!("{script}ct")
        } else {
            script.to_owned()
        };
        let text =
            "#!/bin/sh\nmodprobe nf_conntrack\nsysctl -w net.netfilter.nf_conntrack_max=655360\n";
        write(tree.path(), &script, text);
        let boot = || report(tree.path()).0["survives"]["boot"]["value"].clone();
        let expected = appliance.runs_plain.then_some(655_360);
        assert_eq!(boot(), Value::from(expected), "{}", appliance.name);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(tree.path().join(&script), mode).unwrap();
        assert_eq!(boot(), 655_360, "{}", appliance.name);
    }
}

/// The host's own script decides; one that is not understood is not guessed at.
#[test]
fn a_script_that_is_not_understood_is_unknown() {
    let tree = host("etc/openwrt_release", "DISTRIB_ID='OpenWrt'\n");
    let script = "etc/init.d/sysctl";
    write(tree.path(), "etc/modules.d/nf-conntrack", "nf_conntrack\n");
    write(tree.path(), script, "#!/bin/sh\nsysctl -p $(files)\n");
    let boot = |tree: &TempDir| report(tree.path()).0["survives"]["boot"]["value"].clone();
    assert_eq!(boot(&tree), Value::Null);
    write(
        tree.path(),
        script,
        "#!/bin/sh\nfor f in /etc/sysctl.d/*.conf /etc/sysctl.conf; do sysctl -p $f; done\n",
    );
    assert_eq!(boot(&tree), 400_000);
}

/// A service that applies settings and is not started at boot applies nothing.
#[test]
fn a_service_that_is_not_started_applies_nothing() {
    let tree = host("sbin/openrc-run", "");
    write(tree.path(), "etc/modules", "nf_conntrack\n");
    write(tree.path(), "etc/runlevels/boot/modules", "");
    let (without, _) = report(tree.path());
    assert_eq!(without["survives"]["boot"]["value"], 262_144);
    let found = without["findings"].to_string();
    assert!(
        found.contains("the service sysctl is not started at boot"),
        "{found}"
    );
    write(tree.path(), "etc/runlevels/boot/sysctl", "");
    assert_eq!(report(tree.path()).0["survives"]["boot"]["value"], 400_000);
    // Nothing reads /etc/modules then, so that the sysctls come too early.
    fs::remove_file(tree.path().join("etc/runlevels/boot/modules")).unwrap();
    let (without, _) = report(tree.path());
    assert_eq!(without["survives"]["boot"]["value"], 262_144);
    let found = without["findings"].to_string();
    assert!(found.contains("rc-update add modules boot"), "{found}");
}

/// A job of Upstart that an administrator has made one to be started by hand.
#[test]
fn a_job_that_is_not_started_applies_nothing() {
    let tree = host("sbin/upstart-udev-bridge", "");
    write(
        tree.path(),
        "etc/os-release",
        "ID=ubuntu\nVERSION_ID=\"14.04\"\n",
    );
    write(
        tree.path(),
        "etc/init/procps.conf",
        "start on virtual-filesystems\nexec cat /etc/sysctl.d/*.conf /etc/sysctl.conf | sysctl -e -p -\n",
    );
    write(tree.path(), "etc/modules", "nf_conntrack\n");
    assert_eq!(report(tree.path()).0["survives"]["boot"]["value"], 400_000);
    write(tree.path(), "etc/init/procps.override", "manual\n");
    let (without, _) = report(tree.path());
    assert_eq!(without["survives"]["boot"]["value"], 262_144);
}

/// Files of one directory in no order: the limit is not guessed.
#[test]
fn files_in_no_order_are_unknown() {
    let tree = host("etc/init.d/S02sysctl", "");
    let root = tree.path();
    write(
        root,
        "etc/init.d/S02sysctl",
        "SYSCTL_SOURCES=\"/etc/sysctl.d/ /usr/local/lib/sysctl.d/ /usr/lib/sysctl.d/ /lib/sysctl.d/ \
         /etc/sysctl.conf\"\n",
    );
    write(root, "etc/init.d/S01load", "modprobe nf_conntrack\n");
    let script = root.join("etc/init.d/S01load");
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, value) in [("10-a", 100_000), ("20-b", 200_000)] {
        write(
            root,
            &format!("etc/sysctl.d/{name}.conf"),
            &format!("net.netfilter.nf_conntrack_max = {value}\n"),
        );
    }
    assert_eq!(report(root).0["survives"]["boot"]["value"], 400_000);
    fs::remove_file(root.join("etc/sysctl.conf")).unwrap();
    let (report, _) = report(root);
    assert_eq!(report["survives"]["boot"]["value"], Value::Null);
    let caveats = report["survives"]["boot"]["caveats"].to_string();
    assert!(caveats.contains("unsorted"), "{caveats}");
}

#[test]
fn openrc_with_busybox_reads_the_directory_only_beside_the_file() {
    let tree = host("etc/modules", "nf_conntrack\n");
    let root = tree.path();
    for path in [
        "sbin/openrc",
        "bin/busybox",
        "etc/runlevels/boot/modules",
        "etc/runlevels/boot/sysctl",
    ] {
        write(root, path, "");
    }
    std::os::unix::fs::symlink("../bin/busybox", root.join("sbin/sysctl")).unwrap();
    write(
        root,
        "etc/sysctl.d/a.conf",
        "net.netfilter.nf_conntrack_max = 300000\n",
    );
    let boot = || report(root).0["survives"]["boot"]["value"].clone();
    assert_eq!(boot(), 300_000);
    fs::remove_file(root.join("etc/sysctl.conf")).unwrap();
    assert_eq!(boot(), 262_144, "the kernel's default");
}
