//! `ctdrop probe` says what is true, and what is missing.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::{
    confine::{
        Capability::{Bpf, Perfmon, SysAdmin, SysPtrace, Syslog},
        Confinement, Public,
    },
    stage::{Auto, Backend, Machine, Scenario, Takes, attach, mount, setup, unmount},
};

/// On every kernel, from every backend.
pub static PROBE: Scenario = Scenario {
    name: "probe",
    about: "the backends as this kernel has them: what works, and why the rest does not",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run,
};

/// Less than root.
pub static CONFINED: Scenario = Scenario {
    name: "probe_confined",
    about: "capabilities, user namespaces and filters: what is missing is named, one by one",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: confined,
};

/// Only where the machine can be bent.
pub static BENT: Scenario = Scenario {
    name: "probe_bent",
    about: "no type information, kprobes off, lockdown: what is missing is named, one by one",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run: bent,
};

#[derive(Debug, Deserialize)]
struct Findings {
    backends: Vec<Finding>,
    unseen: Vec<Unseen>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    backend: String,
    works: bool,
    why: Option<String>,
    missing: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Unseen {
    missing: String,
}

impl Findings {
    fn read(output: &Output) -> Result<Self> {
        ensure!(output.status.success(), "ctdrop probe failed: {output:?}");
        let findings: Self = serde_json::from_slice(&output.stdout)?;
        for finding in &findings.backends {
            ensure!(
                finding.works == finding.why.is_none()
                    && finding.works == finding.missing.is_empty(),
                "what does not work has a reason: {finding:?}"
            );
        }
        Ok(findings)
    }

    fn of(&self, backend: Backend) -> Result<&Finding> {
        let backend = backend.to_string();
        let found = self.backends.iter().find(|it| it.backend == backend);
        found.with_context(|| format!("nothing is said of {backend}: {self:?}"))
    }

    /// Demands that a backend lacks just this, and nothing the one below all.
    fn expect(&self, backend: Backend, missing: &[&str]) -> Result<()> {
        let finding = self.of(backend)?;
        ensure!(
            finding.missing == missing,
            "not {missing:?} is missing: {finding:?}"
        );
        ensure!(
            self.of(Backend::Counters)?.works,
            "the last backend always holds: {self:?}"
        );
        Ok(())
    }
}

fn run(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    let output = Command::new(&machine.ctdrop)
        .args(["probe", "-o", "json"])
        .output()
        .with_context(|| format!("cannot run {}", machine.ctdrop.display()))?;
    let findings = Findings::read(&output)?;
    let backends: Vec<&str> = findings
        .backends
        .iter()
        .map(|it| it.backend.as_str())
        .collect();
    ensure!(
        backends == ["fexit", "kprobe", "tracepoint", "counters"],
        "{backends:?}"
    );
    ensure!(findings.unseen.is_empty(), "root sees all: {findings:?}");
    findings.expect(machine.backend, &[])?;
    // The backend that watch uses works, and, unless told, none above it.
    let first = findings.backends.iter().find(|finding| finding.works);
    let first = first.map(|finding| finding.backend.as_str());
    if !machine.forced {
        let here = machine.backend.to_string();
        ensure!(first == Some(here.as_str()), "{findings:?}");
    }
    Ok(())
}

fn confined(machine: &Machine) -> Result<()> {
    setup::load_conntrack(machine)?;
    let ctdrop = Public::copy(&machine.ctdrop)?;
    let probe = |confinement: Confinement| {
        let mut command = ctdrop.command();
        let command = confinement.apply(command.args(["probe", "-o", "json"]));
        let output = command
            .output()
            .with_context(|| format!("cannot confine ctdrop: {confinement:?}"))?;
        Findings::read(&output)
    };
    // A module's type information is for CAP_SYS_ADMIN alone.
    let module =
        machine.backend == Backend::Fexit && Path::new("/sys/kernel/btf/nf_conntrack").exists();
    // So are perf events on Debian, and kprobes are such.
    let paranoid = machine.backend == Backend::Kprobe && perf_event_paranoid()? > 2;
    let and_admin = |names: &[&'static str]| {
        let admin = (module || paranoid).then_some("cap_sys_admin");
        names.iter().copied().chain(admin).collect::<Vec<_>>()
    };
    let backend = machine.backend;
    let nobody = probe(Confinement::Nobody)?;
    nobody.expect(backend, &and_admin(&["cap_bpf", "cap_perfmon"]))?;
    let unseen: Vec<&str> = nobody.unseen.iter().map(|it| it.missing.as_str()).collect();
    ensure!(
        unseen == ["cap_sys_ptrace", "cap_sys_admin", "cap_syslog"],
        "{unseen:?}"
    );
    probe(Confinement::Without(&[Bpf, SysAdmin]))?.expect(backend, &and_admin(&["cap_bpf"]))?;
    probe(Confinement::Without(&[Perfmon, SysAdmin]))?
        .expect(backend, &and_admin(&["cap_perfmon"]))?;
    probe(Confinement::Without(&[SysAdmin]))?.expect(backend, &and_admin(&[]))?;
    // CAP_SYS_ADMIN stands for these.
    probe(Confinement::Without(&[Bpf, Perfmon]))?.expect(backend, &[])?;
    for (capability, code) in [(&[SysPtrace], "cap_sys_ptrace"), (&[Syslog], "cap_syslog")] {
        let findings = probe(Confinement::Without(capability))?;
        findings.expect(backend, &[])?;
        ensure!(
            findings.unseen.len() == 1 && findings.unseen[0].missing == code,
            "{findings:?}"
        );
    }
    if paranoid {
        let before = perf_event_paranoid()?;
        fs::write(PARANOID, "2")?;
        let findings = probe(Confinement::Without(&[SysAdmin]));
        fs::write(PARANOID, before.to_string())?;
        findings?.expect(backend, &[])?;
    }
    // It lets nobody trace, whatever it is.
    if machine.guest {
        let before = fs::read_to_string(UNPRIVILEGED)?;
        fs::write(UNPRIVILEGED, "0")?;
        let findings = probe(Confinement::Nobody);
        fs::write(UNPRIVILEGED, before)?;
        findings?.expect(backend, &and_admin(&["cap_bpf", "cap_perfmon"]))?;
    }
    probe(Confinement::UserNamespace)?.expect(backend, &["user_namespace"])?;
    probe(Confinement::FilteredBpf)?.expect(backend, &["seccomp"])?;

    // And watch uses the last backend, and says why.
    let mut command = ctdrop.command();
    let command = command.args(["watch", "--duration", "300ms"]);
    let output = Confinement::Nobody.apply(command).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success()
            && text.contains("backend  counters")
            && text.contains("CAP_BPF")
            && text.contains("kernel log"),
        "{output:?}"
    );
    Ok(())
}

const UNPRIVILEGED: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

fn perf_event_paranoid() -> Result<i32> {
    Ok(fs::read_to_string(PARANOID)?.trim().parse()?)
}

fn bent(machine: &Machine) -> Result<()> {
    const BTF: &str = "/sys/kernel/btf";
    const KPROBES: &str = "/sys/kernel/debug/kprobes/enabled";
    const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
    setup::load_conntrack(machine)?;
    let probe = || {
        let output = Command::new(&machine.ctdrop)
            .args(["probe", "-o", "json"])
            .output()?;
        Findings::read(&output)
    };
    let programs = [Backend::Fexit, Backend::Kprobe, Backend::Tracepoint];

    let vmlinux = fs::read(format!("{BTF}/vmlinux"))?;
    mount("tmpfs", BTF)?;
    let nothing = probe()?;
    fs::write(format!("{BTF}/vmlinux"), vmlinux)?;
    let no_module = probe()?;
    fs::write(format!("{BTF}/nf_defrag_ipv4"), "")?;
    let left_out = probe()?;
    fs::write(format!("{BTF}/nf_conntrack"), "of another build")?;
    let damaged = probe()?;
    unmount(BTF)?;
    for backend in programs {
        nothing.expect(backend, &["btf"])?;
    }
    let expected = if setup::kernel_version()? < (5, 11) {
        "kernel"
    } else {
        "module_btf"
    };
    no_module.expect(Backend::Fexit, &[expected])?;
    for (findings, said) in [
        (&left_out, "though other modules have"),
        (&damaged, "cannot be used"),
    ] {
        findings.expect(Backend::Fexit, &["module_btf"])?;
        findings.expect(Backend::Kprobe, &[])?;
        let why = findings.of(Backend::Fexit)?.why.as_deref();
        ensure!(why.is_some_and(|why| why.contains(said)), "{findings:?}");
    }
    no_module.expect(Backend::Kprobe, &[])?;

    fs::write(KPROBES, "0").with_context(|| format!("cannot write {KPROBES}"))?;
    probe()?.expect(Backend::Kprobe, &["kprobes"])?;
    fs::write(KPROBES, "1")?;
    probe()?.expect(machine.backend, &[])?;

    hidden_addresses(machine)?;

    // There is no way back from these.
    fs::write(UNPRIVILEGED, "1").with_context(|| format!("cannot write {UNPRIVILEGED}"))?;
    probe()?.expect(machine.backend, &[])?;
    mount("securityfs", "/sys/kernel/security")?;
    fs::write(LOCKDOWN, "confidentiality").with_context(|| format!("cannot write {LOCKDOWN}"))?;
    let locked = probe()?;
    for backend in programs {
        locked.expect(backend, &["lockdown"])?;
    }
    Ok(())
}

/// Addresses that the kernel hides from everybody, and a kernel without symbols of data: ctdrop
/// observes by the same backend, and says which of the two it is.
fn hidden_addresses(machine: &Machine) -> Result<()> {
    const RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";
    const SYMBOLS: &str = "/proc/kallsyms";
    const FUNCTIONS: &str = "/run/functions";
    let header = || {
        let mut watch = Command::new(&machine.ctdrop);
        watch.args(["watch", "--duration", "300ms"]);
        let output = watch.args(machine.arguments()).output()?;
        ensure!(output.status.success(), "ctdrop watch failed: {output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let symbols = fs::read_to_string(SYMBOLS)?;
    let before = fs::read_to_string(RESTRICT)?;
    fs::write(RESTRICT, "2")?;
    let restricted = header();
    fs::write(RESTRICT, before)?;

    let is_function = |line: &&str| {
        let kind = line.split(' ').nth(1);
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("t"))
    };
    let functions: Vec<&str> = symbols.lines().filter(is_function).collect();
    fs::write(FUNCTIONS, functions.join("\n") + "\n")?;
    attach(FUNCTIONS, SYMBOLS, "", libc::MS_BIND)?;
    let left_out = header();
    unmount(SYMBOLS)?;

    let uses = format!("backend  {}:", machine.backend);
    for (header, cause) in [
        (restricted?, "kernel.kptr_restrict"),
        (left_out?, "CONFIG_KALLSYMS_ALL"),
    ] {
        ensure!(
            header.contains(&uses) && header.contains(cause),
            "not {uses} or not {cause}: {header}"
        );
    }
    Ok(())
}
