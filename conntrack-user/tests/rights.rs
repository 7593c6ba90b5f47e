//! The commands without rights: what cannot be seen is unknown, and is not taken for
//! nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Output, id},
    thread,
    time::{Duration, Instant},
};

use rustix::process::getuid;
use serde_json::Value;

/// A user who may look at nobody else's processes.
const NOBODY: u32 = 65_534;

/// Unknown, as monitoring plugins tell it.
const UNKNOWN: Option<i32> = Some(3);

/// A network namespace in which a process of root is, whom others cannot look at.
struct Netns {
    name: String,
    inside: Child,
}

impl Netns {
    /// Makes one, or says why not.
    fn new(purpose: &str) -> Option<Self> {
        if !getuid().is_root() {
            eprintln!("skipped: it needs root to make network namespaces");
            return None;
        }
        if !Path::new("/proc/net/stat/nf_conntrack").exists() {
            eprintln!("skipped: conntrack is not loaded");
            return None;
        }
        let name = format!("ctdrop-{purpose}-{}", id());
        ip(&["netns", "add", &name]);
        let inside = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{name}"))
            .args(["sleep", "60"])
            .spawn()
            .unwrap();
        Some(Self { name, inside })
    }

    /// The program, run by somebody without rights inside.
    fn ctdrop(&self, arguments: &[&str]) -> Output {
        Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.name))
            .args([
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ])
            .arg(env!("CARGO_BIN_EXE_ctdrop"))
            .args(arguments)
            .output()
            .unwrap()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = self.inside.kill();
        let _ = self.inside.wait();
        ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// The program, run by somebody without rights.
fn ctdrop(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(arguments)
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap()
}

/// What it printed, on standard output and standard error.
fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// Waits until a process runs `sleep`.
fn wait_for_sleep(pid: u32) {
    let comm = format!("/proc/{pid}/comm");
    let began = Instant::now();
    while std::fs::read_to_string(&comm).is_ok_and(|comm| comm != "sleep\n") {
        assert!(began.elapsed() < Duration::from_secs(10), "no sleep");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn fix_does_not_take_what_it_cannot_see_for_nothing() {
    let Some(_hidden) = Netns::new("fix") else {
        return;
    };
    let output = ctdrop(&["fix", "--dry-run", "--interval", "100ms"]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), UNKNOWN, "{out}{err}");
    assert!(
        out.contains("whether packets are refused is unknown")
            && out.contains("1 (")
            && out.contains("cannot be seen"),
        "{out}"
    );
    for claim in [
        "no packets are refused",
        "nothing shows",
        "Nothing needs to be changed",
        "nothing calls for more",
    ] {
        assert!(!out.contains(claim), "{claim}: {out}");
    }
    // A limit that is asked for depends on no load.
    let output = ctdrop(&["fix", "--dry-run", "--interval", "100ms", "--to", "1500000"]);
    let in_container = texts(&output).0.contains("runs in a container");
    assert_eq!(output.status.code() == Some(0), !in_container);
}

#[test]
fn json_has_the_kind_and_the_processes() {
    let Some(hidden) = Netns::new("json") else {
        return;
    };
    wait_for_sleep(hidden.inside.id());
    let output = ctdrop(&["fix", "--dry-run", "--interval", "100ms", "-o", "json"]);
    let fix: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fix["incident"]["kind"], "not_seen");
    assert_eq!(fix["incident"]["confidence"], "possible");
    let warnings = fix["warnings"].as_array().unwrap();
    let hides = |warning: &&Value| warning["code"] == "namespaces_hidden";
    assert_eq!(
        warnings.iter().find(hides).unwrap()["severity"],
        "unknown",
        "{fix}"
    );
    let output = ctdrop(&["status", "--interval", "100ms", "-o", "json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["incident"]["kind"], "not_seen");
    let process = |pid: u32| {
        let processes = status["hidden_processes"].as_array().unwrap().iter();
        let mut with_pid = processes.filter(|process| process["pid"] == pid);
        with_pid.next().cloned()
    };
    assert_eq!(process(hidden.inside.id()).unwrap()["comm"], "sleep");
}

#[test]
fn who_does_not_take_what_it_cannot_see_for_empty() {
    let Some(hidden) = Netns::new("who") else {
        return;
    };
    let output = hidden.ctdrop(&["who"]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), UNKNOWN, "{out}{err}");
    assert!(
        out.contains("no entries in 1 network namespace") && out.contains("cannot be seen"),
        "{out}{err}"
    );
}

#[test]
fn watch_ends_at_once_if_it_cannot_see_the_namespace() {
    let Some(hidden) = Netns::new("watch") else {
        return;
    };
    let only = [
        "watch",
        "--backend",
        "counters",
        "--duration",
        "20s",
        "--netns",
    ];
    let began = Instant::now();
    let output = ctdrop(&[&only[..], &[&hidden.name]].concat());
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(out, "");
    let cannot = format!("cannot enter network namespace {}: ", hidden.name);
    assert!(
        err.contains(&cannot) && err.contains("CAP_SYS_ADMIN"),
        "{err}"
    );
    // As `who` says it.
    let output = ctdrop(&["who", "--netns", &hidden.name]);
    assert!(texts(&output).1.contains(&cannot));
}

#[test]
fn the_file_of_a_process_that_must_not_be_read_is_not_missing() {
    if !getuid().is_root() {
        eprintln!("skipped: it needs root to have a process that others must not look at");
        return;
    }
    let file = format!("/proc/{}/ns/net", id());
    let output = ctdrop(&["who", "--netns", &file]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    let cannot = format!("cannot see the network namespace of {file}: ");
    assert!(
        err.contains(&cannot) && err.contains("CAP_SYS_PTRACE") && err.contains("ermission denied"),
        "{err}"
    );
    let output = ctdrop(&["who", "--netns", "/proc/4294967295/ns/net"]);
    let (_, err) = texts(&output);
    assert!(err.contains("no network namespace is called"), "{err}");
}

#[test]
fn the_totals_of_watch_say_what_was_out_of_sight() {
    let Some(_hidden) = Netns::new("totals") else {
        return;
    };
    let output = ctdrop(&["watch", "--backend", "counters", "--duration", "1s"]);
    let (out, err) = texts(&output);
    let totals = out.split_once("Total in ").unwrap().1;
    assert!(
        totals.contains("note") && totals.contains("cannot be read"),
        "{out}{err}"
    );
}

/// The program with processes of its own, as in a container.
fn in_a_pid_namespace(arguments: &[&str]) -> Output {
    Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(env!("CARGO_BIN_EXE_ctdrop"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn a_container_is_told_by_its_namespaces() {
    if !getuid().is_root() {
        eprintln!("skipped: it needs root to make PID namespaces");
        return;
    }
    let status = ["status", "--interval", "100ms", "-o", "json"];
    let says_so = |output: &Output| {
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut warnings = status["warnings"].as_array().unwrap().iter();
        warnings.any(|it| it.as_str().unwrap().contains("runs in a container"))
    };
    assert!(says_so(&in_a_pid_namespace(&status)));
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    if own == Path::new("pid:[4026531836]") && !in_own_root() {
        let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
            .args(status)
            .output()
            .unwrap();
        assert!(!says_so(&output), "whatever /.dockerenv says");
    }
    let output = in_a_pid_namespace(&["fix", "--dry-run", "--interval", "100ms"]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), UNKNOWN, "{out}{err}");
    assert!(out.contains("runs in a container"), "{out}");
    // A tree is not that of this host.
    let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees/debian12");
    let output = in_a_pid_namespace(&["fix", "--dry-run", "--root", tree]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(!out.contains("container"), "{out}");
}

/// Whether the tests run in a container that has the host's processes.
fn in_own_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let root = |path| std::fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    root("/") != root("/proc/1/root")
}

#[test]
fn undo_does_not_take_fixes_that_it_cannot_read_for_none() {
    if !getuid().is_root() {
        eprintln!("skipped: it needs root to become somebody else");
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let fixes = tree.path().join("var/lib/ctdrop-fixes");
    let fix = fixes.join("2026-01-02T030405-000000Z");
    std::fs::create_dir_all(&fix).unwrap();
    std::fs::write(fix.join("manifest.json"), "{}").unwrap();
    mode(tree.path(), 0o755);
    let root = tree.path().to_str().unwrap();
    for (fixes_mode, fix_mode) in [(0o700, 0o700), (0o755, 0o700)] {
        mode(&fixes, fixes_mode);
        mode(&fix, fix_mode);
        let output = ctdrop(&["undo", "--list", "--root", root]);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{out}{err}");
        assert!(
            err.contains("cannot read ") && err.contains(": run as root"),
            "{err}"
        );
    }
}

#[test]
fn the_overview_says_what_it_could_not_see() {
    let Some(_hidden) = Netns::new("overview") else {
        return;
    };
    let output = ctdrop(&[]);
    let (out, err) = texts(&output);
    let status = ctdrop(&["status", "--interval", "100ms"]);
    assert_eq!(output.status.code(), status.status.code(), "{out}{err}");
    assert!(out.contains("\nnot seen "), "{out}{err}");
    assert!(out.contains("network namespaces"), "{out}");
    assert!(out.contains("\n  sudo ctdrop "), "{out}");
    assert!(out.lines().count() < 24, "{out}");
}
