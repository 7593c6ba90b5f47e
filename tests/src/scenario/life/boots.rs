//! The guest is what every other scenario takes for granted.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::stage::{Auto, Backend, Machine, Scenario, Takes};

/// Runs only in guests: it loads modules.
pub static BOOTS: Scenario = Scenario {
    name: "boots",
    about: "a guest loads nf_conntrack, has its BTF, and its tools run",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: false,
    takes: Takes::Seconds,
    run,
};

/// A table that makes the kernel ask for modules by itself: conntrack through an
/// expression, NAT through a chain type, and names of protocols.
const RULES: &str = "table inet boots {
    chain input { type filter hook input priority 0; ct state invalid meta l4proto tcp drop; }
    chain postrouting { type nat hook postrouting priority 100; masquerade; }
}";

/// Demands that a guest has modules, BTF and tools.
fn run(machine: &Machine) -> Result<()> {
    succeed("modprobe", &["nf_conntrack"])?;
    if machine.backend == Backend::Fexit {
        for btf in ["/sys/kernel/btf/vmlinux", "/sys/kernel/btf/nf_conntrack"] {
            ensure!(
                Path::new(btf).exists(),
                "no {btf}, which fexit programs need"
            );
        }
    }
    let max = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max")?;
    ensure!(max.trim().parse::<u32>()? > 0, "nf_conntrack_max is {max}");
    fs::write("/tmp/rules", RULES)?;
    succeed("nft", &["-f", "/tmp/rules"])?;
    let loaded = fs::read_to_string("/proc/modules")?;
    for module in ["nft_ct", "nft_masq", "nft_chain_nat", "nf_nat"] {
        ensure!(
            loaded.contains(&format!("{module} ")),
            "{module} was not loaded on demand"
        );
    }
    let links = succeed("ip", &["-brief", "link"])?;
    ensure!(
        links.contains("lo") && links.contains("UP"),
        "lo is not up: {links}"
    );
    succeed(
        "ip",
        &[
            "link", "add", "boots0", "type", "veth", "peer", "name", "boots1",
        ],
    )?;
    succeed("conntrack", &["-C"])?;
    succeed("modprobe", &["nfnetlink_queue"])?;
    ensure!(machine.ctdrop.exists(), "no {}", machine.ctdrop.display());
    Ok(())
}

/// Runs a tool that must succeed and returns what it printed.
fn succeed(tool: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(tool).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {tool}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{tool} {arguments:?} failed: {errors}"
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
