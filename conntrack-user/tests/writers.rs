//! Who else sets the limit at boot, by which command and in which file: what it
//! then is, or that it is not known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use conntrack_user::{
    facts::{Facts, root::Root},
    survival::{Outcome, Start, simulate},
};
use tempfile::TempDir;

/// What the files of sysctls set.
const FILES: u64 = 1_310_720;

/// What is expected of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// This.
    Is(u64),
    /// It is not known, because of this line of the file.
    UnknownBy(u32),
}

use Limit::{Is, UnknownBy};

/// A host whose files set the limit, with a further file.
struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.write("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
        host.write("/proc/sys/kernel/osrelease", "6.1.0-25-amd64\n");
        host.write("/proc/meminfo", "MemTotal: 16384000 kB\n");
        host.write("/usr/lib/systemd/systemd", "");
        host.write("/etc/modules-load.d/ct.conf", "nf_conntrack\n");
        let setting = format!("net.netfilter.nf_conntrack_max = {FILES}\n");
        host.write("/etc/sysctl.d/90-ct.conf", &setting);
        host
    }

    fn with(path: &str, content: &str) -> Self {
        let host = Self::new();
        host.write(path, content);
        host
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn boot(&self) -> Outcome {
        let facts = Facts::read(&Root::open(self.0.path()).unwrap()).unwrap();
        simulate(&facts, Start::AfterBoot).boot
    }

    fn limit(&self) -> Limit {
        let boot = self.boot();
        match boot.value {
            Some(value) => Is(value),
            None => UnknownBy(boot.origin.source().unwrap().line),
        }
    }
}

const LOCAL: &str = "/etc/rc.local";
const FILE: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
const KEY: &str = "net.netfilter.nf_conntrack_max";

/// Lines of `rc.local` after its first; `FILE` and `KEY` stand for the limit's.
const LINES: [(&str, Limit); 73] = [
    ("echo 655360 > FILE", Is(655_360)),
    ("echo 655360 >FILE", Is(655_360)),
    ("echo '655360' >| FILE", Is(655_360)),
    ("echo -n 655360 > FILE", Is(655_360)),
    ("/bin/echo 655360 | tee FILE", Is(655_360)),
    ("echo 655360 | tee FILE", Is(655_360)),
    ("echo 655360 | sudo tee FILE > /dev/null", Is(655_360)),
    ("echo 655360 | sudo -n /usr/bin/tee -a FILE", Is(655_360)),
    ("printf 655360 > FILE", Is(655_360)),
    ("printf '%s\\n' 655360 > FILE", Is(655_360)),
    ("printf '%d' 655360 | tee FILE", Is(655_360)),
    ("cat <<EOF > FILE\n655360\nEOF", Is(655_360)),
    ("cat > FILE <<'EOF'\n655360\nEOF", Is(655_360)),
    ("tee FILE <<EOF\n655360\nEOF", Is(655_360)),
    ("N=655360\ncat <<EOF > FILE\n$N\nEOF", Is(655_360)),
    ("N=655360\necho $N > FILE", Is(655_360)),
    ("N=655360; F=FILE\necho \"$N\" > \"$F\"", Is(655_360)),
    ("cd /proc/sys/net\necho ${N:-655360} > FILE", UnknownBy(3)),
    ("N=; echo ${N:-655360} > FILE", Is(655_360)),
    ("{ echo 655360; } > FILE", Is(655_360)),
    ("(echo 655360) > FILE", Is(655_360)),
    ("f() { echo 655360 > FILE; }\nf", Is(655_360)),
    ("f() { echo $1 > FILE; }\nf 655360", Is(655_360)),
    ("f() { echo 655360 > FILE; }", Is(FILES)),
    ("if true; then echo 655360 > FILE; fi", Is(655_360)),
    ("if false; then echo 655360 > FILE; fi", Is(FILES)),
    ("if [ -f FILE ]; then echo 655360 > FILE; fi", Is(655_360)),
    ("[ -w FILE ] && echo 655360 > FILE", Is(655_360)),
    ("[ -f /etc/there ] && echo 655360 > FILE", Is(655_360)),
    // A tree may be without what its host has.
    ("[ -f /etc/absent ] && echo 655360 > FILE", UnknownBy(2)),
    ("exit 0\necho 655360 > FILE", Is(FILES)),
    ("echo 655360 > FILE\nexit 0", Is(655_360)),
    (
        "if [ -f /etc/absent ]; then exit 0; fi\necho 655360 > FILE",
        UnknownBy(3),
    ),
    ("for n in 1 2 655360; do echo $n > FILE; done", Is(655_360)),
    (
        "while sleep 60; do echo 655360 > FILE; done &",
        UnknownBy(2),
    ),
    ("(sleep 5; echo 655360 > FILE) &", Is(655_360)),
    ("sysctl -w KEY=655360", Is(655_360)),
    ("sysctl KEY=655360", Is(655_360)),
    (
        "/sbin/sysctl -q -w KEY=655360 > /dev/null 2>&1",
        Is(655_360),
    ),
    ("sysctl -e -q -w other=1 KEY=655360", Is(655_360)),
    (
        "sysctl -w net/netfilter/nf_conntrack_max=655360",
        Is(655_360),
    ),
    ("sudo sysctl -w \"KEY=655360\"", Is(655_360)),
    ("sysctl KEY", Is(FILES)),
    ("sysctl -n KEY=655360 >> /var/log/boot.log", Is(655_360)),
    ("sysctl -w KEY=$UNKNOWN", UnknownBy(2)),
    ("sysctl -p /etc/other.conf", Is(655_360)),
    ("sysctl --load=/etc/other.conf", Is(655_360)),
    ("sysctl -qp /etc/other.conf", Is(655_360)),
    ("sysctl -p/etc/other.conf", Is(655_360)),
    ("sysctl -p", Is(777_777)),
    ("echo KEY=655360 | sysctl -p -", Is(655_360)),
    ("sysctl -p - <<EOF\nKEY = 655360\nEOF", Is(655_360)),
    ("sysctl -p - < /etc/other.conf", Is(655_360)),
    ("grep conntrack /etc/other.conf | sysctl -p -", UnknownBy(2)),
    ("sysctl --system", Is(777_777)),
    (
        "echo 655360 > FILE\nsystemctl restart systemd-sysctl",
        Is(FILES),
    ),
    ("/usr/local/sbin/tune", Is(655_360)),
    ("sh /usr/local/sbin/tune 5", Is(655_360)),
    (". /usr/local/sbin/tune", Is(655_360)),
    ("tune", Is(655_360)),
    ("/usr/local/sbin/argument 655360", Is(655_360)),
    ("bash -c 'echo 655360 > FILE'", Is(655_360)),
    ("su -c 'echo 655360 > FILE' root", UnknownBy(2)),
    ("eval echo 655360 '>' FILE", UnknownBy(2)),
    ("$TUNE KEY=655360", UnknownBy(2)),
    (
        "python3 -c 'open(\"FILE\", \"w\").write(\"655360\")'",
        UnknownBy(2),
    ),
    ("if true; then\necho 655360 > FILE", UnknownBy(3)),
    // Without a blank the number is a descriptor.
    ("echo 655360>FILE", Is(FILES)),
    ("echo 655360 2>FILE", Is(FILES)),
    ("echo many > FILE", Is(FILES)),
    ("echo $((5 * 131072)) > FILE", UnknownBy(2)),
    ("cat FILE; logger the nf_conntrack_max is low", Is(FILES)),
    ("# echo 655360 > FILE", Is(FILES)),
];

fn of_line(first: &str, line: &str) -> Host {
    let host = Host::new();
    let line = line.replace("FILE", FILE).replace("KEY", KEY);
    host.write(LOCAL, format!("{first}\n{line}\n"));
    host.write("/etc/other.conf", format!("# x\n{KEY} = 655360\n"));
    host.write("/etc/sysctl.conf", format!("{KEY} = 777777\n"));
    host.write("/etc/there", "");
    host.write(
        "/usr/local/sbin/tune",
        format!("#!/bin/sh\necho 655360 > {FILE}\n"),
    );
    host.write(
        "/usr/local/sbin/argument",
        format!("#!/bin/sh\necho \"$1\" > {FILE}\n"),
    );
    host
}

#[test]
fn lines_of_rc_local() {
    for (line, expected) in LINES {
        for first in ["#!/bin/sh", "#!/bin/sh -e", "#!/bin/bash"] {
            assert_eq!(of_line(first, line).limit(), expected, "{first} {line}");
        }
    }
}

#[test]
fn a_script_that_cannot_be_followed_is_unknown_and_fix_says_so() {
    for content in [
        format!("#!/usr/bin/python3\nopen('{FILE}', 'w').write('5')\n"),
        format!("#!/bin/sh\n. /etc/default/missing\necho 5 > {FILE} || true\neval \"$X\"\n"),
        format!("#!/bin/sh\n\0\necho 5 > {FILE}\n"),
    ] {
        let host = Host::with(LOCAL, &content);
        assert!(host.boot().value.is_none(), "{content:?}");
        let output = fix(&host);
        assert!(!output.0, "{content:?}: {}", output.1);
        assert!(output.1.contains("unknown"), "{}", output.1);
    }
}

/// Whether `fix` reports success, and what it says.
fn fix(host: &Host) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ctdrop"))
        .args(["fix", "--yes", "--to", "1500000", "--root"])
        .arg(host.0.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn fix_does_not_claim_what_rc_local_puts_back() {
    let host = of_line("#!/bin/sh", "echo 655360 | tee FILE");
    let (success, said) = fix(&host);
    assert!(!success, "{said}");
    assert!(
        said.contains("655,360") && said.contains("/etc/rc.local"),
        "{said}"
    );
}

/// Files with a line that sets the limit, the line that decides, and what a boot
/// leads to.
fn places() -> Vec<(&'static str, String, Limit)> {
    let set = format!("echo 655360 > {FILE}");
    vec![
        (
            "/etc/rc.d/rc.local",
            format!("#!/bin/sh\n{set}\n"),
            Is(655_360),
        ),
        (
            "/etc/network/if-up.d/ct",
            format!("#!/bin/sh\n{set}\n"),
            Is(655_360),
        ),
        (
            "/etc/NetworkManager/dispatcher.d/50-ct",
            format!("#!/bin/sh\n[ \"$2\" = up ] && {set}\n"),
            Is(655_360),
        ),
        (
            "/etc/NetworkManager/dispatcher.d/50-ct",
            format!("#!/bin/sh\n[ \"$1\" = eth0 ] && {set}\n"),
            UnknownBy(2),
        ),
        (
            "/etc/networkd-dispatcher/routable.d/ct",
            format!("#!/bin/sh\n{set}\n"),
            Is(655_360),
        ),
        (
            "/etc/network/interfaces",
            format!("iface eth0 inet dhcp\n  post-up {set}\n"),
            Is(655_360),
        ),
        (
            "/etc/network/interfaces",
            format!("iface eth0 inet dhcp\n  down {set}\n"),
            Is(FILES),
        ),
        (
            "/var/lib/cloud/scripts/per-boot/ct",
            format!("#!/bin/sh\n{set}\n"),
            Is(655_360),
        ),
        ("/etc/crontab", format!("@reboot root {set}\n"), Is(655_360)),
        (
            "/etc/cron.d/ct",
            format!("@reboot root sleep 9 && {set}\n"),
            UnknownBy(1),
        ),
        (
            "/etc/cron.d/ct",
            format!("@reboot root sleep 9; {set}\n"),
            Is(655_360),
        ),
        (
            "/var/spool/cron/root",
            format!("@reboot sysctl -w {KEY}=655360\n"),
            Is(655_360),
        ),
        (
            "/var/spool/cron/crontabs/root",
            format!("*/5 * * * * {set}\n"),
            Is(655_360),
        ),
        (
            "/etc/cron.hourly/ct",
            format!("#!/bin/sh\n{set}\n"),
            Is(655_360),
        ),
    ]
}

/// The same, of what systemd and udev read.
fn places_of_systemd() -> Vec<(&'static str, String, Limit)> {
    let set = format!("echo 655360 > {FILE}");
    let unit = |command: &str| format!("[Service]\nType=oneshot\nExecStart={command}\n");
    vec![
        (
            "/etc/tmpfiles.d/ct.conf",
            format!("w {FILE} - - - - 655360\n"),
            UnknownBy(1),
        ),
        (
            "/etc/tmpfiles.d/ct.conf",
            format!("w {FILE} - - - - {FILES}\n"),
            Is(FILES),
        ),
        (
            "/etc/udev/rules.d/ct.rules",
            format!("SUBSYSTEM==\"net\", RUN+=\"/bin/sh -c '{set}'\"\n"),
            UnknownBy(1),
        ),
        (
            "/etc/systemd/system/multi-user.target.wants/ct.service",
            unit(&format!("/bin/sh -c '{set}'")),
            Is(655_360),
        ),
        (
            "/etc/systemd/system/multi-user.target.wants/ct.service",
            unit(&format!("/bin/sh -c \\\n  '{set}'")),
            Is(655_360),
        ),
        // No shell: nothing is redirected.
        (
            "/etc/systemd/system/multi-user.target.wants/ct.service",
            unit(&format!("/bin/{set}")),
            Is(FILES),
        ),
        (
            "/etc/systemd/system/multi-user.target.wants/ct.service",
            format!("[Service]\nExecStop=/bin/sh -c '{set}'\n"),
            Is(FILES),
        ),
        (
            "/usr/lib/systemd/system/multi-user.target.wants/ct.service",
            unit(&format!("-/usr/sbin/sysctl -w {KEY}=655360")),
            Is(655_360),
        ),
        (
            "/etc/systemd/system/off.service",
            unit(&format!("sysctl {KEY}=655360")),
            Is(FILES),
        ),
    ]
}

#[test]
fn every_place_is_seen_with_path_and_line() {
    for (path, content, expected) in places().into_iter().chain(places_of_systemd()) {
        let host = Host::with(path, &content);
        if path.ends_with("ct.service") {
            let own = path.replace("multi-user.target.wants/", "");
            host.write(&own, &content);
        }
        assert_eq!(host.limit(), expected, "{path}: {content}");
        let source = host.boot().origin.source().cloned().unwrap();
        if expected != Is(FILES) {
            let at = source.file.to_string_lossy().into_owned();
            assert!(
                path.replace("multi-user.target.wants/", "") == at || path == at,
                "{at}"
            );
        }
    }
}

#[test]
fn a_drop_in_and_a_timer_are_seen() {
    let host = Host::new();
    let wants = "/etc/systemd/system/multi-user.target.wants/x.service";
    for path in [wants, "/usr/lib/systemd/system/x.service"] {
        host.write(path, "[Service]\nExecStart=/bin/true\n");
    }
    host.write(
        "/etc/systemd/system/x.service.d/ct.conf",
        format!("[Service]\nExecStartPost=/sbin/sysctl -w {KEY}=655360\n"),
    );
    assert_eq!(host.limit(), Is(655_360));
    let host = Host::new();
    host.write(
        "/etc/systemd/system/timers.target.wants/y.timer",
        "[Timer]\nOnBootSec=1min\n",
    );
    host.write(
        "/etc/systemd/system/y.service",
        format!("[Service]\nExecStart=/bin/sh -c 'echo 655360 | tee {FILE}'\n"),
    );
    host.write("/etc/systemd/system/y.timer", "[Timer]\nOnBootSec=1min\n");
    assert_eq!(host.limit(), Is(655_360));
}

#[test]
fn a_command_for_the_module_is_run_at_each_load() {
    let host = Host::with(
        "/etc/modprobe.d/ct.conf",
        &format!(
            "install nf_conntrack /sbin/modprobe --ignore-install nf_conntrack; echo 655360 > {FILE}\n"
        ),
    );
    let facts = Facts::read(&Root::open(host.0.path()).unwrap()).unwrap();
    let survival = simulate(&facts, Start::AfterBoot);
    // systemd-sysctl comes after the module.
    assert_eq!(survival.boot.value, Some(FILES));
    assert_eq!(survival.module_reload.value, Some(655_360));
}

#[test]
fn a_script_that_is_not_executable_is_not_run() {
    let host = of_line("#!/bin/sh", "echo 655360 > FILE");
    let path = host.0.path().join("etc/rc.local");
    fs::set_permissions(Path::new(&path), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(host.limit(), Is(FILES));
}

#[test]
fn a_script_that_is_not_in_the_tree_is_missed() {
    let host = Host::with(LOCAL, "#!/bin/sh\n/opt/vendor/start.sh\n");
    let facts = Facts::read(&Root::open(host.0.path()).unwrap()).unwrap();
    let missing = &facts.unreadable[0];
    assert_eq!(missing.path, Path::new("/opt/vendor/start.sh"));
    assert!(missing.why.contains("/etc/rc.local:2"), "{}", missing.why);
}
