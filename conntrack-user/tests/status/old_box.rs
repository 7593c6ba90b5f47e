//! Advice for a host on which ctdrop itself cannot run.

use std::{fs, process::Command};

use crate::{of_root, tree, whats};

/// Advice for a host on which this program cannot run, done as it says.
#[test]
fn an_old_box_is_advised_what_works_there() {
    for (name, list) in [
        ("el5-curly-quotes", "/proc/net/ip_conntrack"),
        ("el6-ip6tables", "/proc/net/nf_conntrack"),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let from = format!("{}/.", tree(name).display());
        let copied = Command::new("cp")
            .args(["-R", &from])
            .arg(copy.path())
            .status();
        assert!(copied.unwrap().success());
        let at = |path: &str| copy.path().join(path);
        for (path, number) in [
            ("nf_conntrack_max", "65536"),
            ("nf_conntrack_count", "65530"),
        ] {
            if name.starts_with("el6") {
                let directory = at("proc/sys/net/netfilter");
                fs::create_dir_all(&directory).unwrap();
                fs::write(directory.join(path), number).unwrap();
                fs::write(
                    directory.join("nf_conntrack_tcp_timeout_established"),
                    "432000",
                )
                .unwrap();
            }
        }
        let (report, _) = of_root(copy.path());
        for finding in report["findings"].as_array().unwrap() {
            let remedy = finding["remedy"].as_str().unwrap();
            assert!(
                !remedy.contains("ctdrop who") && !remedy.contains("ctdrop watch"),
                "{finding}"
            );
        }
        let found = whats(&report);
        assert!(
            found.iter().any(|what| what.ends_with("stay for 5 days")),
            "{found:?}"
        );
        let full = report["findings"][0]["remedy"].as_str().unwrap();
        let begin = full.find("awk ").unwrap();
        let end = full.find("| head").unwrap() + "| head".len();
        let entries = at("entries");
        fs::write(
            &entries,
            "tcp 6 431999 ESTABLISHED src=10.0.0.2 dst=10.0.0.1 sport=1 dport=80 \
             src=10.0.0.1 dst=10.0.0.2 sport=80 dport=1 [ASSURED] use=1\n\
             ipv4 2 udp 17 20 src=10.0.0.3 dst=10.0.0.1 sport=2 dport=53 [UNREPLIED] \
             src=10.0.0.1 dst=10.0.0.3 sport=53 dport=2 use=1\n\
             ipv4 2 udp 17 20 src=10.0.0.3 dst=10.0.0.1 sport=3 dport=53 \
             src=10.0.0.1 dst=10.0.0.3 sport=53 dport=3 use=1\n",
        )
        .unwrap();
        let command = &full[begin..end];
        assert!(command.contains(list), "{command}");
        let command = command.replace(list, entries.to_str().unwrap());
        let output = Command::new("sh")
            .args(["-euc", &command])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "2 src=10.0.0.3\n1 src=10.0.0.2\n",
            "{command}"
        );
    }
}
