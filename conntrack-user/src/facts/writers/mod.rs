//! Who else writes the limit: programs that set it by themselves, after the
//! files of the host or all the time, each with the evidence for it.

mod kubernetes;
mod proxmox;
mod scripts;
mod tuned;

use serde::Serialize;

use crate::facts::{
    firewalld::Firewalld,
    host_kernel::HostKernel,
    reader::{Reader, Source},
    services::Services,
    sysctl::{Variable, line::number},
    ufw::Ufw,
};

/// Somebody else who writes the limit, or takes away what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// Its name.
    pub name: &'static str,
    /// What shows that it is here.
    pub evidence: Vec<Source>,
    /// Whether it does anything on this host, as far as can be told.
    pub active: bool,
    /// What it does to the limit.
    pub behaviour: String,
    /// Where the limit is to be set instead.
    pub knob: String,
    /// What it sets; none for one that sets nothing by itself, or is accounted
    /// for elsewhere.
    pub sets: Option<Sets>,
}

/// What somebody sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sets {
    /// The limit; none if it cannot be told.
    pub max: Option<u64>,
    /// The buckets; none if they are left alone.
    pub buckets: Option<u64>,
    /// When.
    pub timing: Timing,
    /// The line that decides.
    pub source: Source,
    /// Whether files of sysctls are then applied once more, which wins.
    pub reapplies: bool,
}

/// When somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// When it starts, at boot.
    AtStart,
    /// Again and again, whenever the value is another one.
    Always,
}

/// All that are found.
pub(super) fn read(
    reader: &Reader<'_>,
    services: &Services,
    kernel: &HostKernel,
    firewalld: Option<&Firewalld>,
    ufw: Option<&Ufw>,
) -> Vec<Writer> {
    let mut writers: Vec<Writer> = Vec::new();
    writers.extend(ufw.and_then(of_ufw));
    writers.extend(firewalld.and_then(|firewalld| of_firewalld(firewalld, services)));
    writers.extend(tuned::read(reader, services));
    writers.extend(scripts::read(reader, services));
    writers.extend(kubernetes::read(reader, services, kernel));
    writers.extend(proxmox::read(reader, services));
    writers
}

fn of_ufw(ufw: &Ufw) -> Option<Writer> {
    let sysctl = ufw.sysctl.as_ref()?;
    let evidence: Vec<Source> = sysctl
        .lines
        .iter()
        .filter(|line| line.key.variable() == Some(Variable::Max))
        .map(|line| Source {
            file: sysctl.file.clone(),
            line: line.number,
            text: line.text.trim().to_owned(),
        })
        .collect();
    (!evidence.is_empty()).then(|| Writer {
        name: "ufw",
        active: ufw.enabled,
        behaviour: "sets the sysctls of its own file whenever it starts, after all others"
            .to_owned(),
        knob: format!("set the same value in {}", sysctl.file.display()),
        evidence,
        sets: None,
    })
}

fn of_firewalld(firewalld: &Firewalld, services: &Services) -> Option<Writer> {
    firewalld.unloads().then(|| {
        let evidence = match &firewalld.cleanup {
            Some((_, source)) => source.clone(),
            None => firewalld.evidence.clone(),
        };
        Writer {
            name: "firewalld",
            active: services.starts("firewalld"),
            behaviour: "its stop and restart unload nf_conntrack, which comes back with the \
                        kernel's default; its reload does not"
                .to_owned(),
            knob: "CleanupModulesOnExit=no in /etc/firewalld/firewalld.conf where this version \
                   knows it, and options nf_conntrack hashsize= in /etc/modprobe.d"
                .to_owned(),
            evidence: vec![evidence],
            sets: None,
        }
    })
}

/// The number after a flag or a key, in any of the forms `--flag=N`, `flag: N`,
/// `"flag=N"`; with the line. Comments are left out.
fn value_of(text: &super::reader::TextFile, flag: &str) -> Option<(u64, Source)> {
    text.lines()
        .filter(|(_, line)| !line.trim_start().starts_with('#'))
        .find_map(|(at, line)| {
            let (_, rest) = line.split_once(flag)?;
            let rest = rest.trim_start_matches(['=', ':', ' ', '\t', '"', '\'', ',', '\0', '\\']);
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            Some((rest[..end].parse().ok()?, text.source(at, line)))
        })
}

/// The value of a line that assigns in the form of sysctl files.
fn assigned(key: &str, value: &str) -> Option<(Variable, Option<u64>)> {
    let key = super::sysctl::Key::parse(key.trim());
    Some((key.variable()?, number(value.trim())))
}
