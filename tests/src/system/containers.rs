//! A podman container that leaks entries in a network namespace of its own: ctdrop shows its name,
//! which it reads from podman's files.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::story::Story;
use crate::vm::DiskGuest;

/// Boots once, a system with podman.
pub(super) static CONTAINERS: Story = Story {
    name: "containers",
    about: "a container with a leak is called by its name in who, incidents and report",
    once: true,
    packages: false,
    // Neither overlayfs nor a bus of systemd are needed to run it.
    files: &[
        ("/etc/containers/storage.conf", STORAGE),
        ("/etc/containers/containers.conf", ENGINE),
    ],
    run,
};

/// A store that needs no overlayfs.
pub(super) const STORAGE: &str = "\
[storage]
driver = \"vfs\"
runroot = \"/run/containers/storage\"
graphroot = \"/var/lib/containers/storage\"
";

const ENGINE: &str = "\
[engine]
cgroup_manager = \"cgroupfs\"
events_logger = \"file\"
";

/// An image of one program.
const IMAGE: &str = "mkdir -p /root/image/bin && cp /bin/busybox /root/image/bin/ && \
    tar -C /root/image -cf /root/image.tar . && \
    podman import --quiet /root/image.tar localhost/shopfront:1 2>&1";

const START: &str = "podman run --detach --network none --name leaky-cart localhost/shopfront:1 \
    /bin/busybox sleep 3600 > /root/started 2>&1 || { cat /root/started; exit 1; }";

/// Conntrack in its network namespace.
const TRACK: &str = "pid=$(podman inspect --format '{{.State.Pid}}' leaky-cart) && \
    nsenter -t $pid -n sh -ec '\
        ip link set lo up
        nft add table ip t
        nft add chain ip t out \"{ type filter hook output priority 0; }\"
        nft add rule ip t out ct state new accept'";

/// Connections that nobody closes: the table has room for less than two thirds of them.
const LEAK: &str = "podman exec --detach leaky-cart /bin/busybox sh -c '\
        b=/bin/busybox
        $b nc -ll -p 5300 -e $b sleep 3600 &
        $b sleep 2
        for one in $($b seq 100); do $b sleep 3600 | $b nc -w 20 127.0.0.1 5300 & done
    '";

/// Waits for the last connections, which are refused.
const FULL: &str = "pid=$(podman inspect --format '{{.State.Pid}}' leaky-cart)
    for second in $(seq 60); do
        entries=$(nsenter -t $pid -n sysctl -n net.netfilter.nf_conntrack_count)
        [ $entries -ge 60 ] && exit
        sleep 1
    done
    echo $entries entries; podman exec leaky-cart /bin/busybox ps; exit 1";

const RECORD: &str = "systemd-run --quiet --unit=recorder \
    ctdrop watch --output json --record /root/evidence.db";

/// What must be in no masked report.
const NAMES: [&str; 3] = ["leaky", "cart", "shopfront"];

fn sh(host: &mut DiskGuest, script: &str) -> Result<String> {
    host.succeed(["sh", "-c", script])
        .with_context(|| format!("sh -c {script:?}"))
}

/// Demands the names.
fn run(host: &mut DiskGuest) -> Result<()> {
    sh(host, IMAGE)?;
    sh(host, START)?;
    sh(host, TRACK)?;
    host.succeed(["sysctl", "-qw", "net.netfilter.nf_conntrack_max=60"])?;
    sh(host, RECORD)?;
    // It is observed from its first line on.
    sh(
        host,
        "for second in $(seq 60); do journalctl -u recorder -o cat | grep -q '\"start\"' && exit; sleep 1; done; exit 1",
    )?;
    sh(host, LEAK)?;
    sh(host, FULL)?;
    who(host)?;
    sh(host, "sleep 5; systemctl stop recorder")?;
    report(host)
}

fn who(host: &mut DiskGuest) -> Result<()> {
    let text = host.run(["ctdrop", "who", "--netns", "leaky-cart"])?.stdout;
    let header = "podman/leaky-cart, image localhost/shopfront:1: ";
    ensure!(text.contains(header), "{text}");
    let json = [
        "ctdrop",
        "who",
        "-o",
        "json",
        "--netns",
        "podman/leaky-cart",
    ];
    let json = host.run(json)?.stdout;
    let line = json.lines().next().context("who says nothing")?;
    let namespace: Value = serde_json::from_str(line).context("who says no JSON")?;
    let names = &namespace["container"]["names"];
    ensure!(
        namespace["name"] == "podman/leaky-cart"
            && names["container"] == "leaky-cart"
            && names["image"] == "localhost/shopfront:1"
            && namespace["entries"].as_u64() > Some(40),
        "{line}"
    );
    Ok(())
}

fn report(host: &mut DiskGuest) -> Result<()> {
    let database = ["--db", "/root/evidence.db"];
    let incidents = host.succeed(["ctdrop", "incidents"].into_iter().chain(database))?;
    ensure!(incidents.contains("podman/leaky-cart"), "{incidents}");
    let report = ["ctdrop", "report", "--format", "md"]
        .into_iter()
        .chain(database);
    let text = host.succeed(report.clone())?;
    for expected in [
        "podman/leaky-cart",
        "container leaky-cart, image localhost/shopfront:1",
        "podman/leaky-cart (image localhost/shopfront:1)",
    ] {
        ensure!(text.contains(expected), "no {expected:?}: {text}");
    }
    let masked = host.succeed(report.chain(["--redact"]))?;
    for name in NAMES {
        ensure!(!masked.contains(name), "{name} is not masked: {masked}");
    }
    Ok(())
}
