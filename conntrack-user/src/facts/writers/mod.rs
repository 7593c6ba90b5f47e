//! Who else writes the limit: programs that set it by themselves, after the
//! files of the host or all the time, each with the evidence for it.

mod acts;
mod commands;
mod cron;
mod kube_proxy;
mod kubernetes;
mod modules;
mod programs;
mod proxmox;
mod scripts;
mod sysctl_command;
mod tmpfiles;
mod tuned;
mod units;
mod wrappers;
mod writer;

pub use crate::facts::writers::writer::{Act, Applier, Does, Sets, Timing, Writer};
use crate::facts::{
    firewalld::Firewalld,
    host_kernel::HostKernel,
    modules::Modules,
    reader::{Reader, Source},
    services::Services,
    sysctl::Variable,
    ufw::Ufw,
    writers::commands::Commands,
};

/// All that are found.
pub(super) fn read(
    reader: &Reader<'_>,
    services: &Services,
    (kernel, modules): (&HostKernel, &Modules),
    firewalld: Option<&Firewalld>,
    ufw: Option<&Ufw>,
) -> Vec<Writer> {
    let mut writers: Vec<Writer> = Vec::new();
    writers.extend(ufw.and_then(of_ufw));
    writers.extend(firewalld.and_then(|firewalld| of_firewalld(firewalld, services)));
    writers.extend(tuned::read(reader, services));
    let commands = Commands::new(reader);
    writers.extend(tmpfiles::read(reader));
    writers.extend(modules::read(reader, modules, kernel.generation, &commands));
    writers.extend(scripts::read(reader, &commands));
    writers.extend(units::read(reader, services, &commands));
    writers.extend(programs::apf(reader));
    writers.extend(cron::read(reader, &commands));
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
            behaviour: "unloads nf_conntrack when it is stopped or restarted, and the limit that \
                        sysctls have set is lost; a reload of firewalld keeps the module loaded"
                .to_owned(),
            knob: "set CleanupModulesOnExit=no in /etc/firewalld/firewalld.conf, if this version \
                   supports it, and add \"options nf_conntrack hashsize=BUCKETS\" to a file in \
                   /etc/modprobe.d"
                .to_owned(),
            evidence: vec![evidence],
            sets: None,
        }
    })
}
