//! Units with their surroundings, start scripts, and what services run besides.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use crate::{
    forms::host,
    host::{
        FILE, FILES, Host, KEY,
        Limit::{self, Is, UnknownBy},
    },
};

/// A unit that is started at boot, with what its section of a service has.
fn unit(service: &str) -> Limit {
    let host = host();
    let service = service.replace("FILE", FILE).replace("KEY", KEY);
    let path = "/etc/systemd/system/x.service";
    host.write(path, format!("[Service]\nType=oneshot\n{service}\n"));
    host.write(
        "/etc/default/x",
        "# of x\nMAX=655360\nARGS=\"-w net.netfilter.nf_conntrack_max=655360\"\n",
    );
    let wants = host
        .0
        .path()
        .join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink(path, wants.join("x.service")).unwrap();
    host.limit()
}

#[test]
fn the_surroundings_of_units() {
    for (service, expected) in [
        (
            "WorkingDirectory=/opt\nExecStart=/bin/sh ./tune.sh",
            Is(655_360),
        ),
        (
            "WorkingDirectory=-/opt\nExecStart=/bin/sh -c 'cd /opt; ./tune.sh'",
            Is(655_360),
        ),
        (
            "WorkingDirectory=%h\nExecStart=/bin/sh -c 'sysctl -p x.conf'",
            UnknownBy(4),
        ),
        (
            "EnvironmentFile=/etc/default/x\nExecStart=/sbin/sysctl $ARGS",
            Is(655_360),
        ),
        (
            "EnvironmentFile=-/etc/default/x\nExecStart=sysctl -w KEY=${MAX}",
            Is(655_360),
        ),
        (
            "EnvironmentFile=/etc/default/x\nExecStart=/bin/sh -c 'echo $MAX > FILE'",
            Is(655_360),
        ),
        (
            "Environment=MAX=655360 \"F=FILE\"\nExecStart=/bin/sh -c \"echo $MAX > $F\"",
            Is(655_360),
        ),
        // The file comes later.
        (
            "Environment=MAX=5\nEnvironmentFile=/etc/default/x\nExecStart=sysctl KEY=${MAX}",
            Is(655_360),
        ),
        (
            "EnvironmentFile=/absent/x\nExecStart=/sbin/sysctl $ARGS",
            UnknownBy(4),
        ),
        (
            "Environment=MAX=5\nEnvironmentFile=-/etc/absent\nExecStart=sysctl KEY=${MAX}",
            UnknownBy(5),
        ),
        ("ExecStart=sysctl -w KEY=${MAX}", UnknownBy(3)),
        // No variable in the middle of a word without braces: the kernel takes no letters.
        ("Environment=MAX=5\nExecStart=sysctl -w KEY=$MAX", Is(FILES)),
        ("ExecStart=/usr/bin/tune", Is(655_360)),
        ("ExecStart=/usr/bin/other $ARGS", Is(FILES)),
        ("ExecStart=/usr/bin/systemctl start tune", Is(655_360)),
    ] {
        assert_eq!(unit(service), expected, "{service}");
    }
}

#[test]
fn plugins_of_netfilter_persistent_are_run_with_it() {
    let host = host();
    let plugin = "/usr/share/netfilter-persistent/plugins.d/99-ct";
    host.write(
        plugin,
        format!("#!/bin/sh\n[ \"$1\" = start ] && echo 655360 > {FILE}\n"),
    );
    assert_eq!(host.limit(), Is(FILES));
    let service = "[Service]\nExecStart=/usr/sbin/netfilter-persistent start\n";
    for path in [
        "/usr/lib/systemd/system/netfilter-persistent.service",
        "/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service",
    ] {
        host.write(path, service);
    }
    assert_eq!(host.limit(), Is(655_360));
}

#[test]
fn hooks_of_ufw_are_run_if_it_is_enabled_and_they_are_executable() {
    let limit = |enabled: &str, hook: &str, mode: u32| {
        let host = host();
        host.write("/etc/ufw/ufw.conf", format!("ENABLED={enabled}\n"));
        host.write("/etc/default/ufw", "IPT_SYSCTL=/etc/ufw/sysctl.conf\n");
        host.write("/etc/ufw/sysctl.conf", "net/ipv4/ip_forward=1\n");
        let path = format!("/etc/ufw/{hook}");
        host.write(
            &path,
            format!(
                "#!/bin/sh\nset -e\ncase \"$1\" in\nstart)\nsysctl -w {KEY}=655360\n;;\nesac\n"
            ),
        );
        let path = host.0.path().join(path.trim_start_matches('/'));
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        host.limit()
    };
    assert_eq!(limit("yes", "after.init", 0o755), Is(655_360));
    assert_eq!(limit("yes", "before.init", 0o755), Is(655_360));
    assert_eq!(limit("yes", "after.init", 0o640), Is(FILES));
    assert_eq!(limit("no", "after.init", 0o755), Is(FILES));
}

#[test]
fn a_start_script_with_sysctl_of_what_is_not_known() {
    for (line, expected) in [
        ("sysctl -p $FILES", UnknownBy(2)),
        ("sysctl -w net.core.$NAME=5", Is(FILES)),
        ("eval \"$X\"", Is(FILES)),
    ] {
        let host = Host::with("/etc/init.d/x", &format!("#!/bin/sh\n{line}\n"));
        let links = host.0.path().join("etc/rc3.d");
        fs::create_dir_all(&links).unwrap();
        symlink("../init.d/x", links.join("S99x")).unwrap();
        assert_eq!(host.limit(), expected, "{line}");
    }
}

#[test]
fn firehol_sets_what_its_configuration_says() {
    let limit = |line: &str| {
        let host = Host::with("/etc/firehol/firehol.conf", &format!("version 6\n{line}\n"));
        host.write(
            "/usr/sbin/firehol",
            format!("#!/bin/bash\neval \"$X\"\nsysctl -w {KEY}=$FIREHOL_CONNTRACK_MAX\n"),
        );
        for path in [
            "/usr/lib/systemd/system/firehol.service",
            "/etc/systemd/system/multi-user.target.wants/firehol.service",
        ] {
            host.write(path, "[Service]\nExecStart=/usr/sbin/firehol start\n");
        }
        host.limit()
    };
    assert_eq!(limit("FIREHOL_CONNTRACK_MAX=\"655360\""), Is(655_360));
    assert_eq!(limit("FIREHOL_CONNTRACK_MAX=$((5 * 131072))"), UnknownBy(2));
    assert_eq!(limit("# FIREHOL_CONNTRACK_MAX=5"), Is(FILES));
    assert_eq!(limit("FIREHOL_CONNTRACK_MAX="), Is(FILES));
}
