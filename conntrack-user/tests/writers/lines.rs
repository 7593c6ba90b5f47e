//! Lines of `rc.local`.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use conntrack_user::facts::{Facts, root::Root};

use crate::host::{
    FILE, FILES, Host, KEY,
    Limit::{self, Is, UnknownBy},
};

const LOCAL: &str = "/etc/rc.local";

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
    ("echo 6>FILE", Is(FILES)),
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
fn a_long_number_without_a_blank_is_a_descriptor_to_bash_alone() {
    // Seen: bash says that it is a bad file descriptor, dash writes the number.
    for (first, expected) in [
        ("#!/bin/bash", Is(FILES)),
        ("#!/bin/sh", UnknownBy(2)),
        ("#!/bin/dash", UnknownBy(2)),
    ] {
        assert_eq!(
            of_line(first, "echo 655360>FILE").limit(),
            expected,
            "{first}"
        );
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

#[test]
fn who_only_reads_the_limit_sets_nothing() {
    for (line, limit) in [
        ("curl -d \"max=$(cat FILE)\" http://x/", Is(FILES)),
        ("zabbix_sender -k max -o `cat FILE`", Is(FILES)),
        (
            "awk -v m=$(sysctl -n KEY) 'BEGIN { print m }' > /var/lib/x.prom",
            Is(FILES),
        ),
        ("printf \"KEY %d\\n\" $(cat FILE) >> /var/log/x", Is(FILES)),
        ("x=$(cat FILE); curl \"http://x/?$x\"", Is(FILES)),
        // Who is told to set it by an argument.
        ("sysctl -w $(grep KEY /etc/x)", UnknownBy(2)),
        ("vendor --set \"KEY=$(cat /etc/x)\"", UnknownBy(2)),
        ("bash -c \"$(echo 'echo 5 > FILE')\"", Is(5)),
        ("xargs sysctl -w $(grep KEY /etc/x)", UnknownBy(2)),
    ] {
        assert_eq!(of_line("#!/bin/sh", line).limit(), limit, "{line}");
    }
}

#[test]
fn sysctl_with_a_file_is_the_script_s_doing() {
    let host = Host::with(LOCAL, "#!/bin/sh\nsysctl -p /etc/sysctl.d/90-ct.conf\n");
    let facts = Facts::read(&Root::open(host.0.path()).unwrap()).unwrap();
    let [writer] = facts.writers.as_slice() else {
        panic!("{:?}", facts.writers);
    };
    assert_eq!(writer.title(), LOCAL);
    assert_eq!(writer.knob, "change or delete the line in /etc/rc.local");
    assert_eq!(writer.evidence[0].to_string(), "/etc/rc.local:2");
    assert_eq!(writer.sets.as_ref().unwrap().max, Some(FILES));
}
