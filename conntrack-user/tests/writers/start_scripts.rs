//! Scripts that an init starts by a link or by their name, and such that nothing starts.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use crate::host::{
    FILE, FILES, Host, KEY,
    Limit::{self, Is, UnknownBy},
};

/// What the kernel starts with where the files are applied before conntrack is loaded.
const DEFAULT: u64 = 262_144;

/// A host that another init starts: its own files, in place of those of systemd.
fn started_by(files: &[(&str, &str)]) -> Host {
    let host = Host::new();
    for path in ["usr/lib/systemd", "etc/modules-load.d"] {
        fs::remove_dir_all(host.0.path().join(path)).unwrap();
    }
    for (path, content) in files {
        host.write(path, content);
    }
    host
}

fn slackware() -> Host {
    started_by(&[
        ("/etc/os-release", "ID=slackware\nVERSION_ID=15.0\n"),
        ("/etc/slackware-version", "Slackware 15.0\n"),
        (
            "/etc/rc.d/rc.S",
            "#!/bin/sh\nmodprobe nf_conntrack\n/sbin/sysctl -e --system\n",
        ),
    ])
}

fn sysv() -> Host {
    let host = started_by(&[
        ("/etc/os-release", "ID=debian\nVERSION_ID=\"7\"\n"),
        ("/etc/modules", "nf_conntrack\n"),
        ("/etc/init.d/procps", "#!/bin/sh\nsysctl -q --system\n"),
    ]);
    link(&host, "../init.d/procps", "/etc/rcS.d/S13procps");
    host
}

fn link(host: &Host, target: &str, path: &str) {
    let path = host.0.path().join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

fn make_plain(host: &Host, path: &str) {
    let path = host.0.path().join(path.trim_start_matches('/'));
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn script() -> String {
    format!(
        "#!/bin/sh\ncase \"$1\" in\nstart)\n\techo 655360 > {FILE}\n\t;;\nstop)\n\techo 1 > {FILE}\n\t;;\nesac\n"
    )
}

/// The file that decides, or that keeps the limit from being known.
fn by(host: &Host) -> String {
    let boot = host.boot();
    boot.origin.source().unwrap().file.display().to_string()
}

#[test]
fn slackware_starts_its_firewall_if_it_is_executable() {
    let path = "/etc/rc.d/rc.firewall";
    let host = slackware();
    host.write(path, script());
    assert_eq!(host.limit(), Is(655_360));
    assert_eq!(by(&host), path);
    make_plain(&host, path);
    assert_eq!(host.limit(), Is(DEFAULT));
    // Its own scripts are in the tree, and say whom they start.
    let host = slackware();
    host.write(path, script());
    host.write("/etc/rc.d/rc.inet2", "#!/bin/sh\n# /etc/rc.d/rc.firewall\n");
    assert_eq!(host.limit(), UnknownBy(4));
    let starts = format!("#!/bin/sh\nif [ -x {path} ]; then\n  {path} start\nfi\n");
    host.write("/etc/rc.d/rc.inet2", &starts);
    assert_eq!(host.limit(), Is(655_360));
}

#[test]
fn another_script_of_slackware_is_started_by_name() {
    let host = slackware();
    host.write("/etc/rc.d/rc.tune", script());
    assert_eq!(host.limit(), UnknownBy(4));
    host.write("/etc/rc.d/rc.M", "#!/bin/sh\n/etc/rc.d/rc.tune start\n");
    assert_eq!(host.limit(), Is(655_360));
}

#[test]
fn a_link_of_a_runlevel_starts_a_script() {
    for (link_path, expected) in [
        ("/etc/rc2.d/S20firewall", Is(655_360)),
        // Switched off, by links that stop it alone.
        ("/etc/rc2.d/K20firewall", Is(FILES)),
        // The files are applied later, and may win.
        ("/etc/rcS.d/S05firewall", UnknownBy(4)),
        // Nothing is seen to start it.
        ("/etc/unused/firewall", UnknownBy(4)),
    ] {
        let host = sysv();
        host.write("/etc/init.d/firewall", script());
        link(&host, "../init.d/firewall", link_path);
        assert_eq!(host.limit(), expected, "{link_path}");
    }
}

#[test]
fn systemd_starts_a_script_that_has_no_unit() {
    let host = Host::with("/etc/init.d/firewall", &script());
    link(&host, "../init.d/firewall", "/etc/rc3.d/S20firewall");
    assert_eq!(host.limit(), Is(655_360));
    host.write(
        "/usr/lib/systemd/system/firewall.service",
        "[Service]\nExecStart=/bin/true\n",
    );
    assert_eq!(host.limit(), UnknownBy(4));
}

#[test]
fn a_script_that_nothing_starts_is_unknown_with_its_line() {
    for path in [
        "/etc/rc.firewall",
        "/etc/rc.d/rc.firewall",
        "/etc/rc.d/rc.iptables",
        "/etc/init.d/firewall",
        "/etc/rc.d/init.d/firewall",
    ] {
        let host = Host::with(path, &format!("#!/bin/sh\n\necho 655360 > {FILE}\n"));
        assert_eq!(host.limit(), UnknownBy(3), "{path}");
        assert_eq!(by(&host), path);
        make_plain(&host, path);
        assert_eq!(host.limit(), Is(FILES), "{path}");
        // It says what is in force anyhow.
        let host = Host::with(path, &format!("#!/bin/sh\necho {FILES} > {FILE}\n"));
        assert_eq!(host.limit(), Is(FILES), "{path}");
    }
}

#[test]
fn who_calls_a_script_decides_whether_it_runs() {
    let host = Host::with("/etc/rc.firewall", &script());
    host.write("/etc/rc.local", "#!/bin/sh\n/etc/rc.firewall start\n");
    assert_eq!(host.limit(), Is(655_360));
    host.write("/etc/rc.local", "#!/bin/sh\n/etc/rc.firewall stop\n");
    assert_eq!(host.limit(), Is(1));
}

/// The limit after a boot of a host whose service has this script.
type Boot<'a> = &'a dyn Fn(&str) -> Limit;

#[test]
fn functions_that_another_program_calls() {
    let openrc = |body: &str| {
        let host = started_by(&[
            ("/etc/os-release", "ID=gentoo\n"),
            ("/sbin/openrc", ""),
            ("/etc/modules", "nf_conntrack\n"),
            ("/etc/init.d/tune", body),
        ]);
        link(&host, "/etc/init.d/modules", "/etc/runlevels/boot/modules");
        link(&host, "/etc/init.d/sysctl", "/etc/runlevels/boot/sysctl");
        link(&host, "/etc/init.d/tune", "/etc/runlevels/default/tune");
        host.limit()
    };
    let openwrt = |body: &str| {
        let host = started_by(&[
            ("/etc/os-release", "ID=openwrt\n"),
            ("/etc/openwrt_release", ""),
            ("/etc/modules.d/nf-conntrack", "nf_conntrack\n"),
            ("/etc/init.d/tune", body),
        ]);
        link(&host, "../init.d/sysctl", "/etc/rc.d/S11sysctl");
        link(&host, "../init.d/tune", "/etc/rc.d/S95tune");
        host.limit()
    };
    let set =
        |function: &str, value: u64| format!("{function}() {{\n\techo {value} > {FILE}\n}}\n");
    let cases: [(Boot<'_>, String, Limit); 7] = [
        (
            &openrc,
            format!("#!/sbin/openrc-run\n{}", set("start", 655_360)),
            Is(655_360),
        ),
        (
            &openrc,
            format!("#!/sbin/openrc-run\n{}", set("start_post", 655_360)),
            Is(655_360),
        ),
        (
            &openrc,
            format!("#!/sbin/openrc-run\n{}", set("stop", 655_360)),
            Is(FILES),
        ),
        (
            &openwrt,
            format!(
                "#!/bin/sh /etc/rc.common\nSTART=95\n{}",
                set("start", 655_360)
            ),
            Is(655_360),
        ),
        (
            &openwrt,
            format!(
                "#!/bin/sh /etc/rc.common\nSTART=95\n{}",
                set("boot", 655_360)
            ),
            Is(655_360),
        ),
        (
            &openwrt,
            format!(
                "#!/bin/sh /etc/rc.common\nUSE_PROCD=1\n{}",
                set("start_service", 655_360)
            ),
            Is(655_360),
        ),
        (
            &openwrt,
            format!(
                "#!/bin/sh /etc/rc.common\nSTART=95\n{}",
                set("stop", 655_360)
            ),
            Is(FILES),
        ),
    ];
    for (number, (limit, body, expected)) in cases.iter().enumerate() {
        assert_eq!(limit(body), *expected, "{number}: {body}");
    }
}

#[test]
fn a_job_of_upstart_may_run_any_part_of_it() {
    let host = started_by(&[
        ("/etc/os-release", "ID=ubuntu\nVERSION_ID=\"14.04\"\n"),
        ("/etc/modules", "nf_conntrack\n"),
        (
            "/etc/init/procps.conf",
            "script\n    cat /etc/sysctl.d/*.conf /etc/sysctl.conf | sysctl -e -p -\nend script\n",
        ),
        (
            "/etc/init/tune.conf",
            &format!("start on runlevel [2345]\nexec sysctl -w {KEY}=655360\n"),
        ),
    ]);
    assert_eq!(host.limit(), UnknownBy(2));
}

/// A host of Enterprise Linux 6.
fn el6(path: &str, content: &str) -> Host {
    started_by(&[
        ("/etc/redhat-release", "CentOS release 6.10 (Final)\n"),
        ("/etc/os-release", "ID=centos\nID_LIKE=rhel\nVERSION_ID=6\n"),
        (
            "/etc/rc.d/rc.sysinit",
            "#!/bin/bash\napply_sysctl # /etc/sysctl.d\n",
        ),
        (
            "/etc/sysconfig/modules/ct.modules",
            "modprobe nf_conntrack\n",
        ),
        (path, content),
    ])
}

#[test]
fn jobs_of_upstart_on_enterprise_linux_and_inittab() {
    let job = format!("start on stopped rc RUNLEVEL=3\ntask\nexec sysctl -w {KEY}=655360\n");
    assert_eq!(el6("/etc/init/ct.conf", &job).limit(), UnknownBy(3));
    assert_eq!(
        el6("/etc/init/ct.conf", &format!("manual\n{job}")).limit(),
        Is(FILES)
    );
    let host = el6("/etc/init/ct.conf", &job);
    host.write("/etc/init/ct.override", "manual\n");
    assert_eq!(host.limit(), Is(FILES));
    let rc = "start on startup\nexec /etc/rc.d/rc.sysinit\n";
    assert_eq!(el6("/etc/init/rcS.conf", rc).limit(), Is(FILES));
    for (line, expected) in [
        ("ct:345:once:", UnknownBy(2)),
        ("ct::sysinit:", UnknownBy(2)),
        ("ct:06:wait:", Is(FILES)),
        ("ct:345:ctrlaltdel:", Is(FILES)),
        ("#ct:345:once:", Is(FILES)),
    ] {
        let text = format!("id:3:initdefault:\n{line}/sbin/sysctl -w {KEY}=655360\n");
        assert_eq!(el6("/etc/inittab", &text).limit(), expected, "{line}");
    }
    let rc = "si::sysinit:/etc/rc.d/rc.sysinit\nl3:3:wait:/etc/rc.d/rc 3\n";
    assert_eq!(el6("/etc/inittab", rc).limit(), Is(FILES));
}

#[test]
fn runlevels_of_openrc() {
    let openrc = |levels: &[&str]| {
        let host = started_by(&[
            ("/etc/os-release", "ID=debian\nVERSION_ID=\"13\"\n"),
            ("/sbin/openrc-init", ""),
            ("/etc/modules", "nf_conntrack\n"),
            ("/etc/init.d/procps", "#!/bin/sh\nsysctl -q --system\n"),
        ]);
        link(&host, "openrc-init", "/sbin/init");
        for level in levels {
            host.write(&format!("/etc/runlevels/{level}"), "");
        }
        host.boot().value
    };
    // Debian's service has another name.
    assert_eq!(openrc(&["boot/kmod", "boot/procps"]), Some(FILES));
    assert_eq!(openrc(&["sysinit/modules", "sysinit/sysctl"]), Some(FILES));
    // The modules come later.
    assert_eq!(openrc(&["sysinit/sysctl", "boot/modules"]), None);
    assert_eq!(openrc(&["boot/modules"]), Some(DEFAULT));
}

#[test]
fn a_job_that_only_an_administrator_starts_applies_nothing() {
    let host = started_by(&[
        ("/etc/os-release", "ID=ubuntu\nVERSION_ID=\"14.04\"\n"),
        ("/etc/modules", "nf_conntrack\n"),
        (
            "/etc/init/procps.conf",
            "start on virtual-filesystems\nexec cat /etc/sysctl.d/*.conf /etc/sysctl.conf | sysctl -e -p -\n",
        ),
    ]);
    assert_eq!(host.limit(), Is(FILES));
    host.write("/etc/init/procps.override", "manual\n");
    assert_eq!(host.limit(), Is(DEFAULT));
}
