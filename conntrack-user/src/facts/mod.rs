//! Everything that decides which limit will be in force, read from the files of
//! a host or of a copied tree. Nothing is changed, and nothing is run.

pub mod appliance;
pub mod applier;
pub mod distribution;
pub mod firewalld;
pub mod host_kernel;
pub mod init;
pub mod iptables;
mod lines;
pub mod live_files;
pub mod loaders;
mod modprobe;
pub mod modules;
pub mod numbers;
mod reader;
pub mod root;
mod rules;
pub mod services;
pub mod shell;
mod snapshot;
pub mod sysctl;
pub mod systemd;
pub mod ufw;
mod unreadable;
pub mod writers;
mod yaml;

use anyhow::{Result, bail};

use crate::facts::{
    appliance::Appliance,
    applier::Applier,
    distribution::Distribution,
    firewalld::Firewalld,
    host_kernel::HostKernel,
    init::{Init, Procps},
    iptables::IptablesService,
    loaders::Loader,
    modules::Modules,
    numbers::Numbers,
    reader::Reader,
    root::Root,
    services::Services,
    sysctl::Sysctl,
    systemd::order::UnitOrder,
    ufw::Ufw,
    writers::Writer,
};
pub use crate::facts::{reader::Source, unreadable::Unreadable};

/// The facts of a host.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Distribution.
    pub distribution: Distribution,
    /// Kernel.
    pub kernel: HostKernel,
    /// What sets sysctls at boot.
    pub init: Init,
    /// The system, if it is one that makes `/etc` anew at each boot.
    pub appliance: Option<&'static Appliance>,
    /// What applies files of sysctls at boot.
    pub applier: Applier,
    /// What the `sysctl` command knows.
    pub procps: Procps,
    /// Services that are started at boot.
    pub services: Services,
    /// Sysctl settings.
    pub sysctl: Sysctl,
    /// Configuration of the module.
    pub modules: Modules,
    /// Services `iptables` and `ip6tables`, if installed.
    pub iptables: Vec<IptablesService>,
    /// firewalld, if installed.
    pub firewalld: Option<Firewalld>,
    /// ufw, if installed.
    pub ufw: Option<Ufw>,
    /// Services that load conntrack at boot, after sysctls have been set.
    pub loaders: Vec<Loader>,
    /// Others that write the limit.
    pub writers: Vec<Writer>,
    /// In which order units start; empty if systemd does not start the host.
    pub unit_order: UnitOrder,
    /// The kernel's numbers as they are, or were when the tree was copied.
    pub numbers: Numbers,
    /// What is there and could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Programs of the host's own that are run and are not in the tree, with the line
    /// that runs each.
    pub absent_programs: Vec<(String, Source)>,
    /// Directories that the tree does not have, though every host has them, so
    /// that what they would say is not known.
    pub not_captured: Vec<&'static str>,
}

/// Directories that every host has something in.
const CAPTURED: [&str; 3] = ["/etc", "/usr", "/proc"];

impl Facts {
    /// The service `iptables` or `ip6tables`, if installed.
    pub fn iptables_service(&self, name: &str) -> Option<&IptablesService> {
        self.iptables.iter().find(|service| service.name == name)
    }

    /// Reads a host or a tree.
    pub fn read(root: &Root) -> Result<Self> {
        let reader = Reader::new(root);
        if !root.is_this_host() && !reader.exists("/etc") {
            bail!(
                "{} has no etc/: give the root of a mounted or copied tree, so that etc/sysctl.conf \
                 is below it",
                root.path().display()
            );
        }
        let distribution = Distribution::read(&reader);
        let kernel = HostKernel::read(&reader, &distribution);
        let init = init::detect(&reader, &distribution);
        let appliance = Appliance::read(&reader);
        let services = Services::read(&reader, &init);
        let firewalld = Firewalld::read(&reader, &distribution);
        let procps = Procps::of(&distribution);
        let readers = init.readers(procps);
        let ufw = Ufw::read(&reader, readers.command);
        let iptables = iptables::read(&reader, &init, kernel.generation);
        let mut not_captured = CAPTURED.to_vec();
        not_captured.retain(|directory| !reader.exists(directory));
        if matches!(init, Init::RcSysinit { .. }) {
            // These have nothing there that matters.
            not_captured.retain(|directory| *directory != "/usr");
        }
        let modules = Modules::read(&reader, (&init, &services), kernel.generation);
        let (writers, unit_order) = writers::read(
            &reader,
            (&distribution, &init, &services),
            appliance,
            (&kernel, &modules),
            firewalld.as_ref(),
            ufw.as_ref(),
        );
        Ok(Self {
            sysctl: Sysctl::read(&reader, readers),
            loaders: loaders::read(&reader, &services, firewalld.as_ref(), ufw.as_ref()),
            writers,
            unit_order,
            numbers: Numbers::read(Reader::new(root)),
            appliance,
            applier: Applier::read(&reader, &init, &distribution, &services),
            procps,
            distribution,
            kernel,
            modules,
            init,
            services,
            iptables,
            firewalld,
            ufw,
            not_captured,
            absent_programs: reader.absent_programs(),
            unreadable: reader.unreadable(),
        })
    }
}
