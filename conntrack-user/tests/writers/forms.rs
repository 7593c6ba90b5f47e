//! Forms of commands that reach the limit by a detour: what cannot be followed is unknown,
//! with its line, and what only reads the limit leaves it alone.

use crate::host::{
    FILE, FILES, Host, KEY,
    Limit::{self, Is, UnknownBy},
};

const LOCAL: &str = "/etc/rc.local";

/// A host with scripts, files of settings and a service that set the limit, that nothing
/// runs.
pub(crate) fn host() -> Host {
    let host = Host::new();
    let set = format!("#!/bin/sh\necho 655360 > {FILE}\n");
    for path in [
        "/opt/tune.sh",
        "/etc/boot.d/10-tune",
        "/etc/boot.sh.d/10-tune.sh",
        "/usr/bin/tune",
        "/usr/sbin/tune-net",
    ] {
        host.write(path, &set);
    }
    host.write(
        "/etc/init.d/other",
        "#!/bin/sh\necho 5 > /proc/sys/net/core/somaxconn\n",
    );
    host.write(
        "/usr/bin/other",
        "#!/bin/sh\neval \"$X\"\n. /usr/lib/other\n",
    );
    host.write(
        "/opt/here.sh",
        "#!/bin/sh\n. \"$(dirname \"$0\")/values\"\n$(dirname $0)/tune.sh\n",
    );
    host.write("/opt/values", "A=1\n");
    host.write("/etc/my.d/a.conf", format!("{KEY} = 655360\n"));
    host.write("/etc/my.d/b.txt", format!("{KEY} = 1\n"));
    host.write(
        "/opt/set.py",
        format!("import os\nos.system('sysctl -w {KEY}=655360')\n"),
    );
    host.write("/opt/read.py", format!("print(open('{FILE}').read())\n"));
    host.write(
        "/etc/systemd/system/tune.service",
        format!("[Service]\nExecStart=/sbin/sysctl -w {KEY}=655360\n"),
    );
    host
}

/// What a boot leads to where `rc.local` has these lines after its first.
fn local(first: &str, lines: &str) -> Limit {
    let host = host();
    let lines = lines.replace("FILE", FILE).replace("KEY", KEY);
    host.write(LOCAL, format!("{first}\n{lines}\n"));
    let limit = host.limit();
    if let UnknownBy(_) = limit {
        let by = host.boot().origin.source().unwrap().file.clone();
        assert!(
            by.ends_with("rc.local") || by.ends_with("set.py"),
            "{lines}: {}",
            by.display()
        );
    }
    limit
}

fn each(cases: &[(&str, Limit)]) {
    for (lines, expected) in cases {
        for first in ["#!/bin/sh", "#!/bin/sh -e", "#!/bin/bash"] {
            assert_eq!(local(first, lines), *expected, "{first} {lines}");
        }
    }
}

#[test]
fn patterns_of_file_names() {
    each(&[
        (
            "for f in /etc/my.d/*.conf; do sysctl -p $f; done",
            Is(655_360),
        ),
        ("sysctl -p /etc/my.d/?.conf", Is(655_360)),
        ("for f in /etc/my.d/*; do sysctl -p \"$f\"; done", Is(1)),
        (
            "for f in /etc/my.d/*.none; do sysctl -p $f; done",
            UnknownBy(2),
        ),
        (
            "for f in /etc/none/*.conf; do sysctl -p $f; done",
            UnknownBy(2),
        ),
        (
            "for s in /etc/boot.d/*; do [ -x $s ] && $s; done",
            Is(655_360),
        ),
        (
            "for s in /etc/boot.sh.d/[0-9]*.sh; do sh $s; done",
            Is(655_360),
        ),
        (
            "set -f\nfor f in /etc/my.d/*.conf; do sysctl -p $f; done",
            UnknownBy(3),
        ),
        (
            "echo 655360 > /proc/sys/net/netfilter/nf_conntrack_ma?",
            UnknownBy(2),
        ),
    ]);
}

#[test]
fn the_working_directory() {
    each(&[
        ("cd /opt\n./tune.sh", Is(655_360)),
        ("(cd /opt && sh tune.sh)", Is(655_360)),
        ("cd /opt\ncd ..\n. opt/tune.sh", Is(655_360)),
        (
            "cd /proc/sys/net/netfilter && echo 655360 > nf_conntrack_max",
            Is(655_360),
        ),
        ("cd $UNKNOWN\necho 655360 > nf_conntrack_max", UnknownBy(3)),
        ("cd /proc/sys/net/core\necho 655360 > somaxconn", Is(FILES)),
        ("cd /etc/my.d\nsysctl -p a.conf", Is(655_360)),
        ("cd $UNKNOWN\nsysctl -p a.conf", UnknownBy(3)),
        ("D=$(cd /opt && pwd)\n$D/tune.sh", Is(655_360)),
        ("/opt/here.sh", Is(655_360)),
        ("cd /opt\n./here.sh", Is(655_360)),
        ("cd /opt\nsh ./here.sh", Is(655_360)),
    ]);
}

#[test]
fn words_of_which_a_part_is_not_known() {
    each(&[
        ("K=KEY\nsysctl -w \"$K=$((V * 16384))\"", UnknownBy(3)),
        ("sysctl -w net.core.somaxconn=$((V * 16))", Is(FILES)),
        ("sysctl -w \"net.core.$X=5\"", Is(FILES)),
        ("sysctl -w \"net.netfilter.$X=5\"", UnknownBy(2)),
        ("sysctl $ARGUMENTS", UnknownBy(2)),
        ("sysctl -n $NAME", Is(FILES)),
        ("sysctl -p $UNKNOWN", UnknownBy(2)),
        ("sysctl -p /etc/absent.conf", UnknownBy(2)),
        ("echo 5 > /proc/sys/net/netfilter/$X", UnknownBy(2)),
        ("echo 5 > /proc/sys/net/core/$X", Is(FILES)),
        ("echo 5 > /var/log/$X", Is(FILES)),
        ("echo five > /proc/sys/net/netfilter/$X", Is(FILES)),
        ("cat <<EOF >> \"$DIRECTORY/$NAME\"\n5\nEOF", Is(FILES)),
        (
            "F=FILE\n[ -n \"$X\" ] && F=/dev/null\necho 5 > $F",
            UnknownBy(4),
        ),
    ]);
}

#[test]
fn what_is_read_is_run() {
    each(&[
        (
            "while read l; do sysctl -w \"$l\"; done < /etc/my.d/a.conf",
            UnknownBy(2),
        ),
        (
            "while read l; do echo \"$l\"; done < /etc/my.d/a.conf",
            Is(FILES),
        ),
        ("echo KEY=655360 | xargs sysctl -w", Is(655_360)),
        ("grep KEY /etc/my.d/a.conf | xargs sysctl -w", UnknownBy(2)),
        ("echo /etc/my.d/a.conf | xargs -n 1 sysctl -p", Is(655_360)),
        (
            "find /etc/my.d -name '*.conf' -exec sysctl -p {} \\;",
            UnknownBy(2),
        ),
        ("find /etc/my.d | xargs rm -f", Is(FILES)),
        ("bash <<EOF\necho 655360 > FILE\nEOF", Is(655_360)),
        ("sh -s <<EOF\necho 655360 > FILE\nEOF", Is(655_360)),
        ("sh -s 655360 <<'EOF'\necho $1 > FILE\nEOF", Is(655_360)),
        ("sh -c 'echo $1 > FILE' x 655360", Is(655_360)),
        ("echo 'echo 655360 > FILE' | sh", Is(655_360)),
        ("curl http://x/ | sh", UnknownBy(2)),
        ("cat /opt/tune.sh | sh -", Is(655_360)),
    ]);
}

#[test]
fn directories_of_scripts() {
    each(&[
        ("run-parts /etc/boot.d", Is(655_360)),
        ("run-parts --verbose --arg=start /etc/boot.d", Is(655_360)),
        ("run-parts --test /etc/boot.d", Is(FILES)),
        ("run-parts $UNKNOWN", UnknownBy(2)),
    ]);
    // Whether a name with a dot is run depends on the program.
    let host = host();
    host.write(LOCAL, "#!/bin/sh\nrun-parts /etc/boot.sh.d\n");
    assert_eq!(host.limit(), UnknownBy(2));
}

#[test]
fn other_languages() {
    each(&[
        ("python3 /opt/set.py", UnknownBy(2)),
        ("cd /opt\npython3 set.py", UnknownBy(2)),
        ("python3 /opt/read.py", Is(FILES)),
        ("python3 -c 'print(open(\"FILE\").read())'", Is(FILES)),
        ("perl -e 'open(F, \">FILE\"); print F 5'", UnknownBy(2)),
        ("lua -e 'os.execute(\"sysctl -w KEY=5\")'", UnknownBy(2)),
        (
            "python3 <<EOF\nopen('FILE', 'w').write('5')\nEOF",
            UnknownBy(2),
        ),
        ("awk 'BEGIN { print 5 > \"FILE\" }'", UnknownBy(2)),
        ("awk '{ print $1 }' FILE", Is(FILES)),
        ("awk -v m=$(cat FILE) 'BEGIN { print m }'", Is(FILES)),
    ]);
}

#[test]
fn services_that_a_script_starts() {
    each(&[
        ("systemctl start tune", Is(655_360)),
        ("systemctl --no-block restart tune.service", Is(655_360)),
        ("systemctl enable --now tune", Is(655_360)),
        ("systemctl enable tune", Is(FILES)),
        ("systemctl stop tune", Is(FILES)),
        ("service tune start", Is(655_360)),
        ("/usr/sbin/service tune restart", Is(655_360)),
        ("service other start", Is(FILES)),
        ("systemctl start docker", Is(FILES)),
    ]);
    // One that nothing else starts may be started by something.
    let host = host();
    host.write(
        "/etc/init.d/by-script",
        format!("#!/bin/sh\n[ \"$1\" = start ] && echo 655360 > {FILE}\n"),
    );
    for command in ["service by-script start", "systemctl restart by-script"] {
        host.write(LOCAL, format!("#!/bin/sh\n{command}\n"));
        assert_eq!(host.limit(), Is(655_360), "{command}");
    }
}

#[test]
fn programs_of_packages_that_speak_of_the_limit() {
    each(&[
        ("tune", Is(655_360)),
        ("/usr/sbin/tune-net", Is(655_360)),
        // It says nothing of the limit.
        ("/usr/bin/other", Is(FILES)),
        ("other", Is(FILES)),
    ]);
}

#[test]
fn monitors_set_nothing() {
    let python = format!("#!/usr/bin/python3\nm = int(open('{FILE}').read())\nprint(m)\n");
    let shell = format!(
        "#!/bin/bash\nmax=$(cat {FILE})\nread n < {FILE}\nif (( n > max * 8 / 10 )); then\n\
         echo \"full: nf_conntrack_max $max\" | mail -s alert root\nfi\n\
         echo \"nf_conntrack_max $max\" > /var/lib/x.prom\n"
    );
    let again = format!(
        "#!/bin/sh\nwhile true; do\n  read max < {FILE}\n  [ $n -gt $max ] && logger \"full $max\"\n\
         sleep 5\ndone\n"
    );
    for script in [python, shell, again] {
        let host = Host::with("/etc/cron.d/x", "* * * * * root /usr/local/bin/monitor\n");
        host.write("/usr/local/bin/monitor", &script);
        assert_eq!(host.limit(), Is(FILES), "{script}");
    }
    for line in [
        "curl -d \"max=$(cat FILE)\" http://x/",
        "awk -v m=$(sysctl -n KEY) 'BEGIN { print m }' > /var/x.prom",
        // cron ends the command at the percent sign, in the middle of quotes.
        "printf \"nf_conntrack_max %%d\" $(cat FILE) >> /var/log/x",
    ] {
        let line = line.replace("FILE", FILE).replace("KEY", KEY);
        let host = Host::with("/etc/cron.d/x", &format!("* * * * * root {line}\n"));
        assert_eq!(host.limit(), Is(FILES), "{line}");
    }
    each(&[(
        "MAX=`sysctl -n KEY`\nwrite_motd \"limit $MAX nf_conntrack_max\"",
        Is(FILES),
    )]);
}

#[test]
fn what_is_printed_under_a_condition_is_not_known() {
    each(&[
        (
            "N=$([ -f /absent ] && echo 655360)\necho $N > FILE",
            UnknownBy(3),
        ),
        (
            "f() { [ -f /absent ] && return; echo 655360; }\nf > FILE",
            UnknownBy(3),
        ),
        ("N=$(true && echo 655360)\necho $N > FILE", Is(655_360)),
    ]);
}

#[test]
fn the_line_that_is_told_speaks_of_the_limit() {
    let host = Host::with(
        LOCAL,
        &format!("#!/bin/sh\neval \"$X\"\n# {KEY}\nif [ -f /x ]; then\nsysctl -w {KEY}=5\nfi\n"),
    );
    assert_eq!(host.limit(), UnknownBy(5));
}
