//! Units of systemd: which a boot starts, under which conditions, in which order.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use conntrack_user::survival::Origin;

use crate::host::{
    FILES, Host, KEY,
    Limit::{Is, UnknownBy},
};

const ETC: &str = "/etc/systemd/system";
const USR: &str = "/usr/lib/systemd/system";

/// A unit with a section of its own that sets the limit.
fn sets(value: u64, unit: &str) -> String {
    format!("[Unit]\n{unit}\n[Service]\nType=oneshot\nExecStart=/sbin/sysctl -w {KEY}={value}\n")
}

/// A host with a unit that sets the limit, and with a further file.
fn with_unit(path: &str, content: &str) -> Host {
    let host = Host::with(&format!("{ETC}/x.service"), &sets(655_360, ""));
    host.write(path, content);
    host
}

fn make_plain(host: &Host, path: &str) {
    let path = host.0.path().join(path.trim_start_matches('/'));
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn each_way_to_start_a_unit_is_followed() {
    for (path, content, expected) in [
        ("multi-user.target.wants/x.service", "", Is(655_360)),
        ("multi-user.target.requires/x.service", "", Is(655_360)),
        ("multi-user.target.upholds/x.service", "", Is(655_360)),
        (
            "timers.target.wants/x.timer",
            "[Timer]\nOnBootSec=1\n",
            Is(655_360),
        ),
        (
            "multi-user.target.wants/x.timer",
            "[Timer]\nOnBootSec=1\n",
            Is(655_360),
        ),
        (
            "multi-user.target.d/o.conf",
            "[Unit]\nWants=y.service x.service\n",
            Is(655_360),
        ),
        (
            "basic.target.d/o.conf",
            "[Unit]\nRequires=x.service\n",
            Is(655_360),
        ),
        (
            "sleep.target.d/o.conf",
            "[Unit]\nWants=x.service\n",
            Is(FILES),
        ),
        ("rescue.target.wants/x.service", "", Is(FILES)),
        ("emergency.target.wants/x.service", "", Is(FILES)),
        ("shutdown.target.wants/x.service", "", Is(FILES)),
        ("reboot.target.wants/x.service", "", Is(FILES)),
        ("suspend.target.wants/x.service", "", Is(FILES)),
        ("sleep.target.requires/x.service", "", Is(FILES)),
        ("hibernate.target.wants/x.service", "", Is(FILES)),
        ("hybrid-sleep.target.wants/x.service", "", Is(FILES)),
        ("unused/x.service", "", Is(FILES)),
    ] {
        let host = with_unit(&format!("{ETC}/{path}"), content);
        if path.strip_suffix(".timer").is_some() {
            host.write(&format!("{ETC}/x.timer"), content);
        }
        assert_eq!(host.limit(), expected, "{path}");
    }
    let host = Host::with(
        "/usr/local/lib/systemd/system/x.service",
        &sets(655_360, ""),
    );
    host.write(
        "/usr/local/lib/systemd/system/multi-user.target.wants/x.service",
        "",
    );
    assert_eq!(host.limit(), Is(655_360));
}

#[test]
fn what_a_started_unit_wants_is_started() {
    let wants = "[Unit]\nWants=x.service\n[Service]\nExecStart=/usr/sbin/sshd\n";
    let host = with_unit(&format!("{USR}/ssh.service"), wants);
    assert_eq!(host.limit(), Is(FILES), "ssh is not started");
    host.write(&format!("{ETC}/multi-user.target.wants/ssh.service"), "");
    assert_eq!(host.limit(), Is(655_360));
    // By a target of the host's own, which one of the boot wants.
    let host = with_unit(&format!("{ETC}/my.target.wants/x.service"), "");
    host.write(&format!("{ETC}/my.target"), "[Unit]\nDescription=My\n");
    assert_eq!(
        host.limit(),
        UnknownBy(5),
        "what starts the target is not seen"
    );
    host.write(&format!("{ETC}/multi-user.target.wants/my.target"), "");
    assert_eq!(host.limit(), Is(655_360));
}

#[test]
fn the_default_target_decides() {
    let host = with_unit(&format!("{ETC}/graphical.target.wants/x.service"), "");
    assert_eq!(host.limit(), Is(655_360));
    let link = host.0.path().join(format!("{}/default.target", &ETC[1..]));
    host.write(&format!("{USR}/multi-user.target"), "[Unit]\n");
    symlink("/usr/lib/systemd/system/multi-user.target", link).unwrap();
    host.write(&format!("{USR}/graphical.target"), "[Unit]\n");
    assert_ne!(host.limit(), Is(655_360));
}

#[test]
fn what_waits_for_something_may_start_its_service() {
    for (path, content) in [
        ("x.path", "[Path]\nPathExists=/etc/passwd\n"),
        ("x.socket", "[Socket]\nListenStream=80\n"),
        ("y.path", "[Path]\nPathChanged=/etc/x\nUnit=x.service\n"),
    ] {
        let host = with_unit(&format!("{ETC}/{path}"), content);
        assert_eq!(host.limit(), Is(FILES), "{path}");
        host.write(&format!("{ETC}/multi-user.target.wants/{path}"), "");
        assert_eq!(host.limit(), UnknownBy(5), "{path}");
    }
}

#[test]
fn drop_ins_for_many_units_are_read() {
    for (unit, directory, expected) in [
        ("ssh.service", "service.d", Is(655_360)),
        ("ssh.service", "ssh.service.d", Is(655_360)),
        ("a-b-c.service", "a-.service.d", Is(655_360)),
        ("a-b-c.service", "a-b-.service.d", Is(655_360)),
        ("a-b-c.service", "b-.service.d", Is(FILES)),
        ("x@a.service", "x@.service.d", Is(655_360)),
        ("x@a.service", "x@a.service.d", Is(655_360)),
        ("x@a.service", "x@b.service.d", Is(FILES)),
    ] {
        let own = unit.replace("@a", "@");
        let host = Host::with(&format!("{USR}/{own}"), "[Service]\nExecStart=/bin/true\n");
        host.write(&format!("{ETC}/multi-user.target.wants/{unit}"), "");
        let drop_in = format!("[Service]\nExecStartPost=/sbin/sysctl -w {KEY}=655360\n");
        host.write(&format!("{ETC}/{directory}/o.conf"), drop_in);
        assert_eq!(host.limit(), expected, "{unit}: {directory}");
    }
}

#[test]
fn conditions_decide() {
    for (condition, expected) in [
        ("ConditionPathExists=/etc/sysctl.d", Is(655_360)),
        ("ConditionPathExists=!/etc/sysctl.d", Is(FILES)),
        ("ConditionPathIsDirectory=/etc/sysctl.d", Is(655_360)),
        ("ConditionFileNotEmpty=/etc/empty", Is(FILES)),
        ("ConditionFileIsExecutable=/etc/plain", Is(FILES)),
        ("AssertFileIsExecutable=/etc/plain", Is(FILES)),
        ("ConditionDirectoryNotEmpty=/etc/sysctl.d", Is(655_360)),
        ("ConditionKernelCommandLine=quiet", Is(655_360)),
        ("ConditionKernelCommandLine=nosuch", Is(FILES)),
        ("ConditionFirstBoot=yes", Is(FILES)),
        ("ConditionVirtualization=container", Is(FILES)),
        ("ConditionVirtualization=!container", Is(655_360)),
        ("ConditionPathIsReadWrite=/proc/sys/net/", Is(655_360)),
        (
            "ConditionPathExists=|/etc/sysctl.d\nConditionFirstBoot=|yes",
            Is(655_360),
        ),
        (
            "ConditionFirstBoot=|yes\nConditionFirstBoot=|yes",
            Is(FILES),
        ),
        ("ConditionFirstBoot=yes\nConditionPathExists=", Is(655_360)),
        // A copy may be without the file.
        ("ConditionPathExists=/etc/none", UnknownBy(6)),
        ("ConditionHost=router", UnknownBy(6)),
        ("ConditionACPower=true", UnknownBy(6)),
        (
            "ConditionPathExists=/run/x\nConditionFirstBoot=yes",
            Is(FILES),
        ),
    ] {
        let host = Host::with(
            &format!("{ETC}/x.service"),
            &sets(655_360, &format!("Wants=y\n{condition}")),
        );
        host.write(&format!("{ETC}/multi-user.target.wants/x.service"), "");
        host.write("/etc/plain", "x");
        make_plain(&host, "/etc/plain");
        host.write("/etc/empty", "");
        host.write("/proc/cmdline", "root=/dev/sda quiet\n");
        assert_eq!(host.limit(), expected, "{condition}");
    }
}

#[test]
fn a_service_needs_the_right_to_set_the_limit() {
    let set = format!("/sbin/sysctl -w {KEY}=655360");
    for (service, expected) in [
        (format!("ExecStart={set}"), Is(655_360)),
        (format!("User=nobody\nExecStart={set}"), Is(FILES)),
        (format!("User=nobody\nExecStartPre=+{set}"), Is(655_360)),
        (format!("User=nobody\nExecStart=sudo {set}"), UnknownBy(3)),
        (
            format!("AmbientCapabilities=CAP_NET_ADMIN\nUser=x\nExecStart={set}"),
            UnknownBy(4),
        ),
        (
            format!("ProtectKernelTunables=yes\nExecStart={set}"),
            Is(FILES),
        ),
        (format!("PrivateNetwork=yes\nExecStart={set}"), UnknownBy(3)),
        ("ExecStart=/opt/plain".to_owned(), Is(FILES)),
        ("ExecStart=/bin/sh /opt/plain".to_owned(), Is(655_360)),
        (
            "WorkingDirectory=/opt\nExecStart=/bin/sh ./plain".to_owned(),
            Is(655_360),
        ),
        (
            format!("Environment=\"ARGS=-w {KEY}=655360\"\nExecStart=/sbin/sysctl $ARGS"),
            Is(655_360),
        ),
        (
            "EnvironmentFile=-/etc/default/x\nExecStart=/sbin/sysctl $ARGS".to_owned(),
            Is(655_360),
        ),
    ] {
        let host = Host::with(
            &format!("{ETC}/x.service"),
            &format!("[Service]\n{service}\n"),
        );
        host.write(&format!("{ETC}/multi-user.target.wants/x.service"), "");
        host.write("/opt/plain", format!("#!/bin/sh\nsysctl -w {KEY}=655360\n"));
        host.write("/etc/default/x", format!("ARGS=-w {KEY}=655360\n"));
        make_plain(&host, "/opt/plain");
        assert_eq!(host.limit(), expected, "{service}");
    }
}

#[test]
fn rc_local_that_is_not_executable_does_not_run_by_its_unit() {
    let host = Host::with(
        "/etc/rc.local",
        &format!("#!/bin/sh\nsysctl -w {KEY}=655360\n"),
    );
    let unit = "[Unit]\nConditionFileIsExecutable=/etc/rc.local\nAfter=network.target\n\
                [Service]\nType=forking\nExecStart=/etc/rc.local start\n";
    host.write(&format!("{USR}/rc-local.service"), unit);
    host.write(
        &format!("{ETC}/multi-user.target.wants/rc-local.service"),
        "",
    );
    assert_eq!(host.limit(), Is(655_360));
    make_plain(&host, "/etc/rc.local");
    assert_eq!(host.limit(), Is(FILES));
}

/// Two units that set different limits, with what orders them.
fn two(x: &str, y: &str) -> Host {
    let host = Host::with(&format!("{ETC}/x.service"), &sets(655_360, x));
    host.write(&format!("{ETC}/y.service"), sets(131_072, y));
    for unit in ["x", "y"] {
        host.write(&format!("{ETC}/multi-user.target.wants/{unit}.service"), "");
    }
    host
}

#[test]
fn the_order_of_units_decides() {
    assert_eq!(two("After=y.service", "").limit(), Is(655_360));
    assert_eq!(two("", "Before=x.service").limit(), Is(655_360));
    assert_eq!(two("Before=y.service", "").limit(), Is(131_072));
    assert_eq!(two("", "After=x.service").limit(), Is(131_072));
    assert_eq!(
        two("After=b.target", "Before=b.target").limit(),
        Is(655_360)
    );
    let host = two("", "");
    let Origin::Unordered { source, other } = host.boot().origin else {
        panic!("{:?}", host.boot().origin);
    };
    let mut files = [source.file, other.file];
    files.sort();
    assert_eq!(
        files,
        [
            "/etc/systemd/system/x.service",
            "/etc/systemd/system/y.service"
        ]
        .map(std::path::PathBuf::from)
    );
    host.write(&format!("{ETC}/y.service"), sets(655_360, ""));
    assert_eq!(host.limit(), Is(655_360), "both set the same");
}

#[test]
fn a_unit_and_rc_local() {
    let rc_local = format!("#!/bin/sh\nsysctl -w {KEY}=131072\n");
    let with = |unit: &str| {
        let host = Host::with("/etc/rc.local", &rc_local);
        host.write(&format!("{ETC}/x.service"), sets(655_360, unit));
        host.write(&format!("{ETC}/multi-user.target.wants/x.service"), "");
        host
    };
    assert!(matches!(with("").boot().origin, Origin::Unordered { .. }));
    assert_eq!(with("After=rc-local.service").limit(), Is(655_360));
    assert_eq!(with("Before=network.target").limit(), Is(131_072));
    let host = Host::with("/etc/rc.local", &rc_local);
    host.write(
        "/etc/cron.d/ct",
        format!("@reboot root sysctl -w {KEY}=655360\n"),
    );
    assert!(matches!(host.boot().origin, Origin::Unordered { .. }));
}

#[test]
fn a_unit_before_the_files_are_applied() {
    let early = "DefaultDependencies=no\n";
    for (unit, expected) in [
        (
            "Before=systemd-sysctl.service\nAfter=systemd-modules-load.service",
            Is(FILES),
        ),
        ("Before=systemd-modules-load.service", Is(FILES)),
        ("After=systemd-sysctl.service", Is(655_360)),
        ("After=sysinit.target", Is(655_360)),
    ] {
        let host = Host::with(
            &format!("{ETC}/x.service"),
            &sets(655_360, &format!("{early}{unit}")),
        );
        host.write(&format!("{ETC}/sysinit.target.wants/x.service"), "");
        assert_eq!(host.limit(), expected, "{unit}");
    }
    let host = Host::with(&format!("{ETC}/x.service"), &sets(655_360, early));
    host.write(&format!("{ETC}/sysinit.target.wants/x.service"), "");
    assert_eq!(host.limit(), UnknownBy(6), "in no order");
}

#[test]
fn a_unit_loads_conntrack_before_the_files_are_applied() {
    let load = "[Service]\nExecStartPre=/sbin/modprobe nf_conntrack\n";
    let own = "[Unit]\nDefaultDependencies=no\nBefore=systemd-sysctl.service\n[Service]\n";
    for (path, content, expected) in [
        (
            "systemd-sysctl.service.d/ct.conf",
            load.to_owned(),
            Is(FILES),
        ),
        (
            "systemd-modules-load.service.d/ct.conf",
            load.to_owned(),
            Is(FILES),
        ),
        (
            "systemd-sysctl.service.d/ct.conf",
            load.replace("Pre", "Post"),
            Is(262_144),
        ),
        (
            "x.service",
            format!("{own}ExecStart=/bin/sh -c 'modprobe nf_conntrack'\n"),
            Is(FILES),
        ),
        (
            "x.service",
            "[Service]\nExecStart=modprobe nf_conntrack\n".to_owned(),
            Is(262_144),
        ),
    ] {
        let host = Host::with(&format!("{ETC}/{path}"), &content);
        fs::remove_dir_all(host.0.path().join("etc/modules-load.d")).unwrap();
        host.write(&format!("{ETC}/sysinit.target.wants/x.service"), "");
        host.write(
            &format!("{USR}/systemd-sysctl.service"),
            "[Unit]\nDefaultDependencies=no\n",
        );
        host.write(
            &format!("{USR}/systemd-modules-load.service"),
            "[Unit]\nDefaultDependencies=no\n",
        );
        assert_eq!(host.limit(), expected, "{path}: {content}");
    }
}
