//! The shell script for hosts where the program cannot run does the same as the
//! program, and takes it back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::tree::{Node, Snapshot, Tree, failed};

const TREES: [&str; 9] = [
    "el5",
    "el5-curly-quotes",
    "el5-old-iptables",
    "el6-iptables-6",
    "el6-iptables-16",
    "el6-iptables-19",
    "el6-ip6tables",
    "el7-firewalld",
    "rc-local",
];

/// Shells that are there; the first must be.
fn shells() -> Vec<&'static str> {
    let there = |shell: &&str| Command::new(shell).arg("-c").arg(":").status().is_ok();
    let shells: Vec<&str> = ["sh", "dash", "bash"].into_iter().filter(there).collect();
    assert!(!shells.is_empty(), "no shell to test with");
    shells
}

fn run(shell: &str, script: &Path, tree: &Tree, what: &str) -> Output {
    Command::new(shell)
        .arg(script)
        .arg(what)
        .env("ROOT", tree.path())
        .output()
        .unwrap()
}

/// Mode and content of a file; none of what is no file.
type Content = Option<(u32, Vec<u8>)>;

fn contents(snapshot: Snapshot) -> BTreeMap<PathBuf, Content> {
    let of = |node| match node {
        Node::File { mode, content, .. } => Some((mode, content)),
        Node::Link(_) | Node::Directory(_) => None,
    };
    snapshot
        .into_iter()
        .map(|(path, node)| (path, of(node)))
        .collect()
}

#[test]
fn it_does_the_same_and_takes_it_back() {
    for shell in shells() {
        for name in TREES {
            let by_program = Tree::copy_of(name);
            // Of rc-local the boot does not hold, which is told.
            by_program.run("fix", &["--to", "1500000", "--yes"]);
            let tree = Tree::copy_of(name);
            // Files without a line feed at the end, and with letters of all kinds.
            let odd = "# ”$HOME” `x` \\ 'y' é\nlast";
            for tree in [&by_program, &tree] {
                tree.write("/etc/odd", odd);
            }
            let before = tree.snapshot();
            let script = tree.path().with_extension("sh");
            fs::write(
                &script,
                tree.done("fix", &["--to", "1500000", "--emit-script"]),
            )
            .unwrap();
            assert_eq!(tree.snapshot(), before, "nothing is changed by writing it");

            let shown = run(shell, &script, &tree, "show");
            assert!(
                String::from_utf8_lossy(&shown.stdout).contains("+options "),
                "{shown:?}"
            );
            assert_eq!(tree.snapshot(), before, "nothing is changed by showing it");

            for _ in 0..2 {
                let output = run(shell, &script, &tree, "apply");
                assert!(output.status.success(), "{shell} {name}: {output:?}");
                assert_eq!(output.stderr, b"", "{shell} {name}: {output:?}");
                assert_eq!(
                    contents(tree.snapshot()),
                    contents(by_program.snapshot()),
                    "{shell} {name}"
                );
            }
            let output = run(shell, &script, &tree, "undo");
            assert!(output.status.success(), "{shell} {name}: {output:?}");
            assert_eq!(tree.snapshot(), before, "{shell} {name}");
            fs::remove_file(script).unwrap();
        }
    }
}

#[test]
fn a_file_without_a_line_feed_at_its_end() {
    for shell in shells() {
        let tree = Tree::copy_of("el5");
        let config = "A='x'\nIPTABLES_MODULES_UNLOAD=\"yes\"\nB=\"$A\\n\"";
        tree.write("/etc/sysconfig/iptables-config", config);
        tree.write("/etc/sysctl.conf", "net.ipv4.ip_conntrack_max = 7");
        let script = tree.path().with_extension("sh");
        fs::write(
            &script,
            tree.done("fix", &["--to", "1500000", "--emit-script"]),
        )
        .unwrap();
        let before = tree.snapshot();
        let output = run(shell, &script, &tree, "apply");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            tree.text("/etc/sysctl.conf"),
            "net.ipv4.ip_conntrack_max = 1500000"
        );
        run(shell, &script, &tree, "undo");
        assert_eq!(tree.snapshot(), before);
        fs::remove_file(script).unwrap();
    }
}

#[test]
fn what_somebody_has_changed_is_left() {
    for shell in shells() {
        let tree = Tree::copy_of("el6-iptables-16");
        let script = tree.path().with_extension("sh");
        fs::write(
            &script,
            tree.done("fix", &["--to", "1500000", "--emit-script"]),
        )
        .unwrap();
        let conf = tree.text("/etc/sysctl.conf");

        tree.write("/etc/sysctl.conf", &format!("{conf}# mine\n"));
        let before = tree.snapshot();
        failed(
            &run(shell, &script, &tree, "apply"),
            &["etc/sysctl.conf", "nothing was changed"],
        );
        assert_eq!(tree.snapshot(), before);

        tree.write("/etc/sysctl.conf", &conf);
        assert!(run(shell, &script, &tree, "apply").status.success());
        let changed = format!("{}# mine\n", tree.text("/etc/sysctl.conf"));
        tree.write("/etc/sysctl.conf", &changed);
        failed(
            &run(shell, &script, &tree, "undo"),
            &["etc/sysctl.conf", "has changed since the fix"],
        );
        assert_eq!(tree.text("/etc/sysctl.conf"), changed);
        assert!(
            !tree.at("/etc/modprobe.d/ctdrop.conf").exists(),
            "the others are taken back"
        );
        fs::remove_file(script).unwrap();
    }
}
