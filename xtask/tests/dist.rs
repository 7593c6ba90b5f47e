//! What `cargo xtask dist` makes of a small program that answers as ctdrop does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env::consts::ARCH,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

/// Says what the packages ask of ctdrop.
const PROGRAM: &str = "#!/bin/sh\ncase $1 in\nman) echo .TH ctdrop 1 >\"$2/ctdrop.1\" ;;\n\
    completions) echo \"# for $2\" ;;\n*) exit 2 ;;\nesac\n";

/// This machine's architecture, as Debian names it.
fn debian() -> &'static str {
    if ARCH == "aarch64" { "arm64" } else { "amd64" }
}

/// Packs a program as of a time, and returns what cargo xtask says.
fn dist(program: &Path, out: &Path, time: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["dist", "--program"])
        .arg(program)
        .arg("--out")
        .arg(out)
        .env("SOURCE_DATE_EPOCH", time)
        .output()
        .unwrap()
}

/// The program, as a file that can be run.
fn program(directory: &Path, text: &str) -> std::path::PathBuf {
    let file = directory.join("ctdrop");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// The files in a directory.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    entries.collect()
}

#[test]
fn two_runs_give_the_same_bytes_and_another_time_gives_others() {
    let root = tempfile::tempdir().unwrap();
    let program = program(root.path(), PROGRAM);
    let made = |name: &str, time| {
        let out = root.path().join(name);
        let output = dist(&program, &out, time);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        let paths = String::from_utf8(output.stdout).unwrap();
        let files = files(&out);
        assert_eq!(paths.lines().count(), files.len(), "{paths}");
        files
    };
    let one = made("one", "1700000000");
    let version = env!("CARGO_PKG_VERSION");
    let (rust, debian) = (ARCH, debian());
    let expected = [
        "SHA256SUMS".to_owned(),
        format!("ctdrop-{version}-1.{rust}.rpm"),
        format!("ctdrop-{version}-{debian}-oci.tar"),
        format!("ctdrop-{version}-{rust}-linux.tar.gz"),
        format!("ctdrop-{version}-{rust}.cdx.json"),
        format!("ctdrop_{version}-1_{debian}.deb"),
    ];
    let names: BTreeSet<_> = one.keys().cloned().collect();
    assert_eq!(names, expected.into());
    let other = made("two", "1700000000");
    for (name, bytes) in &one {
        assert!(other[name] == *bytes, "{name} differs");
    }
    let later = made("three", "1700000001");
    for (name, bytes) in &one {
        assert!(later[name] != *bytes, "{name} does not bear the time");
    }
}

#[test]
fn sha256sum_agrees() {
    let root = tempfile::tempdir().unwrap();
    let program = program(root.path(), PROGRAM);
    let out = root.path().join("out");
    assert!(dist(&program, &out, "1700000000").status.success());
    let check = |out: &Path| {
        let mut sums = Command::new("sha256sum");
        let output = sums
            .args(["--check", "--quiet", "SHA256SUMS"])
            .current_dir(out)
            .output();
        output.unwrap().status.success()
    };
    assert!(check(&out));
    let version = env!("CARGO_PKG_VERSION");
    let package = out.join(format!("ctdrop_{version}-1_{}.deb", debian()));
    fs::write(package, "damaged").unwrap();
    assert!(!check(&out));
}

#[test]
fn a_program_that_prints_no_completions_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let program = program(root.path(), &PROGRAM.replace("echo \"# for $2\"", "true"));
    let output = dist(&program, &root.path().join("out"), "1700000000");
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("completions bash printed none"), "{told}");
}
