//! Files that hold a line which sets the limit, or do not run it.

use conntrack_user::{
    facts::{Facts, root::Root},
    survival::{Start, simulate},
};

use crate::host::{
    FILE, FILES, Host, KEY,
    Limit::{self, Is, UnknownBy},
};

/// Files with a line that sets the limit, the line that decides, and what a boot
/// leads to.
fn places() -> Vec<(&'static str, String, Limit)> {
    let set = format!("echo 655360 > {FILE}");
    vec![
        ("/etc/rc.local", format!("#!/bin/sh\n{set}\n"), Is(655_360)),
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
        if path.starts_with("/etc/network/if-up.d") {
            host.write("/etc/network/interfaces", "auto eth0\n");
        }
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
fn a_script_in_each_directory_that_something_runs_is_seen() {
    let set = format!("#!/bin/sh\necho 655360 > {FILE}\n");
    for directory in [
        "/etc/network/if-up.d",
        "/etc/network/if-pre-up.d",
        "/etc/NetworkManager/dispatcher.d",
        "/etc/NetworkManager/dispatcher.d/pre-up.d",
        "/etc/NetworkManager/dispatcher.d/no-wait.d",
        "/usr/lib/NetworkManager/dispatcher.d",
        "/usr/lib/NetworkManager/dispatcher.d/pre-up.d",
        "/usr/lib/NetworkManager/dispatcher.d/no-wait.d",
        "/etc/networkd-dispatcher/carrier.d",
        "/etc/networkd-dispatcher/configured.d",
        "/etc/networkd-dispatcher/configuring.d",
        "/etc/networkd-dispatcher/degraded.d",
        "/etc/networkd-dispatcher/routable.d",
        "/usr/lib/networkd-dispatcher/carrier.d",
        "/usr/lib/networkd-dispatcher/configured.d",
        "/usr/lib/networkd-dispatcher/routable.d",
        "/etc/sysconfig/network/if-up.d",
        "/etc/ppp/ip-up.d",
        "/var/lib/cloud/scripts/per-boot",
        "/etc/cron.hourly",
        "/etc/cron.daily",
        "/etc/cron.weekly",
        "/etc/cron.monthly",
    ] {
        let host = Host::with(&format!("{directory}/ct"), &set);
        // Without this file, ifupdown has nothing to do.
        host.write(
            "/etc/network/interfaces",
            "auto eth0\niface eth0 inet dhcp\n",
        );
        assert_eq!(host.limit(), Is(655_360), "{directory}");
    }
    for (name, expected) in [("ct.start", Is(655_360)), ("ct.stop", Is(FILES))] {
        let host = Host::with(&format!("/etc/local.d/{name}"), &set);
        for path in ["/usr/lib/systemd", "/etc/modules-load.d"] {
            std::fs::remove_dir_all(host.0.path().join(&path[1..])).unwrap();
        }
        host.write("/sbin/openrc", "");
        host.write("/etc/modules", "nf_conntrack\n");
        for service in ["boot/modules", "boot/sysctl", "default/local"] {
            host.write(&format!("/etc/runlevels/{service}"), "");
        }
        assert_eq!(host.limit(), expected, "{name}");
    }
}

#[test]
fn a_timer_starts_its_service_again_and_again() {
    for (enabled, expected) in [
        (
            "/etc/systemd/system/timers.target.wants/ct.timer",
            Is(655_360),
        ),
        ("/etc/systemd/system/ct.timer", Is(FILES)),
    ] {
        let host = Host::with(enabled, "[Timer]\nOnCalendar=hourly\nUnit=tune.service\n");
        host.write(
            "/etc/systemd/system/tune.service",
            format!("[Service]\nExecStart=/sbin/sysctl -w {KEY}=655360\n"),
        );
        host.write(
            "/usr/lib/systemd/system/ct.timer",
            "[Timer]\nOnCalendar=hourly\nUnit=tune.service\n",
        );
        assert_eq!(host.limit(), expected, "{enabled}");
    }
}

/// What of a host could not be read.
fn unread(host: &Host) -> Vec<String> {
    let facts = Facts::read(&Root::open(host.0.path()).unwrap()).unwrap();
    facts.unreadable.iter().map(ToString::to_string).collect()
}

#[test]
fn a_large_program_is_no_file_of_settings() {
    let host = Host::with("/etc/cron.d/x", "@reboot root /usr/local/bin/exporter\n");
    for begins in ["\u{7f}ELF", "#!/bin/sh\n"] {
        host.write("/usr/local/bin/exporter", begins);
        let path = host.0.path().join("usr/local/bin/exporter");
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len((16 << 20) + 1).unwrap();
        assert_eq!(unread(&host), [""; 0]);
        assert_eq!(host.limit(), Is(FILES));
    }
}

#[test]
fn a_program_that_is_not_in_the_tree_matters_if_its_line_speaks_of_the_limit() {
    for (line, matters) in [
        ("0 3 * * * root /root/backup.sh", false),
        ("@reboot root /usr/local/bin/node_exporter", false),
        ("@reboot root /root/conntrack.sh", true),
        ("@reboot root /opt/tune --sysctl", true),
    ] {
        let host = Host::with("/etc/cron.d/x", &format!("{line}\n"));
        assert_eq!(!unread(&host).is_empty(), matters, "{line}");
    }
}
