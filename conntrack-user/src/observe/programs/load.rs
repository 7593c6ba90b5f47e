//! Loads the programs of a backend, and attaches and detaches them.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use anyhow::{Context as _, Result, anyhow};
use aya::programs::{KProbe, kprobe::KProbeLink};
use conntrack_ebpf::{ABSENT, Layout};

use crate::{
    kernel::{
        surroundings::{Kprobes, Surroundings},
        symbols::Symbols,
    },
    observe::{
        backend::Backend,
        bpf::{
            object::Object,
            sys::{self, Kind, LoadError, Target},
        },
        counts::health::Missed,
        programs::{
            table::{Hook, Program, Sees, When},
            types::Types,
        },
    },
};

/// The programs of a rung, loaded, and attached or not. Dropping this detaches
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
    /// Loads all programs of a rung: when one is refused, nothing has been
    /// attached.
    pub(crate) fn load(
        backend: Backend,
        object: &mut Object,
        layout: &Layout,
        types: &Types,
    ) -> Result<Self> {
        if backend == Backend::Tracepoint && layout.reason_netfilter_drop == ABSENT {
            return Err(anyhow!(
                "this kernel does not give the reason of a dropped packet (5.18 and later do)"
            ));
        }
        if backend == Backend::Kprobe && Surroundings::read()?.kprobes != Kprobes::On {
            // Switched off they could be attached all the same, and see nothing.
            return Err(anyhow!("kprobes cannot be used here"));
        }
        let module = match &types.module {
            Some(_) if backend == Backend::Fexit => Some(open_module_btf()?),
            _ => None,
        };
        for program in Program::of(backend, types) {
            expect_function(program, types.symbols())?;
        }
        Program::of(backend, types)
            .map(|program| {
                Ok(Loaded {
                    program,
                    fd: load(program, object, types, module.as_ref())?,
                    link: None,
                })
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Attaches those of that kind that are not attached yet.
    pub(crate) fn attach(&mut self, when: When, object: &mut Object) -> Result<()> {
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
                Hook::Kprobe(_) | Hook::Tracepoint(_) => None,
            })
            .collect();
        functions.len()
    }

    /// How often the kernel skipped them since they were loaded.
    pub(crate) fn missed(&self) -> Result<Missed> {
        let mut missed = Missed::default();
        for Loaded { program, fd, .. } in &self.0 {
            let runs = sys::missed_runs(fd).with_context(|| {
                format!(
                    "cannot read the statistics of eBPF program {}",
                    program.name
                )
            })?;
            match program.sees {
                Sees::Allocations => missed.allocations += runs,
                Sees::Confirmations => missed.confirmations += runs,
                Sees::Evictions => missed.evictions += runs,
                Sees::Clashes => missed.clashes += runs,
                Sees::Nothing => {}
            }
        }
        Ok(missed)
    }
}

fn open_module_btf() -> Result<OwnedFd> {
    sys::module_btf("nf_conntrack")
        .context("cannot find the type information of module nf_conntrack")
}

fn load(
    program: &Program,
    object: &mut Object,
    types: &Types,
    module: Option<&OwnedFd>,
) -> Result<OwnedFd> {
    let kind = match program.hook {
        Hook::Fentry(function) => Kind::Fentry(target(function, types, module)?),
        Hook::Fexit(function) => Kind::Fexit(target(function, types, module)?),
        Hook::Tracepoint(tracepoint) => Kind::Tracepoint(tracepoint_of(tracepoint, types)?),
        Hook::Kprobe(_) => return load_kprobe(program.name, object.kprobe(program.name)?),
    };
    let (instructions, license) = object.program(program.name)?;
    sys::load_program(program.name, kind, instructions, &license)
        .map_err(|error| refusal(program.name, error))
}

/// Demands that a program's function is there under its own name: by any other
/// its arguments may be others.
fn expect_function(program: &Program, symbols: &Symbols) -> Result<()> {
    let (Hook::Fentry(function) | Hook::Fexit(function) | Hook::Kprobe(function)) = program.hook
    else {
        return Ok(());
    };
    if symbols.has(function) {
        return Ok(());
    }
    Err(match symbols.variant(function) {
        Some(variant) => anyhow!(
            "the compiler has made {variant} of the kernel's function {function}, and its \
             arguments may be others"
        ),
        None => anyhow!("the kernel has no function {function}"),
    })
}

fn target(function: &str, types: &Types, module: Option<&OwnedFd>) -> Result<Target> {
    let types = types.module.as_ref().unwrap_or(&types.kernel);
    let found = types
        .function(function)
        .with_context(|| format!("the kernel's type information has no function {function}"))?;
    Ok(Target {
        id: found.id,
        module: module
            .filter(|_| found.in_module)
            .map(|btf| btf.as_fd().as_raw_fd()),
    })
}

/// Tracepoints are in the kernel itself.
fn tracepoint_of(tracepoint: &str, types: &Types) -> Result<Target> {
    let id = types.kernel.tracepoint(tracepoint);
    let id = id
        .with_context(|| format!("the kernel's type information has no tracepoint {tracepoint}"))?;
    Ok(Target { id, module: None })
}

fn refusal(name: &str, LoadError { error, verifier }: LoadError) -> anyhow::Error {
    let error = anyhow!(error).context(format!("the kernel refuses eBPF program {name}"));
    if verifier.is_empty() {
        error
    } else {
        error.context(format!("the verifier says:\n{verifier}\n"))
    }
}

/// aya loads and attaches these by itself, in modules too.
fn load_kprobe(name: &str, program: &mut KProbe) -> Result<OwnedFd> {
    if program.fd().is_err() {
        program
            .load()
            .with_context(|| format!("the kernel refuses eBPF program {name}"))?;
    }
    let fd = program
        .fd()
        .with_context(|| format!("eBPF program {name}"))?;
    fd.as_fd()
        .try_clone_to_owned()
        .with_context(|| format!("eBPF program {name}"))
}

fn attach_one(program: &Program, object: &mut Object, fd: BorrowedFd<'_>) -> Result<Link> {
    let name = program.name;
    match program.hook {
        Hook::Fentry(place) | Hook::Fexit(place) | Hook::Tracepoint(place) => sys::attach(fd)
            .with_context(|| format!("cannot attach eBPF program {name} to {place}"))
            .map(|fd| Link::Descriptor { _fd: fd }),
        Hook::Kprobe(function) => attach_kprobe(object.kprobe(name)?, function),
    }
}

fn attach_kprobe(program: &mut KProbe, function: &str) -> Result<Link> {
    let link = program
        .attach(function, 0)
        .and_then(|id| program.take_link(id))
        .with_context(|| format!("cannot attach a kprobe to {function}"))?;
    Ok(Link::Kprobe { _link: link })
}
