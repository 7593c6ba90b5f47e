//! Files that cannot be written: no room, no permission, immutable, mounted read-only.
//! Nothing is changed, and the error names the object.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    process::Command,
};

use rustix::{
    fs::{IFlags, ioctl_getflags, ioctl_setflags},
    process::getuid,
};

use crate::{
    faults::CONF,
    tree::{Tree, failed, texts},
};

/// A file that may not be larger than this stands for a disk that is full.
fn limited(tree: &Tree, bytes: u64) -> std::process::Output {
    let mut command = tree.command("fix", &["--to", "1500000", "--yes"]);
    let before_it_runs = move || {
        let limit = libc::rlimit {
            rlim_cur: bytes,
            rlim_max: bytes,
        };
        // SAFETY: the limit is a valid one, on the stack.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        if set != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: to ignore a signal is always possible; the error is what counts.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        Ok(())
    };
    // SAFETY: both calls only change the process that is about to be replaced, and
    // may be made after a fork.
    unsafe {
        command.pre_exec(before_it_runs);
    }
    command.output().unwrap()
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let tree = Tree::copy_of("debian12");
    // One file is large, so that keeping the others works, and changing it fails.
    let large = format!("{}{}", "# filler\n".repeat(8000), tree.text(CONF));
    tree.write(CONF, &large);
    let before = tree.snapshot();
    for bytes in [0, 10, 100, 2000, 60_000] {
        let output = limited(&tree, bytes);
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{bytes}: {err}");
        assert!(
            err.contains(tree.path().to_str().unwrap()),
            "{bytes}: {err}"
        );
        assert_eq!(tree.snapshot(), before, "{bytes}: {err}");
    }
    tree.fix();
    tree.done("undo", &[]);
    assert_eq!(tree.snapshot(), before);
}

/// Runs a shell script in mount namespaces of its own, with a copy of a tree at
/// `$T`; none if namespaces are not to be had here.
fn in_namespace(script: &str) -> Option<std::process::Output> {
    let private = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
        command.output()
    };
    let place = tempfile::tempdir().unwrap();
    let prepare = format!("mount -t tmpfs -o size=1m none {}", place.path().display());
    match private(&prepare) {
        Ok(output) if output.status.success() => {}
        other => {
            eprintln!("skipped: no mount namespace here ({other:?})");
            return None;
        }
    }
    let tree = Tree::copy_of("debian12");
    let script = format!(
        "T={0}\n{prepare}\ncp -a {1}/. $T\nctdrop={2}\n{script}",
        place.path().display(),
        tree.path().display(),
        env!("CARGO_BIN_EXE_ctdrop")
    );
    Some(private(&script).unwrap())
}

#[test]
fn a_full_disk_changes_nothing() {
    let script = "
        cp -a $T/etc /tmp/etc.$$
        trap 'rm -rf /tmp/etc.$$' EXIT
        dd if=/dev/zero of=$T/filler bs=4k 2>/dev/null || :
        for free in 0 1 2 3 4 5 6 7 8 9 10 11 12; do
            truncate -s -$((free * 4096)) $T/filler
            code=0
            $ctdrop fix --root $T --to 1500000 --yes >/dev/null 2>$T/../err.$$ || code=$?
            if [ $code = 0 ]; then
                [ $free -ge 3 ]
                rm $T/../err.$$
                $ctdrop undo --root $T >/dev/null
                rm $T/filler
                diff -r --no-dereference $T/etc /tmp/etc.$$
                echo enough with $free pages
                exit 0
            fi
            grep -q \"$T\" $T/../err.$$
            grep -q 'No space left' $T/../err.$$
            rm $T/../err.$$
            diff -r --no-dereference $T/etc /tmp/etc.$$
        done
        exit 3";
    let Some(output) = in_namespace(script) else {
        return;
    };
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{:?} {out} {err}", output.status);
    assert!(out.contains("enough with"), "{out}");
}

#[test]
fn a_directory_mounted_read_only_is_named() {
    let script = "
        mkdir -p $T/var
        mount --bind $T/etc/sysctl.d $T/etc/sysctl.d
        mount -o remount,bind,ro $T/etc/sysctl.d
        find $T/etc -type f | sort | xargs cat > /dev/shm/before.$$
        code=0
        $ctdrop fix --root $T --to 1500000 --yes 2>&1 >/dev/null || code=$?
        find $T/etc -type f | sort | xargs cat | cmp - /dev/shm/before.$$
        rm /dev/shm/before.$$
        exit $code";
    let Some(output) = in_namespace(script) else {
        return;
    };
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out} {err}");
    assert!(
        out.contains("etc/sysctl.d/50-conntrack.conf"),
        "{out} {err}"
    );
    assert!(out.contains("mounted read-only"), "{out} {err}");
}

#[test]
fn an_immutable_file_is_named() {
    let tree = Tree::copy_of("debian12");
    let file = fs::File::open(tree.at(CONF)).unwrap();
    let set = ioctl_getflags(&file)
        .and_then(|flags| ioctl_setflags(&file, flags | IFlags::IMMUTABLE).map(|()| flags));
    let flags = match set {
        Ok(flags) => flags,
        Err(error) => {
            eprintln!("skipped: no file can be made immutable here ({error})");
            return;
        }
    };
    let before = tree.snapshot();
    let output = tree.run("fix", &["--to", "1500000", "--yes"]);
    let after = tree.snapshot();
    ioctl_setflags(&file, flags).unwrap();
    failed(&output, &["50-conntrack.conf", "immutable", "chattr -i"]);
    assert_eq!(after, before);
}

#[test]
fn without_permission_nothing_is_changed() {
    let tree = Tree::copy_of("debian12");
    fs::set_permissions(tree.path(), Permissions::from_mode(0o755)).unwrap();
    let kept = tree.at("/var/lib/ctdrop-fixes");
    fs::create_dir_all(&kept).unwrap();
    let mut command = tree.command("fix", &["--to", "1500000", "--yes"]);
    if getuid().is_root() {
        command.uid(65_534).gid(65_534);
        chown(&kept, Some(65_534), Some(65_534)).unwrap();
    } else {
        for directory in ["/etc/sysctl.d", "/etc", "/"] {
            fs::set_permissions(tree.at(directory), Permissions::from_mode(0o555)).unwrap();
        }
    }
    let before = tree.snapshot();
    let output = command.output().unwrap();
    let after = tree.snapshot();
    for directory in ["/", "/etc", "/etc/sysctl.d"] {
        fs::set_permissions(tree.at(directory), Permissions::from_mode(0o755)).unwrap();
    }
    failed(&output, &["/etc", "run as root"]);
    assert_eq!(after, before);
}
