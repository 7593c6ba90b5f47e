//! Who else writes the limit: programs that set it by themselves, after the
//! files of the host or all the time, each with the evidence for it.

mod acts;
mod cloud_init;
mod commands;
mod compose;
mod cron;
mod kube_proxy;
mod kubernetes;
mod lines;
mod modules;
mod nixos;
mod programs;
mod proxmox;
mod scripts;
mod start_scripts;
mod tmpfiles;
mod tuned;
mod unit_files;
mod units;
mod writer;

pub use crate::facts::writers::writer::{Act, Applier, Does, Sets, Timing, Writer};
use crate::facts::{
    distribution::Distribution,
    firewalld::Firewalld,
    host_kernel::{Form, HostKernel},
    init::Init,
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
    (distribution, init, services): (&Distribution, &Init, &Services),
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
    let is_built_in = kernel.form == Form::BuiltIn;
    writers.extend(cloud_init::read(reader, (modules, is_built_in), &commands));
    writers.extend(start_scripts::read(reader, (init, services), &commands));
    writers.extend(scripts::read(reader, (services, ufw), &commands));
    writers.extend(units::read(reader, services, &commands));
    writers.extend(programs::apf(reader));
    writers.extend(programs::firehol(reader, services));
    writers.extend(cron::read(reader, &commands));
    writers.extend(kubernetes::read(reader, services, kernel));
    writers.extend(proxmox::read(reader, services));
    writers.extend(compose::read(reader));
    writers.extend(nixos::read(reader, distribution.family));
    let not_started = start_scripts::not_started(reader, &commands, &writers);
    writers.extend(not_started);
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
