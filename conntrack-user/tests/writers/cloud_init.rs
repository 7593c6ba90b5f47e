//! Commands of cloud-init: at each boot, or once for an instance.

use crate::host::{
    FILE, FILES, Host, KEY,
    Limit::{self, Is, UnknownBy},
};

const USER_DATA: &str = "/var/lib/cloud/instance/user-data.txt";
const CONFIG: &str = "/etc/cloud/cloud.cfg";
const DONE: &str = "/var/lib/cloud/instance/sem/config_scripts_user";

fn config(body: &str) -> String {
    let body = body.replace("FILE", FILE).replace("KEY", KEY);
    format!("#cloud-config\n{body}")
}

/// A host that is an instance, which has been started before.
fn instance(path: &str, body: &str) -> Host {
    let host = Host::with(path, &config(body));
    host.write(DONE, "");
    host
}

#[test]
fn bootcmd_runs_at_each_boot() {
    let cases: [(&str, Limit); 8] = [
        ("bootcmd:\n- echo 655360 > FILE\n", Is(655_360)),
        ("bootcmd:\n- [sysctl, -w, KEY=655360]\n", Is(655_360)),
        (
            "bootcmd:\n - [ sh, -c, \"echo 655360 > FILE\" ]\n",
            Is(655_360),
        ),
        ("bootcmd: [\"sysctl -w KEY=655360\"]\n", Is(655_360)),
        ("bootcmd:\n- |\n  N=655360\n  echo $N > FILE\n", Is(655_360)),
        // All are one script.
        ("bootcmd:\n- N=655360\n- echo $N > FILE\n", Is(655_360)),
        ("bootcmd:\n- exit 0\n- echo 655360 > FILE\n", Is(FILES)),
        (
            "bootcmd:\n- true\n- echo $(cat /etc/n) > FILE\n",
            UnknownBy(4),
        ),
    ];
    for (body, expected) in cases {
        for path in [USER_DATA, CONFIG, "/etc/cloud/cloud.cfg.d/50-ct.cfg"] {
            assert_eq!(instance(path, body).limit(), expected, "{path}: {body}");
        }
    }
}

#[test]
fn what_is_no_yaml_is_not_known() {
    let host = instance(USER_DATA, "bootcmd: [\n- echo 655360 > FILE\n");
    assert!(matches!(host.limit(), UnknownBy(_)));
}

#[test]
fn user_data_comes_before_the_configuration() {
    let host = instance(CONFIG, "bootcmd:\n- echo 1 > FILE\n");
    host.write(
        "/etc/cloud/cloud.cfg.d/05-a.cfg",
        config("bootcmd:\n- echo 2 > FILE\n"),
    );
    assert_eq!(host.limit(), Is(2));
    host.write(
        "/etc/cloud/cloud.cfg.d/90-b.cfg",
        config("bootcmd:\n- echo 3 > FILE\n"),
    );
    assert_eq!(host.limit(), Is(3));
    host.write(USER_DATA, config("bootcmd:\n- echo 4 > FILE\n"));
    assert_eq!(host.limit(), Is(4));
}

#[test]
fn runcmd_runs_once_for_an_instance() {
    let body = "runcmd:\n- sysctl -w KEY=655360\n";
    assert_eq!(instance(USER_DATA, body).limit(), Is(FILES));
    // An image that has not been started.
    assert_eq!(Host::with(CONFIG, &config(body)).limit(), Is(655_360));
    // Nothing says whether it has run.
    assert_eq!(Host::with(USER_DATA, &config(body)).limit(), UnknownBy(3));
    let always = format!("cloud_final_modules:\n- [scripts-user, always]\n{body}");
    assert_eq!(instance(CONFIG, &always).limit(), Is(655_360));
}

#[test]
fn scripts_of_user_data() {
    let set = |kind: &str| format!("{kind}\nsysctl -w {KEY}=655360\n");
    let of = |kind: &str| {
        let host = Host::with(USER_DATA, &set(kind));
        host.write(DONE, "");
        host.limit()
    };
    assert_eq!(of("#cloud-boothook"), Is(655_360));
    assert_eq!(of("#!/bin/sh"), Is(FILES));
    let host = Host::with(
        "/var/lib/cloud/instance/scripts/part-001",
        &set("#!/bin/sh"),
    );
    assert_eq!(host.limit(), UnknownBy(2));
}

#[test]
fn bootcmd_may_come_before_conntrack() {
    let host = instance(CONFIG, "bootcmd:\n- echo 655360 > FILE\n");
    std::fs::remove_dir_all(host.0.path().join("etc/modules-load.d")).unwrap();
    assert_eq!(host.limit(), UnknownBy(3));
}

#[test]
fn what_else_an_image_would_write_is_not_known() {
    let body = "write_files:\n- path: /etc/sysctl.d/99-x.conf\n  content: KEY=655360\n";
    assert_eq!(Host::with(CONFIG, &config(body)).limit(), UnknownBy(4));
    assert_eq!(instance(CONFIG, body).limit(), Is(FILES));
}
