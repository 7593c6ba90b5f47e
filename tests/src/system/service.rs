//! A firewall service whose restart takes the module out.
//!
//! Debian has none, so the guest gets one that does what the script of the package
//! iptables-services does in the releases that unload: Red Hat's 1.4.21-24 to -28.

use anyhow::{Result, ensure};

use super::{
    foretold::demand_foretold,
    limit::{self, SERVICE, Survival},
    story::Story,
    sysctl::{DEFAULT, DROP_IN, MODULES_LOAD, WANTED, demand},
};
use crate::vm::DiskGuest;

/// Boots once.
pub(super) static RESTART: Story = Story {
    name: "service_restart",
    about: "a restart of iptables loses the limit, unless its script is told to load it",
    once: true,
    packages: false,
    files: &[
        DROP_IN,
        MODULES_LOAD,
        ("/etc/systemd/system/iptables.service", UNIT),
        ("/usr/libexec/iptables/iptables.init", SCRIPT),
        ("/etc/sysconfig/iptables", RULES),
        (CONFIG, ""),
    ],
    run,
};

/// The unit.
pub(super) const UNIT: &str = "\
[Unit]
Description=IPv4 firewall with iptables
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /usr/libexec/iptables/iptables.init start
ExecStop=/bin/bash /usr/libexec/iptables/iptables.init stop
[Install]
WantedBy=multi-user.target
";

/// What the unit runs.
pub(super) const SCRIPT: &str = r#"#!/bin/bash
IPTABLES_MODULES_UNLOAD="yes"
IPTABLES_SYSCTL_LOAD_LIST=""
[ -f /etc/sysconfig/iptables-config ] && . /etc/sysconfig/iptables-config

rmmod_r() {
    local user
    for user in $(awk -v name="$1" '$1 == name { gsub(",", " ", $4); print $4 }' /proc/modules); do
        [ "$user" = - ] || rmmod_r "$user"
    done
    grep -q "^$1 " /proc/modules && modprobe -r "$1" >/dev/null 2>&1
}

load_sysctl() {
    local item ret=0
    for item in $IPTABLES_SYSCTL_LOAD_LIST; do
        fgrep -hs $item /etc/sysctl.d/* | sysctl -p - >/dev/null || ret=1
    done
    return $ret
}

case "$1" in
start)
    iptables-restore /etc/sysconfig/iptables || exit 1
    load_sysctl
    ;;
stop)
    iptables -F && iptables -X || exit 1
    [ "$IPTABLES_MODULES_UNLOAD" = yes ] || exit 0
    # Where rules are nftables, the kernel lets go of a removed one a moment later.
    for try in 1 2 3 4 5 6 7 8 9 10; do
        rmmod_r nf_conntrack
        grep -q "^nf_conntrack " /proc/modules || exit 0
        sleep 0.5
    done
    exit 1
    ;;
esac
"#;

/// A stateful firewall.
pub(super) const RULES: &str = "\
*filter
:INPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate INVALID -j DROP
COMMIT
";

/// What the script is told.
pub(super) const CONFIG: &str = "/etc/sysconfig/iptables-config";

/// Demands the loss, and what helps and what does not.
fn run(host: &mut DiskGuest) -> Result<()> {
    host.succeed(["systemctl", "start", SERVICE])?;
    let rules = host.succeed(["iptables", "-S", "INPUT"])?;
    ensure!(rules.contains("--ctstate INVALID"), "no rule: {rules}");
    demand("after the boot", limit::max(host)?, WANTED)?;
    let listed = "IPTABLES_SYSCTL_LOAD_LIST=\".nf_conntrack\"\n";
    for (config, expected, place) in [
        ("", DEFAULT, None),
        (listed, WANTED, Some((DROP_IN.0, 1))),
        // As word processors write it: no error, and no line that fits.
        ("IPTABLES_SYSCTL_LOAD_LIST=”.nf_conntrack”\n", DEFAULT, None),
    ] {
        host.write(CONFIG, config)?;
        let found = demand_foretold(host, Survival::ServiceRestart, place)?;
        demand(&format!("restarted with {config:?}"), found, expected)?;
    }
    host.succeed(["sysctl", "--system"])?;
    host.write(CONFIG, "IPTABLES_MODULES_UNLOAD=\"no\"\n")?;
    let found = demand_foretold(host, Survival::ServiceRestart, None)?;
    demand("restarted without unloading", found, WANTED)
}
