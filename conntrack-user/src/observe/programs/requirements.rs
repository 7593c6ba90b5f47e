//! What a backend needs of the kernel, as far as it can be read without loading a
//! program.

use conntrack_ebpf::{ABSENT, Layout};

use crate::{
    kernel::{
        surroundings::{Kprobes, Surroundings},
        symbols::Symbols,
    },
    observe::{
        backend::Backend,
        failure::{Cause, LoadFailure, Step},
        programs::{
            prototypes,
            table::{Hook, Program},
            types::Types,
        },
    },
};

/// Demands all of it, and what copies of packets need if they are wanted.
pub(crate) fn check(
    backend: Backend,
    types: &Types,
    capture: bool,
    around: &Surroundings,
) -> Result<(), LoadFailure> {
    of_kernel(backend, types, around)
        .and_then(|()| {
            let mut programs = Program::of(backend, types.deletion, capture);
            programs.try_for_each(|it| target(it, types))
        })
        .map_err(|cause| LoadFailure::new(Step::FindTargets, cause))
}

fn of_kernel(backend: Backend, types: &Types, around: &Surroundings) -> Result<(), Cause> {
    match backend {
        Backend::Tracepoint if types.layout.reason_netfilter_drop == ABSENT => {
            Err(Cause::NoDropReason)
        }
        Backend::Tracepoint if lacks_drop_counter(&types.layout) => Err(Cause::NoDropCounter),
        // Switched off they could be attached all the same, and see nothing.
        Backend::Kprobe if around.kprobes != Kprobes::On => Err(Cause::Kprobes(around.kprobes)),
        Backend::Fexit => of_module(types, around),
        _ => Ok(()),
    }
}

/// Demands the type information of the module that the functions are in, if they are in one.
fn of_module(types: &Types, around: &Surroundings) -> Result<(), Cause> {
    if let Some(why) = &types.bad_module {
        return Err(Cause::BadModuleBtf(why.clone()));
    }
    match around.module_btf {
        Some(false) if around.other_module_btf => Err(Cause::ModuleBtfLeftOut),
        Some(false) => Err(Cause::NoModuleBtf),
        _ => Ok(()),
    }
}

/// Without it, nothing tells a refused packet from one that a rule dropped.
fn lacks_drop_counter(layout: &Layout) -> bool {
    [layout.net_ct_stat, layout.stat_drop, layout.array_pptrs].contains(&ABSENT)
}

/// Demands that what a program is attached to is there, and passes what the program
/// reads.
fn target(program: &Program, types: &Types) -> Result<(), Cause> {
    let btf = match program.hook {
        Hook::Kprobe(function) => {
            is_unchanged(function, &types.symbols)?;
            types.of_conntrack()
        }
        Hook::Fentry(function) | Hook::Fexit(function) => {
            is_unchanged(function, &types.symbols)?;
            let btf = types.of_conntrack();
            if btf.function(function).is_none() {
                return Err(Cause::NoFunctionType(function));
            }
            btf
        }
        Hook::Tracepoint(tracepoint) | Hook::TracepointSkb(tracepoint) => {
            if types.kernel.tracepoint(tracepoint).is_none() {
                return Err(Cause::NoTracepoint(tracepoint));
            }
            &types.kernel
        }
    };
    prototypes::check(&program.hook, btf)
}

/// Functions that are called in the file that defines them, where the compiler can have the
/// callers call something else (`net/netfilter/nf_conntrack_core.c`, 5.7 to 7.3). Of
/// `nf_ct_delete` it does, which [`Deletion`](super::types::Deletion) is for.
const CALLED_WHERE_DEFINED: [&str; 3] =
    ["early_drop", "__nf_conntrack_alloc", "nf_ct_resolve_clash"];

/// Demands that a function is there under its own name, as by any other its arguments
/// may be others, and that every call is a call of it.
fn is_unchanged(function: &'static str, symbols: &Symbols) -> Result<(), Cause> {
    if symbols.has(function) {
        return match symbols.detour(function) {
            Some(detour) if CALLED_WHERE_DEFINED.contains(&function) => {
                Err(Cause::FunctionPassedBy {
                    function,
                    detour: detour.to_owned(),
                })
            }
            _ => Ok(()),
        };
    }
    Err(match symbols.variant(function) {
        Some(variant) => Cause::FunctionChanged {
            function,
            variant: variant.to_owned(),
        },
        None => Cause::NoFunction(function),
    })
}
