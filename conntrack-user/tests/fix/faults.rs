//! What goes wrong while a fix is made: no room, no permission, a file that
//! somebody else changes. Every file is whole afterwards, nothing is lost, and
//! the error names the object.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    process::Command,
};

use conntrack_user::{
    apply::{
        self,
        record::{DIRECTORY, Records},
    },
    facts::{Facts, root::Root},
    incident::Evidence,
    plan::{
        self, LiveWrite, Options, Plan,
        demand::Demand,
        sizing::{Request, size},
    },
};
use rustix::{
    fs::{XattrFlags, fgetxattr, fsetxattr},
    process::getuid,
};

use crate::tree::{Tree, failed};

fn plan(tree: &Tree) -> Plan {
    let root = Root::open(tree.path()).unwrap();
    let facts = Facts::read(&root).unwrap();
    let demand = Demand::new(vec![Evidence::of_tree(&facts)], Vec::new(), None);
    let request = Request {
        to: Some(crate::tree::LIMIT),
        ceiling: None,
    };
    let size = size(&facts, &demand, request).unwrap();
    plan::plan(&root, &facts, size, Options::default()).unwrap()
}

fn apply(tree: &Tree, plan: &Plan) -> Result<(), String> {
    apply::apply(tree.path(), plan)
        .map(|_| ())
        .map_err(|error| format!("{error:#}"))
}

pub(crate) const CONF: &str = "/etc/sysctl.d/50-conntrack.conf";

#[test]
fn a_file_edited_under_its_hands_is_left() {
    let tree = Tree::copy_of("debian12");
    let plan = plan(&tree);
    let mine = format!("{}# mine\n", tree.text(CONF));
    tree.write(CONF, &mine);
    let before = tree.snapshot();
    let error = apply(&tree, &plan).unwrap_err();
    assert!(
        error.contains("50-conntrack.conf has changed since"),
        "{error}"
    );
    assert_eq!(tree.snapshot(), before);
    // A new plan takes it as it is.
    tree.fix();
    assert!(tree.text(CONF).ends_with("# mine\n"));
}

#[test]
fn a_file_that_has_come_meanwhile_is_left() {
    let tree = Tree::copy_of("debian13");
    let plan = plan(&tree);
    tree.write("/etc/sysctl.d/90-ctdrop.conf", "mine = 1\n");
    let before = tree.snapshot();
    let error = apply(&tree, &plan).unwrap_err();
    assert!(error.contains("90-ctdrop.conf"), "{error}");
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_link_swapped_in_is_not_followed() {
    let tree = Tree::copy_of("debian12");
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), "theirs\n").unwrap();
    let plan = plan(&tree);
    fs::remove_file(tree.at(CONF)).unwrap();
    symlink(outside.path(), tree.at(CONF)).unwrap();
    let before = tree.snapshot();
    let error = apply(&tree, &plan).unwrap_err();
    assert!(
        error.contains("50-conntrack.conf is now a symbolic link"),
        "{error}"
    );
    assert_eq!(tree.snapshot(), before);
    assert_eq!(fs::read_to_string(outside.path()).unwrap(), "theirs\n");
}

#[test]
fn a_directory_swapped_for_a_link_is_not_followed() {
    let tree = Tree::copy_of("debian12");
    let outside = tempfile::tempdir().unwrap();
    fs::copy(tree.at(CONF), outside.path().join("50-conntrack.conf")).unwrap();
    let theirs = fs::read(outside.path().join("50-conntrack.conf")).unwrap();
    let plan = plan(&tree);
    fs::rename(tree.at("/etc/sysctl.d"), tree.at("/etc/elsewhere")).unwrap();
    symlink(outside.path(), tree.at("/etc/sysctl.d")).unwrap();
    let before = tree.snapshot();
    let error = apply(&tree, &plan).unwrap_err();
    assert!(
        error.contains("a directory in this path is now a symbolic link"),
        "{error}"
    );
    assert_eq!(tree.snapshot(), before);
    assert_eq!(
        fs::read(outside.path().join("50-conntrack.conf")).unwrap(),
        theirs
    );
}

#[test]
fn the_target_of_a_link_is_replaced_and_not_the_link() {
    let tree = Tree::copy_of("debian12");
    fs::rename(tree.at(CONF), tree.at("/etc/mine.conf")).unwrap();
    symlink("../mine.conf", tree.at(CONF)).unwrap();
    tree.fix();
    assert!(fs::symlink_metadata(tree.at(CONF)).unwrap().is_symlink());
    let text = tree.text("/etc/mine.conf");
    assert!(text.contains("= 1500000"), "{text}");
}

#[test]
fn owner_mode_and_attributes_are_kept() {
    let tree = Tree::copy_of("debian12");
    let path = tree.at(CONF);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let as_root = getuid().is_root();
    if as_root {
        chown(&path, Some(12), Some(34)).unwrap();
    }
    let file = fs::File::open(&path).unwrap();
    let extended = fsetxattr(&file, "user.mine", b"kept", XattrFlags::empty());
    let before = fs::metadata(&path).unwrap();
    tree.fix();
    let after = fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino(), "it is a new file");
    assert_eq!(
        (before.mode(), before.uid(), before.gid()),
        (after.mode(), after.uid(), after.gid())
    );
    if as_root {
        assert_eq!((after.uid(), after.gid()), (12, 34));
    }
    if extended.is_ok() {
        let mut value = [0; 16];
        let file = fs::File::open(&path).unwrap();
        let length = fgetxattr(&file, "user.mine", &mut value).unwrap();
        assert_eq!(&value[..length], b"kept");
    } else {
        eprintln!("skipped: extended attributes ({extended:?})");
    }
}

#[test]
fn undo_leaves_what_somebody_has_changed_since() {
    let tree = Tree::copy_of("debian12");
    let before = tree.snapshot();
    tree.fix();
    let fixed = tree.text(CONF);
    tree.write(CONF, &format!("{fixed}# mine\n"));
    tree.fails(
        "undo",
        &[],
        &["50-conntrack.conf has changed since the fix", "before-"],
    );
    assert!(tree.text(CONF).ends_with("# mine\n"));
    assert!(
        !tree.at("/etc/modules-load.d/ctdrop.conf").exists(),
        "the others are taken back"
    );
    let listed = tree.done("undo", &["--list"]);
    assert!(listed.contains("undone in part"), "{listed}");
    // Once it is as the fix had left it, the rest can be taken back, too.
    tree.write(CONF, &fixed);
    tree.done("undo", &[]);
    assert_eq!(tree.snapshot(), before);
    assert!(tree.done("undo", &["--list"]).contains(": undone\n"));
    tree.fails("undo", &[], &["there is no fix to undo"]);
}

#[test]
fn fixes_are_taken_back_one_after_the_other() {
    let tree = Tree::copy_of("debian12");
    let first = tree.snapshot();
    tree.done("fix", &["--to", "600000", "--yes"]);
    let second = tree.snapshot();
    tree.fix();
    let ids: Vec<String> = tree
        .done("undo", &["--list", "-o", "json"])
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|kept| kept["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    let third = tree.snapshot();
    tree.fails("undo", &[&ids[0]], &[&format!("undo {} first", ids[1])]);
    assert_eq!(tree.snapshot(), third);
    tree.fails("undo", &["2001-01-01"], &["there is no fix 2001-01-01"]);
    tree.done("undo", &[]);
    assert_eq!(tree.snapshot(), second);
    tree.done("undo", &[]);
    assert_eq!(tree.snapshot(), first);
}

#[test]
fn what_is_left_of_one_fix_does_not_keep_an_earlier_one() {
    let tree = Tree::copy_of("debian12");
    tree.done("fix", &["--to", "600000", "--yes"]);
    tree.fix();
    let listed = tree.done("undo", &["--list", "-o", "json"]);
    let first: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    // Made by the first one, edited by the second.
    let made = "/etc/modprobe.d/ctdrop.conf";
    tree.write(made, "# mine\n");
    tree.fails(
        "undo",
        &[],
        &["ctdrop.conf has changed since the fix", "before-"],
    );
    tree.fails(
        "undo",
        &[first["id"].as_str().unwrap()],
        &[
            "ctdrop.conf has changed since the fix",
            "did not exist before the fix",
        ],
    );
    assert!(
        !tree.text(CONF).contains("600000"),
        "the rest is taken back"
    );
    assert_eq!(tree.text(made), "# mine\n");
}

#[test]
fn a_fix_that_has_nothing_left_to_do_but_the_kernel_can_be_taken_back() {
    let tree = Tree::copy_of("debian12");
    let before = tree.snapshot();
    tree.fix();
    // Cut off before the last mark.
    let fixes = tree.at("/var/lib/ctdrop-fixes");
    let mut entries = fs::read_dir(&fixes)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept = entries.find(|path| path.is_dir()).unwrap();
    fs::remove_file(kept.join("applied")).unwrap();
    let variable = tree.at("/run/nf_conntrack_max");
    tree.write("/run/nf_conntrack_max", "2000\n");
    let mut plan = plan(&tree);
    plan.live.push(LiveWrite {
        path: variable.clone(),
        before: Some(2000),
        after: crate::tree::LIMIT,
        why: String::new(),
    });
    apply(&tree, &plan).unwrap();
    tree.done("undo", &[]);
    fs::remove_file(variable).unwrap();
    fs::remove_dir(tree.at("/run")).unwrap();
    assert_eq!(tree.snapshot(), before);
}

#[test]
fn a_name_that_leads_out_of_a_tree_is_not_used() {
    let tree = Tree::copy_of("debian12");
    let outside = tempfile::tempdir_in(tree.path().parent().unwrap()).unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "theirs\n").unwrap();
    tree.fix();
    let kept = tree.at("/var/lib/ctdrop-fixes");
    let mut entries = fs::read_dir(&kept)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let manifest = entries
        .find(|path| path.is_dir())
        .unwrap()
        .join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&text).unwrap();
    for file in changed["files"].as_array_mut().unwrap() {
        file["temporary"] = victim.to_str().unwrap().into();
    }
    fs::write(&manifest, changed.to_string()).unwrap();
    let fixed = tree.snapshot();
    tree.fails(
        "undo",
        &[],
        &["manifest.json: cannot use this record", "victim"],
    );
    assert_eq!(tree.snapshot(), fixed);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "theirs\n");
}

#[test]
fn a_backup_that_was_damaged_is_not_used() {
    let tree = Tree::copy_of("debian12");
    tree.fix();
    let fixed = tree.snapshot();
    let kept = fs::read_dir(tree.at(DIRECTORY)).unwrap();
    for entry in kept {
        let directory = entry.unwrap().path();
        for file in fs::read_dir(&directory).into_iter().flatten() {
            let path = file.unwrap().path();
            if path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("before-")
            {
                fs::write(path, "damaged\n").unwrap();
            }
        }
    }
    tree.fails("undo", &[], &["its checksum has changed"]);
    assert_eq!(tree.snapshot(), fixed);
}

#[test]
fn two_at_once_do_not_meet() {
    let tree = Tree::copy_of("debian12");
    let lock = Records::of(tree.path()).lock().unwrap();
    let before = tree.snapshot();
    tree.fails(
        "fix",
        &["--to", "1500000", "--yes"],
        &["another ctdrop fix or undo is running"],
    );
    assert_eq!(tree.snapshot(), before);
    drop(lock);
    tree.fix();
}

#[test]
fn a_wrong_root_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(["fix", "--root", "/nowhere/at/all", "--dry-run"])
        .output()
        .unwrap();
    failed(&output, &["/nowhere/at/all"]);
}

#[test]
fn a_link_does_not_lead_out_of_the_tree() {
    let tree = Tree::copy_of("debian12");
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), tree.at("/var")).unwrap();
    let before = tree.whole();
    tree.fails(
        "fix",
        &["--to", "1500000", "--yes"],
        &["/var is a symbolic link", "nothing was changed"],
    );
    assert_eq!(tree.whole(), before);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// A link to nothing: what a shell would write through it is written there.
#[test]
fn a_link_to_a_missing_file_is_written_through() {
    let tree = Tree::copy_of("el6-iptables-16");
    let config = "/etc/sysconfig/iptables-config";
    fs::remove_file(tree.at(config)).unwrap();
    symlink("/etc/sysconfig/iptables-own", tree.at(config)).unwrap();
    tree.done("fix", &["--yes", "--to", "1500000"]);
    assert!(tree.at(config).is_symlink());
    let list = "IPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack\"";
    let made = tree.text("/etc/sysconfig/iptables-own");
    assert!(made.contains(list), "{made}");
    tree.done("undo", &[]);
    assert!(!tree.at("/etc/sysconfig/iptables-own").exists());
    // Nothing can be made where it leads to.
    fs::remove_file(tree.at(config)).unwrap();
    symlink("/nowhere/iptables-config", tree.at(config)).unwrap();
    let output = tree.run("fix", &["--yes", "--to", "1500000"]);
    failed(&output, &[config, "delete the link"]);
}
