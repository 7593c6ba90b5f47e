//! How kube-proxy, k3s, RKE2 and `MicroK8s` are told their limit, and the knob that is named
//! for it.

use conntrack_user::facts::{Facts, root::Root};

use crate::host::{
    FILES, Host,
    Limit::{self, Is, UnknownBy},
};

/// A host with four processors that starts this service.
fn host(service: &str, unit: &str) -> Host {
    let host = Host::new();
    let processors = "processor\t: 0\nprocessor\t: 1\nprocessor\t: 2\nprocessor\t: 3\n";
    host.write("/proc/cpuinfo", processors);
    host.write("/sys/devices/system/cpu/online", "0-3\n");
    for directory in ["", "multi-user.target.wants/"] {
        let path = format!("/etc/systemd/system/{directory}{service}.service");
        host.write(&path, format!("[Service]\n{unit}\n"));
    }
    host
}

fn knob(host: &Host) -> String {
    let facts = Facts::read(&Root::open(host.0.path()).unwrap()).unwrap();
    facts.writers[0].knob.clone()
}

#[test]
fn the_file_that_a_flag_names_counts() {
    let named = host(
        "kube-proxy",
        "ExecStart=/usr/bin/kube-proxy --config=/etc/kp.yaml",
    );
    let config =
        "kind: KubeProxyConfiguration\nconntrack:\n  \"maxPerCore\": 100000\n  min: null\n";
    named.write("/etc/kp.yaml", config);
    // It is not this one.
    named.write(
        "/var/lib/kube-proxy/config.conf",
        "conntrack:\n  min: 7000000\n",
    );
    assert_eq!(named.limit(), Is(400_000));
    assert!(knob(&named).contains("conntrack.min in /etc/kp.yaml"));
    let absent = host(
        "kube-proxy",
        "ExecStart=/usr/bin/kube-proxy --config /etc/kp.yaml",
    );
    assert_eq!(absent.limit(), UnknownBy(2));
    let k3s = host(
        "k3s",
        "ExecStart=/usr/local/bin/k3s server --config /etc/k3s.yaml",
    );
    k3s.write("/etc/k3s.yaml", "kube-proxy-arg: conntrack-min=300000\n");
    assert_eq!(k3s.limit(), Is(300_000));
    assert!(knob(&k3s).contains("in /etc/k3s.yaml"), "{}", knob(&k3s));
}

#[test]
fn variables_of_a_unit_count() {
    let of = |unit: &str, file: Option<&str>| -> (Limit, Host) {
        let host = host("kube-proxy", unit);
        if let Some(file) = file {
            host.write("/etc/kubernetes/proxy.conf", file);
        }
        (host.limit(), host)
    };
    let uses = "EnvironmentFile=/etc/kubernetes/proxy.conf\nExecStart=/usr/bin/kube-proxy $ARGS";
    let (limit, host) = of(uses, Some("# x\nARGS=\"--conntrack-min=300000 --v=2\"\n"));
    assert_eq!(limit, Is(300_000));
    assert!(knob(&host).contains("--conntrack-min=N in /etc/kubernetes/proxy.conf"));
    let (limit, _) = of(uses, Some("ARGS=--v=2 \\\n --conntrack-min=300000\n"));
    assert_eq!(limit, Is(300_000));
    // Another variable.
    let (limit, _) = of(uses, Some("ARGS=\nOTHER=--conntrack-min=300000\n"));
    assert_eq!(limit, Is(131_072));
    let (limit, _) = of(uses, None);
    assert_eq!(limit, UnknownBy(3));
    let own = "Environment=ARGS=--conntrack-min=300000\nExecStart=/usr/bin/kube-proxy $ARGS";
    assert_eq!(of(own, None).0, Is(300_000));
}

#[test]
fn a_drop_in_takes_the_command_back() {
    let host = host(
        "kube-proxy",
        "ExecStart=/usr/bin/kube-proxy --conntrack-min=300000",
    );
    host.write(
        "/etc/systemd/system/kube-proxy.service.d/x.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/kube-proxy\n",
    );
    assert_eq!(host.limit(), Is(131_072));
}

#[test]
fn a_server_of_rke2_and_microk8s_are_seen_without_settings() {
    let server = host("rke2-server", "ExecStart=/usr/local/bin/rke2 server");
    assert_eq!(server.limit(), Is(131_072));
    server.write(
        "/etc/rancher/rke2/config.yaml",
        "disable-kube-proxy: true\n",
    );
    assert_eq!(server.limit(), Is(FILES));
    let snap = host("other", "ExecStart=/bin/true");
    snap.write(
        "/var/snap/microk8s/current/args/kube-proxy",
        "--cluster-cidr=10.1.0.0/16\n",
    );
    assert_eq!(snap.limit(), Is(131_072));
}
