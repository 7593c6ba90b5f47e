//! The check of the structure, on a copy of these sources.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// What the check reads of the workspace.
const READ: [&str; 6] = [
    "ARCHITECTURE.md",
    "Cargo.toml",
    "conntrack-ebpf",
    "conntrack-user",
    "tests",
    "xtask",
];

#[test]
fn a_planted_violation_is_named_by_file_and_line() {
    let copy = tempfile::tempdir().unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in READ {
        copied(&workspace.join(name), &copy.path().join(name));
    }
    let violation = "room btf uses crate::cli::Cli, but cli is in no layer below";
    let before = check(copy.path());
    assert!(!told(&before).contains(violation), "{}", told(&before));

    let file = "conntrack-user/src/btf/mod.rs";
    let source = fs::read_to_string(copy.path().join(file)).unwrap();
    let planted = format!("{source}use crate::cli::Cli;\n");
    fs::write(copy.path().join(file), planted).unwrap();

    let after = check(copy.path());
    assert!(!after.status.success());
    let line = source.lines().count() + 1;
    let expected = format!("{file}:{line}: {violation}");
    assert!(told(&after).contains(&expected), "{}", told(&after));
}

/// Copies a file, or a folder with the sources and manifests in it.
fn copied(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let is_folder = entry.file_type().unwrap().is_dir();
        let path = from.join(&name);
        let is_read = path
            .extension()
            .is_some_and(|kind| kind == "rs" || kind == "toml");
        // Where cargo builds is no source, and can be large.
        if is_folder && name != "target" || is_read {
            copied(&path, &to.join(&name));
        }
    }
}

fn check(workspace: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["check", "--structure", "--workspace"])
        .arg(workspace)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
