//! What goes wrong is said clearly: the object, the remedy, the exit code.

use std::{
    fs::OpenOptions,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    confine::{Confinement, Public},
    net::LanOptions,
    stage::{Auto, Backend, Machine, Scenario, Takes, mount, setup, unmount},
};

/// On every kernel.
pub static ERRORS: Scenario = Scenario {
    name: "errors",
    about: "no root, no such namespace, a bad duration, a full disk: each named, with a remedy",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: errors,
};

/// Only where the machine can be bent.
pub static NO_KERNEL_SUPPORT: Scenario = Scenario {
    name: "no_kernel_support",
    about: "no conntrack, no type information: each named, with a remedy",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: no_kernel_support,
};

fn errors(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    let watch = || {
        let mut command = Command::new(&machine.ctdrop);
        command.args(["watch", "--quiet", "--duration", "100ms"]);
        command
    };
    let backend = machine.backend.to_string();
    let ctdrop = Public::copy(&machine.ctdrop)?;
    let mut command = ctdrop.command();
    command.args(["watch", "--duration", "1s", "--backend", &backend]);
    let output = Confinement::Nobody.apply(&mut command).output()?;
    expect(&output, 1, &["CAP_BPF", "CAP_PERFMON", "missing", &backend])?;

    let output = watch().args(["--netns", "no-such-place"]).output()?;
    expect(&output, 1, &["no-such-place"])?;
    for bad in [
        ["--duration", "soon"],
        ["--interval", "1"],
        ["--reason", "bad luck"],
    ] {
        let output = Command::new(&machine.ctdrop)
            .arg("watch")
            .args(bad)
            .output()?;
        expect(&output, 2, &[bad[0], bad[1]])?;
    }

    let full = OpenOptions::new().write(true).open("/dev/full")?;
    let output = watch().stdout(full).stderr(Stdio::piped()).output()?;
    expect(&output, 1, &["standard output", "No space left on device"])?;

    let lan = setup::limited_lan(machine, "named", &LanOptions::default())?;
    let output = watch().args(["--netns", lan.firewall.name()]).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

fn no_kernel_support(machine: &Machine) -> Result<()> {
    let watch = || {
        Command::new(&machine.ctdrop)
            .args(["watch", "--quiet", "--duration", "100ms"])
            .output()
            .context("cannot run ctdrop")
    };
    // It waits for conntrack, here in vain, and says so.
    expect(
        &watch()?,
        0,
        &["conntrack is not loaded", "modprobe nf_conntrack"],
    )?;
    setup::load_conntrack(machine)?;
    ensure!(watch()?.status.success(), "with conntrack it works");
    let btf = "/sys/kernel/btf";
    mount("tmpfs", btf)?;
    let without = watch()?;
    ensure!(without.status.success(), "{without:?}");
    let text = String::from_utf8_lossy(&without.stdout);
    for word in [
        "backend  counters",
        "/sys/kernel/btf/vmlinux",
        "CONFIG_DEBUG_INFO_BTF",
    ] {
        ensure!(text.contains(word), "no {word:?} in: {text}");
    }
    unmount(btf)?;
    ensure!(watch()?.status.success(), "with type information it works");
    Ok(())
}

/// Demands an exit code, and an error of few lines that has these words in it.
fn expect(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "{:?} instead of {code}: {text}",
        output.status
    );
    for word in words {
        ensure!(text.contains(word), "no {word:?} in: {text}");
    }
    ensure!(!text.contains("panicked"), "a panic: {text}");
    Ok(())
}
