//! Loads the programs of a backend, and attaches and detaches them.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use anyhow::Context as _;
use aya::programs::{KProbe, kprobe::KProbeLink};

use crate::observe::{
    backend::Backend,
    bpf::{
        object::Object,
        sys::{self, Kind, LoadError, Statistics, Target},
    },
    counts::health::{Missed, Runs, RunsByProgram},
    failure::{Cause, LoadFailure, Step},
    programs::{
        table::{Hook, Program, Sees, When},
        types::Types,
    },
};

/// The programs of a backend, loaded, and attached or not. Dropping this detaches
/// and unloads them.
#[derive(Debug)]
pub(crate) struct Programs(Vec<Loaded>);

#[derive(Debug)]
struct Loaded {
    program: &'static Program,
    fd: OwnedFd,
    link: Option<Link>,
}

/// Held for itself alone: dropping it detaches.
#[derive(Debug)]
enum Link {
    Descriptor { _fd: OwnedFd },
    Kprobe { _link: KProbeLink },
}

impl Programs {
    /// Loads all programs of a backend, whose requirements are met: when one is
    /// refused, nothing has been attached.
    pub(crate) fn load(
        backend: Backend,
        object: &mut Object,
        types: &Types,
        capture: bool,
    ) -> Result<Self, LoadFailure> {
        let module = match &types.module {
            Some(_) if backend == Backend::Fexit => Some(open_module_btf()?),
            _ => None,
        };
        Program::of(backend, types.deletion, capture)
            .map(|program| {
                let fd = load(program, object, types, module.as_ref())
                    .map_err(|cause| LoadFailure::new(Step::LoadProgram(program.name), cause))?;
                Ok(Loaded {
                    program,
                    fd,
                    link: None,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Attaches those of that kind that are not attached yet.
    pub(crate) fn attach(&mut self, when: When, object: &mut Object) -> Result<(), LoadFailure> {
        for loaded in &mut self.0 {
            if loaded.program.when == when && loaded.link.is_none() {
                loaded.link = Some(attach_one(loaded.program, object, loaded.fd.as_fd())?);
            }
        }
        Ok(())
    }

    /// Detaches those of that kind; they stay loaded.
    pub(crate) fn detach(&mut self, when: When) {
        for loaded in &mut self.0 {
            if loaded.program.when == when {
                loaded.link = None;
            }
        }
    }

    /// How many programs are loaded.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many functions have a program attached by a trampoline.
    pub(crate) fn functions(&self) -> usize {
        let functions: BTreeSet<&str> = self
            .0
            .iter()
            .filter(|loaded| loaded.link.is_some())
            .filter_map(|loaded| match loaded.program.hook {
                Hook::Fentry(function) | Hook::Fexit(function) => Some(function),
                Hook::Kprobe(_) | Hook::Tracepoint(_) | Hook::TracepointSkb(_) => None,
            })
            .collect();
        functions.len()
    }

    /// How often the kernel skipped them since they were loaded.
    pub(crate) fn missed(&self) -> anyhow::Result<Missed> {
        let mut missed = Missed::default();
        for loaded in &self.0 {
            let runs = loaded.statistics()?.missed;
            let program = loaded.program;
            match program.sees {
                Sees::Allocations => missed.allocations += runs,
                Sees::Confirmations => missed.confirmations += runs,
                Sees::Evictions => missed.evictions += runs,
                Sees::Clashes => missed.clashes += runs,
                Sees::EarlyDrops => {
                    missed.allocations += runs;
                    missed.evictions += runs;
                }
                Sees::Nothing => {}
            }
        }
        Ok(missed)
    }

    /// How often they ran since they were loaded, where the kernel counts it.
    pub(crate) fn runs(&self) -> anyhow::Result<RunsByProgram> {
        let mut by_program = RunsByProgram::new();
        for loaded in &self.0 {
            let Statistics {
                runs, nanoseconds, ..
            } = loaded.statistics()?;
            if runs > 0 {
                let runs = Runs {
                    count: runs,
                    nanoseconds,
                };
                by_program.insert(loaded.program.name, runs);
            }
        }
        Ok(by_program)
    }
}

impl Loaded {
    fn statistics(&self) -> anyhow::Result<Statistics> {
        let name = self.program.name;
        sys::statistics(&self.fd)
            .with_context(|| format!("cannot read the statistics of eBPF program {name}"))
    }
}

fn open_module_btf() -> Result<OwnedFd, LoadFailure> {
    sys::module_btf("nf_conntrack")
        .map_err(|error| LoadFailure::new(Step::OpenModuleBtf, error.into()))
}

fn load(
    program: &Program,
    object: &mut Object,
    types: &Types,
    module: Option<&OwnedFd>,
) -> Result<OwnedFd, Cause> {
    let kind = match program.hook {
        Hook::Fentry(function) => Kind::Fentry(function_target(function, types, module)?),
        Hook::Fexit(function) => Kind::Fexit(function_target(function, types, module)?),
        Hook::Tracepoint(tracepoint) | Hook::TracepointSkb(tracepoint) => {
            Kind::Tracepoint(tracepoint_target(tracepoint, types)?)
        }
        Hook::Kprobe(_) => return load_kprobe(program.name, object),
    };
    let (instructions, license) = object
        .program(program.name)
        .map_err(|error| Cause::of(&error))?;
    sys::load_program(program.name, kind, instructions, &license)
        .map_err(|LoadError { error, verifier }| Cause::refused(error, &verifier))
}

fn function_target(
    function: &'static str,
    types: &Types,
    module: Option<&OwnedFd>,
) -> Result<Target, Cause> {
    let found = types
        .of_conntrack()
        .function(function)
        .ok_or(Cause::NoFunctionType(function))?;
    Ok(Target {
        id: found.id,
        module: module
            .filter(|_| found.in_module)
            .map(|btf| btf.as_fd().as_raw_fd()),
    })
}

/// Tracepoints are in the kernel itself.
fn tracepoint_target(tracepoint: &'static str, types: &Types) -> Result<Target, Cause> {
    let id = types
        .kernel
        .tracepoint(tracepoint)
        .ok_or(Cause::NoTracepoint(tracepoint))?;
    Ok(Target { id, module: None })
}

/// aya loads and attaches these by itself, in modules too.
fn load_kprobe(name: &str, object: &mut Object) -> Result<OwnedFd, Cause> {
    let program = object.kprobe(name).map_err(|error| Cause::of(&error))?;
    if program.fd().is_err() {
        program.load()?;
    }
    Ok(program.fd()?.as_fd().try_clone_to_owned()?)
}

fn attach_one(
    program: &Program,
    object: &mut Object,
    fd: BorrowedFd<'_>,
) -> Result<Link, LoadFailure> {
    let name = program.name;
    let (link, target) = match program.hook {
        Hook::Fentry(target)
        | Hook::Fexit(target)
        | Hook::Tracepoint(target)
        | Hook::TracepointSkb(target) => {
            let link = sys::attach(fd).map(|fd| Link::Descriptor { _fd: fd });
            (link.map_err(Cause::from), target)
        }
        Hook::Kprobe(function) => {
            let probe = object.kprobe(name).map_err(|error| Cause::of(&error));
            let link = probe.and_then(|probe| attach_kprobe(probe, function));
            (link, function)
        }
    };
    let step = Step::AttachProgram {
        program: name,
        target,
    };
    link.map_err(|cause| LoadFailure::new(step, cause))
}

fn attach_kprobe(program: &mut KProbe, function: &str) -> Result<Link, Cause> {
    let link = program
        .attach(function, 0)
        .and_then(|id| program.take_link(id))?;
    Ok(Link::Kprobe { _link: link })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::capture;

    #[test]
    fn what_copies_freed_packets_passes_the_verifier() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: not root");
            return;
        }
        let types = match Types::read() {
            Ok(types) => types,
            Err(error) => {
                eprintln!("skipped: {error:?}");
                return;
            }
        };
        let order = capture::order(None, None, &[]);
        let mut object = Object::load(&types.layout, 64, Some(&order)).unwrap();
        let freed = Program::of(Backend::Fexit, types.deletion, true)
            .find(|program| matches!(program.hook, Hook::TracepointSkb(_)))
            .unwrap();
        let loaded = load(freed, &mut object, &types, None);
        assert!(loaded.is_ok(), "{loaded:?}");
        let without = Program::of(Backend::Fexit, types.deletion, false);
        assert!(
            without
                .map(|program| program.name)
                .all(|name| name != freed.name)
        );
    }
}
