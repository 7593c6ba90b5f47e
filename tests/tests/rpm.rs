//! The package for rpm in a fresh root, by Debian's rpm: files, scripts, upgrade, downgrade
//! and removal. It needs root, for chroot, and the packages of `cargo xtask test`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use ctdrop_tests::{host, vm::unpacked};

/// Notes how scripts call it; it is no systemd that does anything.
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >> /called\n";

/// Directories of other packages, such as `filesystem` and `systemd`: the package puts files into
/// them and leaves them. The last is rpm's, for its scripts.
const SHARED: [&str; 6] = [
    "/usr/lib/systemd/system",
    "/usr/share/bash-completion/completions",
    "/usr/share/fish/vendor_completions.d",
    "/usr/share/licenses",
    "/usr/share/zsh/site-functions",
    "/var/tmp",
];

/// A root with rpm, a shell and nothing else.
struct Root {
    directory: tempfile::TempDir,
}

impl Root {
    fn new(packages: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Self { directory };
        for package in ["dash", "coreutils", "rpm"] {
            let tree = unpacked::provide("bookworm", package).unwrap();
            let status = Command::new("cp")
                .args(["--archive", "--no-clobber", "--"])
                .arg(tree.join("."))
                .arg(root.at("/"))
                .status();
            assert!(status.unwrap().success(), "{}", tree.display());
        }
        // Scripts send to it what systemctl says; any file does for that.
        fs::create_dir_all(root.at("/dev")).unwrap();
        fs::write(root.at("/dev/null"), "").unwrap();
        for directory in SHARED {
            fs::create_dir_all(root.at(directory)).unwrap();
        }
        let systemctl = root.at("/usr/bin/systemctl");
        fs::write(&systemctl, SYSTEMCTL).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        for revision in ["1", "2"] {
            let end = format!("-{revision}.{}.rpm", env::consts::ARCH);
            let mut entries = fs::read_dir(packages).unwrap();
            let found = entries.find_map(|entry| {
                let path = entry.unwrap().path();
                path.to_string_lossy().ends_with(&end).then_some(path)
            });
            let to = root.at(&format!("/{revision}.rpm"));
            fs::copy(found.unwrap(), to).unwrap();
        }
        root
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    /// Runs rpm, which must succeed without a word of complaint.
    fn rpm(&self, arguments: &[&str]) -> String {
        let mut rpm = Command::new("chroot");
        let rpm = rpm.arg(self.directory.path()).arg("/usr/bin/rpm");
        let output = rpm.args(arguments).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {err}");
        let complaint = err.lines().find(|line| line.contains("scriptlet"));
        assert_eq!(complaint, None, "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What scripts have called systemctl for since the last time.
    fn called(&self) -> String {
        let called = fs::read_to_string(self.at("/called")).unwrap_or_default();
        fs::write(self.at("/called"), "").unwrap();
        called
    }

    /// All files, but for those of rpm itself.
    fn files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut open = vec![self.at("/")];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let path = entry.path();
                let inside = path.strip_prefix(self.directory.path()).unwrap();
                if inside.starts_with("var/lib/rpm") {
                    continue;
                }
                files.insert(inside.to_owned());
                if entry.file_type().unwrap().is_dir() {
                    open.push(path);
                }
            }
        }
        files
    }
}

#[test]
fn the_package_is_installed_upgraded_and_removed() {
    let packages = env::var_os("CTDROP_PACKAGES");
    let (Some(packages), true) = (packages, host::Facts::gather().unwrap().root) else {
        eprintln!("skipped: it needs root and CTDROP_PACKAGES");
        return;
    };
    let root = Root::new(Path::new(&packages));
    root.rpm(&["--initdb"]);
    root.called();
    let before = root.files();
    // Nothing in a fresh database provides /bin/sh.
    root.rpm(&["--install", "--nodeps", "/1.rpm"]);
    assert!(root.called().contains("preset ctdrop.service"));
    root.rpm(&["--verify", "--nodeps", "ctdrop"]);
    for path in root.rpm(&["--query", "--list", "ctdrop"]).lines() {
        assert!(root.at(path).exists(), "{path}");
    }
    let settings = root.at("/etc/ctdrop/config.toml");
    fs::write(&settings, "# mine\n").unwrap();
    fs::create_dir(root.at("/var/lib/ctdrop")).unwrap();
    let evidence = root.at("/var/lib/ctdrop/ctdrop.db");
    fs::write(&evidence, "evidence").unwrap();

    for (package, release) in [("/2.rpm", "2"), ("/1.rpm", "1")] {
        root.rpm(&["--upgrade", "--oldpackage", "--nodeps", package]);
        let installed = root.rpm(&["--query", "--queryformat", "%{RELEASE}", "ctdrop"]);
        assert_eq!(installed, release);
        assert_eq!(fs::read_to_string(&settings).unwrap(), "# mine\n");
        let called = root.called();
        assert!(
            !called.contains("disable") && !called.contains("preset"),
            "{called}"
        );
    }
    root.rpm(&["--erase", "ctdrop"]);
    let called = root.called();
    for unit in ["ctdrop.service", "ctdrop.socket", "ctdrop-fixer.path"] {
        let disabled = called
            .lines()
            .any(|line| line.contains("disable") && line.contains(unit));
        assert!(disabled, "{unit}: {called}");
    }
    let after = root.files();
    let left: Vec<_> = after.difference(&before).collect();
    let expected = [
        "etc/ctdrop",
        "etc/ctdrop/config.toml.rpmsave",
        "var/lib/ctdrop",
        "var/lib/ctdrop/ctdrop.db",
    ];
    assert_eq!(left, expected.map(Path::new));
    assert_eq!(before.difference(&after).next(), None);
}
