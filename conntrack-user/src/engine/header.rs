//! What is said once, before the first number: where this runs, and how well
//! it can see.

use anyhow::Result;
use serde::Serialize;

use crate::{
    engine::{ineffective, limit::Fullest, options::Options, watched_netns::WatchedNetns},
    kernel::{limits::Limits, presence::Presence, release::Release},
    observe::{
        arming::Arm, backend::Backend, observer::snapshot::Setup, survey::unusable::Unusable,
    },
    say::clock,
};

/// Where this runs, and how well it can see.
#[derive(Clone, Debug, Serialize)]
pub struct Header {
    /// When: RFC 3339.
    pub time: String,
    /// Name of the host.
    pub host: String,
    /// Release of the kernel, as `uname -r` has it.
    pub release: String,
    /// The backend that is used.
    pub backend: Backend,
    /// The better backends, and why each is not used.
    pub not_used: Vec<Unusable>,
    /// When the programs are attached that run for each new flow.
    pub arm: Arm,
    /// Whether they are attached at the start.
    pub armed: bool,
    /// Whether the conntrack module cannot be unloaded meanwhile.
    pub pins_module: bool,
    /// Whether the programs are taken away when nobody else needs that module, so that
    /// it can be unloaded then.
    pub releases_module: bool,
    /// The limit for each namespace, the buckets all share, and the entries of
    /// the namespace asked for or, if none is, of the one this runs in.
    pub limits: Limits,
    /// The namespaces with the most entries, most first, of those that are observed.
    pub fullest: Vec<Fullest>,
    /// The only namespace that is observed.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// What may not be seen from here, each as a sentence.
    pub warnings: Vec<String>,
}

/// The only namespace that is observed.
#[derive(Clone, Debug, Serialize)]
pub struct Only {
    /// Its inode.
    pub netns: u32,
    /// What it is called.
    pub netns_name: String,
}

impl Header {
    /// Collects it.
    pub(super) fn collect(
        setup: Setup,
        options: &Options,
        watched: Option<&WatchedNetns>,
        fullest: Vec<Fullest>,
    ) -> Result<Self> {
        let module = matches!(Presence::read()?, Presence::Module { .. });
        let pins_module = module && setup.backend == Backend::Fexit;
        let (limits, not_entered) = match watched {
            Some(watched) => watched.limits()?,
            None => (Limits::read()?, None),
        };
        let mut warnings = setup.warnings;
        warnings.extend(not_entered);
        if options.names_ineffective {
            warnings.extend(ineffective::notes(options, setup.backend, pins_module));
        }
        Ok(Self {
            time: clock::now(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            release: Release::running()?.text,
            backend: setup.backend,
            not_used: setup.not_used,
            arm: setup.arm,
            armed: setup.armed,
            pins_module,
            releases_module: pins_module && options.release_module,
            limits,
            fullest,
            only: watched.map(|watched| Only {
                netns: watched.inode(),
                netns_name: watched.name().to_owned(),
            }),
            warnings,
        })
    }
}
