//! Where a setting goes that must come after others: files of packages that sort last,
//! lines that cannot be told or changed, and settings that are taken back.

use crate::tree::{LIMIT, Tree};

/// A file of a package that sorts after every name that ctdrop has for its own.
const LAST: &str = "/usr/lib/sysctl.d/zz.conf";

/// A host of Debian 12 that loads conntrack before settings are applied.
fn host() -> Tree {
    let tree = Tree::copy_of("debian12");
    tree.write("/etc/modules-load.d/conntrack.conf", "nf_conntrack\n");
    tree
}

#[test]
fn a_file_of_a_package_that_sorts_last_is_replaced_by_a_copy() {
    let tree = host();
    let of_package =
        "# of a package\nnet.core.somaxconn = 1024\nnet.netfilter.nf_conntrack_max = 70000\n";
    tree.write(LAST, of_package);
    let before = tree.snapshot();
    assert_eq!(tree.survival().boot.value, Some(70_000));
    tree.fix();
    assert_eq!(
        tree.text("/etc/sysctl.d/zz.conf"),
        "# Written by ctdrop fix; ctdrop undo undoes it.\n\
         # It takes the place of /usr/lib/sysctl.d/zz.conf, with another limit.\n\
         # of a package\nnet.core.somaxconn = 1024\nnet.netfilter.nf_conntrack_max = 1500000\n"
    );
    assert_eq!(tree.text(LAST), of_package);
    assert_eq!(tree.survival().boot.value, Some(LIMIT));
    let fixed = tree.snapshot();
    tree.fix();
    assert_eq!(tree.snapshot(), fixed, "a second fix changes nothing");
    tree.done("undo", &[]);
    assert_eq!(tree.snapshot(), before);
}

/// Puts a file beside those of a host, and wants a fix to lead to the limit without a
/// change of that file.
fn comes_after(content: &str, boot: Option<u64>) {
    let path = "/etc/sysctl.d/99-z.conf";
    let tree = host();
    tree.write(path, content);
    assert_eq!(tree.survival().boot.value, boot, "{content:?}");
    tree.fix();
    assert_eq!(tree.text(path), content);
    assert_eq!(tree.survival().boot.value, Some(LIMIT), "{content:?}");
    let added = tree.text("/etc/sysctl.d/99-zz-ctdrop.conf");
    assert!(
        added.ends_with("net.netfilter.nf_conntrack_max = 1500000\n"),
        "{added}"
    );
}

#[test]
fn a_line_that_cannot_be_told_is_overridden() {
    comes_after("net.*.nf_{conntrack,x}_max = 5\n", None);
}

#[test]
fn a_line_that_is_two_is_overridden() {
    comes_after(
        "net.core.somaxconn = 1\rnet.netfilter.nf_conntrack_max = 5\n",
        Some(5),
    );
}

#[test]
fn what_is_taken_back_is_set_again() {
    let taken_back = "-net.netfilter.nf_conntrack_max\n-net.nf_conntrack_max\n";
    let tree = host();
    tree.write("/etc/sysctl.d/99-z.conf", taken_back);
    let default = tree.survival().boot.value;
    comes_after(taken_back, default);
}

/// A file of settings that something else applies by its name, too.
fn applied_by(path: &str, content: &str) -> (Tree, String) {
    let tree = Tree::copy_of("debian12");
    tree.write(
        "/etc/sysctl.d/90-ct.conf",
        "net.netfilter.nf_conntrack_max = 1048576\n",
    );
    tree.write(path, content);
    let said = tree.done("fix", &["--to", "1500000", "--edit-conflicts", "--yes"]);
    (tree, said)
}

#[test]
fn the_line_that_a_fix_writes_is_no_conflict() {
    for (path, content) in [
        (
            "/etc/udev/rules.d/91-ct.rules",
            "ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\", \
             RUN+=\"/sbin/sysctl -p /etc/sysctl.d/90-ct.conf\"\n",
        ),
        (
            "/etc/cron.d/ct",
            "@reboot root sleep 30 && /sbin/sysctl -p /etc/sysctl.d/90-ct.conf\n",
        ),
    ] {
        let (tree, said) = applied_by(path, content);
        assert_eq!(
            tree.text("/etc/sysctl.d/90-ct.conf"),
            "net.netfilter.nf_conntrack_max = 1500000\n",
            "{said}"
        );
        assert!(!said.contains("another limit"), "{said}");
    }
}
