//! Hooks that a program runs, and such that look like one and are not run.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::host::{
    FILE, FILES, Host, KEY,
    Limit::{Is, UnknownBy},
};

const EL9: &str = "ID=almalinux\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n";

fn script() -> String {
    format!("#!/bin/sh\necho 655360 > {FILE}\n")
}

fn with_mode(host: &Host, path: &str, mode: u32) {
    let path = host.0.path().join(path.trim_start_matches('/'));
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A host that another init starts: its own files, in place of those of systemd.
fn started_by(files: &[(&str, &str)]) -> Host {
    let host = Host::new();
    fs::remove_dir_all(host.0.path().join("usr/lib/systemd")).unwrap();
    for (path, content) in files {
        host.write(path, content);
    }
    host
}

#[test]
fn run_parts_takes_names_without_a_dot() {
    for directory in ["if-up.d", "if-pre-up.d"] {
        for (name, expected) in [
            ("ct", Is(655_360)),
            ("ct.sh", Is(FILES)),
            ("ct~", Is(FILES)),
        ] {
            let host = Host::with("/etc/network/interfaces", "auto eth0\n");
            host.write(&format!("/etc/network/{directory}/{name}"), script());
            assert_eq!(host.limit(), expected, "{directory}/{name}");
        }
    }
    for (release, name, expected) in [
        ("ID=debian\nVERSION_ID=\"12\"\n", "ct.sh", Is(FILES)),
        ("ID=debian\nVERSION_ID=\"12\"\n", "ct", Is(655_360)),
        (EL9, "ct.sh", Is(655_360)),
        (EL9, "ct.rpmsave", Is(FILES)),
        (EL9, "ct~", Is(FILES)),
    ] {
        let host = Host::with("/etc/os-release", release);
        host.write(&format!("/etc/cron.daily/{name}"), script());
        assert_eq!(host.limit(), expected, "{name}: {release}");
        let host = Host::with("/etc/os-release", release);
        let line = format!("@reboot root sysctl -w {KEY}=655360\n");
        host.write(&format!("/etc/cron.d/{name}"), line);
        assert_eq!(host.limit(), expected, "cron.d/{name}: {release}");
    }
}

#[test]
fn hooks_of_ifupdown_want_its_interfaces() {
    let host = Host::with("/etc/network/if-up.d/ct", &script());
    assert_eq!(host.limit(), Is(FILES));
    host.write("/etc/NetworkManager/dispatcher.d/01-ifupdown", "");
    assert_eq!(host.limit(), Is(655_360));
}

#[test]
fn interfaces_source_other_files() {
    let post_up = format!("iface eth0 inet dhcp\n  post-up sysctl -w {KEY}=655360\n");
    for (source, expected) in [
        ("source /etc/network/ifs/*\n", Is(655_360)),
        ("source ifs/e*\n", Is(655_360)),
        ("source-directory ifs\n", Is(655_360)),
        ("source /etc/network/ifs/eth1\n", Is(FILES)),
        ("# source /etc/network/ifs/*\n", Is(FILES)),
    ] {
        let host = Host::with("/etc/network/interfaces", source);
        host.write("/etc/network/ifs/eth0", &post_up);
        assert_eq!(host.limit(), expected, "{source}");
    }
}

#[test]
fn the_dispatcher_wants_name_mode_and_owner() {
    for (name, mode, expected) in [
        ("ct", 0o755, Is(655_360)),
        ("ct.sh", 0o700, Is(655_360)),
        ("ct~", 0o755, Is(FILES)),
        (".ct", 0o755, Is(FILES)),
        ("ct", 0o775, Is(FILES)),
        ("ct", 0o757, Is(FILES)),
        ("ct", 0o644, Is(FILES)),
    ] {
        let path = format!("/etc/NetworkManager/dispatcher.d/{name}");
        let host = Host::with(&path, &script());
        with_mode(&host, &path, mode);
        assert_eq!(host.limit(), expected, "{name}, {mode:o}");
    }
}

#[test]
fn what_else_the_dispatcher_tells_may_set_the_limit() {
    for event in ["dhcp4-change", "dhcp6-change", "connectivity-change"] {
        let script =
            format!("#!/bin/sh\nif [ \"$2\" = {event} ]; then sysctl -w {KEY}=655360; fi\n");
        let host = Host::with("/etc/NetworkManager/dispatcher.d/50-ct", &script);
        assert_eq!(host.limit(), UnknownBy(2), "{event}");
    }
    let down = format!("#!/bin/sh\nif [ \"$2\" = down ]; then sysctl -w {KEY}=655360; fi\n");
    let host = Host::with("/etc/NetworkManager/dispatcher.d/50-ct", &down);
    assert_eq!(host.limit(), Is(FILES));
}

#[test]
fn clients_of_dhcp_source_files() {
    for path in [
        "/etc/dhcp/dhclient-exit-hooks.d/ct",
        "/etc/dhcp/dhclient-enter-hooks.d/ct",
        "/etc/dhcp/dhclient-exit-hooks",
        "/etc/dhcp/dhclient.d/ct.sh",
        "/etc/dhcpcd.exit-hook",
        "/lib/dhcpcd/dhcpcd-hooks/90-ct",
    ] {
        let host = Host::with(path, &script());
        with_mode(&host, path, 0o644);
        assert_eq!(host.limit(), UnknownBy(2), "{path}");
    }
    let host = Host::with("/etc/dhcp/dhclient-exit-hooks.d/ct.sh", &script());
    assert_eq!(host.limit(), Is(FILES));
}

#[test]
fn a_start_script_counts_where_the_host_runs_it() {
    for (release, path, expected) in [
        ("ID=debian\n", "/etc/rc.local", Is(655_360)),
        ("ID=debian\n", "/etc/rc.d/rc.local", Is(FILES)),
        (EL9, "/etc/rc.d/rc.local", Is(655_360)),
        ("ID=debian\n", "/etc/init.d/boot.local", Is(FILES)),
        (
            "ID=sles\nID_LIKE=suse\n",
            "/etc/init.d/boot.local",
            Is(655_360),
        ),
        ("ID=debian\n", "/etc/conf.d/local.start", Is(FILES)),
        ("ID=debian\n", "/etc/local.d/ct.start", Is(FILES)),
    ] {
        let host = Host::with("/etc/os-release", release);
        host.write(path, script());
        assert_eq!(host.limit(), expected, "{path}: {release}");
    }
    let host = Host::with("/etc/rc.local", &script());
    fs::create_dir_all(host.0.path().join("etc/systemd/system")).unwrap();
    let unit = host.0.path().join("etc/systemd/system/rc-local.service");
    std::os::unix::fs::symlink("/dev/null", unit).unwrap();
    assert_eq!(host.limit(), Is(FILES), "masked");
}

#[test]
fn the_service_local_runs_scripts_if_it_is_started() {
    let alpine = |level: &str| {
        let host = started_by(&[
            ("/etc/os-release", "ID=alpine\n"),
            ("/sbin/openrc", ""),
            ("/etc/modules", "nf_conntrack\n"),
            ("/etc/runlevels/boot/sysctl", ""),
            ("/etc/runlevels/boot/modules", ""),
            ("/etc/local.d/ct.start", &script()),
        ]);
        host.write(level, "");
        host.limit()
    };
    assert_eq!(alpine("/etc/runlevels/default/local"), Is(655_360));
    assert_eq!(alpine("/etc/runlevels/default/crond"), Is(FILES));
    assert_eq!(alpine("/etc/runlevels/boot/local"), Is(655_360));
}

#[test]
fn openwrt_has_hooks_of_its_own() {
    for (path, expected) in [
        ("/etc/rc.local", Is(655_360)),
        ("/etc/firewall.user", UnknownBy(2)),
        ("/etc/hotplug.d/iface/99-ct", UnknownBy(2)),
        ("/etc/uci-defaults/99-ct", UnknownBy(2)),
    ] {
        let host = started_by(&[
            ("/etc/os-release", "ID=openwrt\n"),
            ("/etc/openwrt_release", ""),
            ("/etc/modules.d/nf-conntrack", "nf_conntrack\n"),
            ("/etc/rc.d/S11sysctl", ""),
            (path, &script()),
        ]);
        with_mode(&host, path, 0o644);
        assert_eq!(host.limit(), expected, "{path}");
    }
}

#[test]
fn only_root_sets_the_limit_from_a_crontab() {
    let set = format!("/sbin/sysctl -w {KEY}=655360\n");
    for (path, line, expected) in [
        (
            "/var/spool/cron/crontabs/root",
            format!("@reboot {set}"),
            Is(655_360),
        ),
        (
            "/var/spool/cron/crontabs/www",
            format!("@reboot {set}"),
            Is(FILES),
        ),
        (
            "/var/spool/cron/toor",
            format!("@reboot {set}"),
            Is(655_360),
        ),
        (
            "/var/spool/cron/tabs/www",
            format!("@reboot {set}"),
            Is(FILES),
        ),
        ("/etc/crontab", format!("@reboot www {set}"), Is(FILES)),
        (
            "/etc/cron.d/ct",
            format!("@reboot www sudo {set}"),
            UnknownBy(1),
        ),
    ] {
        let host = Host::with(path, &line);
        host.write(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n",
        );
        assert_eq!(host.limit(), expected, "{path}: {line}");
    }
}

#[test]
fn anacron_and_periodic_scripts_run_again_and_again() {
    let line = format!("SHELL=/bin/sh\n1 5 ct sysctl -w {KEY}=655360\n");
    assert_eq!(Host::with("/etc/anacrontab", &line).limit(), Is(655_360));
    let host = Host::with("/etc/periodic/hourly/ct", &script());
    assert_eq!(host.limit(), Is(655_360));
}
