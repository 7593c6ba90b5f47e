//! Who else writes the limit: programs that set it by themselves, after the
//! files of the host or all the time, each with the evidence for it.

mod acts;
mod cloud_init;
mod commands;
mod compose;
mod cron;
mod hooks;
mod interfaces;
mod kube_files;
mod kube_form;
mod kube_proxy;
mod kubernetes;
mod modules;
mod names;
mod nixos;
mod programs;
mod proxmox;
mod scripts;
mod service_hooks;
mod start_scripts;
mod tmpfiles;
mod tuned;
mod units;
mod writer;

pub use crate::facts::writers::{
    kube_form::KubeForm,
    writer::{Act, Applier, Does, Sets, Timing, Writer},
};
use crate::facts::{
    appliance::Appliance,
    distribution::Distribution,
    firewalld::Firewalld,
    host_kernel::{Form, HostKernel},
    init::Init,
    modules::Modules,
    reader::{Reader, Source},
    services::Services,
    sysctl::Variable,
    systemd::order::UnitOrder,
    ufw::Ufw,
    writers::{commands::Commands, hooks::Host},
};

/// All that are found.
pub(super) fn read(
    reader: &Reader<'_>,
    (distribution, init, services): (&Distribution, &Init, &Services),
    appliance: Option<&'static Appliance>,
    (kernel, modules): (&HostKernel, &Modules),
    firewalld: Option<&Firewalld>,
    ufw: Option<&Ufw>,
) -> (Vec<Writer>, UnitOrder) {
    let mut writers: Vec<Writer> = Vec::new();
    writers.extend(ufw.and_then(of_ufw));
    writers.extend(firewalld.and_then(|firewalld| of_firewalld(firewalld, services, modules)));
    let commands = Commands::new(reader);
    writers.extend(tuned::read(reader, services, &commands));
    writers.extend(tmpfiles::read(reader));
    writers.extend(modules::read(reader, modules, kernel, &commands));
    let is_built_in = kernel.form == Form::BuiltIn;
    writers.extend(cloud_init::read(reader, (modules, is_built_in), &commands));
    writers.extend(start_scripts::read(reader, (init, services), &commands));
    let host = Host {
        family: distribution.family,
        init,
        services,
        appliance,
    };
    let mut late = hooks::read(reader, host, &commands);
    late.extend(service_hooks::read(reader, (services, ufw), &commands));
    let hooks = interfaces::read(reader, &commands).into_iter();
    late.extend(hooks.map(|hook| (hook, "networking.service")));
    let (of_units, mut order) = units::read(reader, init, &commands);
    writers.extend(of_units);
    writers.extend(programs::apf(reader));
    writers.extend(programs::firehol(reader, services));
    let crontabs = cron::read(reader, distribution.family, &commands).into_iter();
    late.extend(crontabs.map(|crontab| (crontab, "cron.service")));
    if init.is_systemd() {
        for (writer, unit) in &late {
            note(&mut order, writer, unit);
        }
    }
    writers.extend(late.into_iter().map(|(writer, _)| writer));
    writers.extend(kubernetes::read(reader, services, kernel));
    writers.extend(proxmox::read(reader, services));
    writers.extend(compose::read(reader));
    writers.extend(nixos::read(reader, distribution.family));
    let not_started = start_scripts::not_started(reader, &commands, &writers);
    writers.extend(not_started);
    (writers, order)
}

/// What a writer sets is run by this unit.
fn note(order: &mut UnitOrder, writer: &Writer, unit: &str) {
    for act in writer.sets.iter().flat_map(|sets| &sets.acts) {
        order.note(act.source.clone(), unit);
    }
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

fn of_firewalld(firewalld: &Firewalld, services: &Services, modules: &Modules) -> Option<Writer> {
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
            knob: format!(
                "set CleanupModulesOnExit=no in /etc/firewalld/firewalld.conf{}{}",
                match firewalld.cleanup {
                    Some(_) => "",
                    None => ", if this version supports it",
                },
                match modules.hashsize {
                    Some(_) => "",
                    None => {
                        ", and add \"options nf_conntrack hashsize=BUCKETS\" to a file in \
                         /etc/modprobe.d"
                    }
                }
            ),
            evidence: vec![evidence],
            sets: None,
        }
    })
}
