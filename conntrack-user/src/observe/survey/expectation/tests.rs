//! Kernels with backports, as distributions have them: which backend is chosen, and what is
//! said of the better ones.

use std::sync::Arc;

use super::*;
use crate::observe::{
    programs::staged::{BOOL, ModuleTypes, StagedKernel},
    survey::unusable::Unusable,
};

/// The backend that such a kernel gets, and why the better ones do not do.
fn chosen(kernel: &StagedKernel, around: &Surroundings) -> (Backend, Vec<String>) {
    let around = Arc::new(around.clone());
    let expectation = Expectation {
        around: &around,
        types: kernel.types(),
    };
    let mut why = Vec::new();
    for backend in Backend::PROGRAMS {
        match expectation.of_programs(backend) {
            Ok(()) => return (backend, why),
            Err(failure) => why.push(Unusable::new(backend, failure, &around).why()),
        }
    }
    (Backend::Counters, why)
}

#[track_caller]
fn assert_chosen(kernel: &StagedKernel, backend: Backend, why: &[&str]) {
    let (chosen, said) = chosen(kernel, &Surroundings::good());
    assert_eq!(chosen, backend, "{said:?}");
    assert_eq!(said, why);
}

#[test]
fn a_kernel_as_distributions_have_it_gets_fexit() {
    assert_chosen(&StagedKernel::good(), Backend::Fexit, &[]);
}

#[test]
fn a_renamed_function_leaves_the_tracepoint() {
    for (symbol, suffix) in [
        ("early_drop.isra.0", "isra.0"),
        ("early_drop.constprop.0", "constprop.0"),
        ("early_drop.isra.0.constprop.1", "isra.0.constprop.1"),
    ] {
        let mut kernel = StagedKernel::good();
        kernel.rename("early_drop", symbol);
        let why = format!(
            "the compiler has changed the kernel's function early_drop to early_drop.{suffix}, \
             whose arguments may differ"
        );
        assert_chosen(&kernel, Backend::Tracepoint, &[&why, &why]);
    }
}

#[test]
fn an_inlined_function_leaves_the_tracepoint() {
    let why = "the kernel has no function early_drop: the compiler has inlined it or left it out";
    let mut kernel = StagedKernel::good();
    kernel.functions.retain(|it| it.name != "early_drop");
    assert_chosen(&kernel, Backend::Tracepoint, &[why, why]);
    // What is left of it is not the function.
    kernel.symbols.push("early_drop.part.0");
    assert_chosen(&kernel, Backend::Tracepoint, &[why, why]);
}

#[test]
fn a_function_that_some_calls_pass_by_is_not_relied_on() {
    for (function, symbol) in [
        ("early_drop", "early_drop.part.0"),
        ("__nf_conntrack_alloc", "__nf_conntrack_alloc.constprop.0"),
        ("nf_ct_resolve_clash", "nf_ct_resolve_clash.isra.0"),
    ] {
        let mut kernel = StagedKernel::good();
        kernel.symbols.push(symbol);
        let why = format!(
            "the compiler has made {symbol} of the kernel's function {function}, so that some calls \
             pass it by"
        );
        assert_chosen(&kernel, Backend::Tracepoint, &[&why, &why]);
    }
    let mut kernel = StagedKernel::good();
    kernel
        .symbols
        .extend(["early_drop.cold", "early_drop_list.constprop.0"]);
    assert_chosen(&kernel, Backend::Fexit, &[]);
    // Only other files call this one.
    kernel.symbols.push("__nf_conntrack_confirm.part.0");
    assert_chosen(&kernel, Backend::Fexit, &[]);
}

#[test]
fn a_deletion_in_parts_is_followed_where_the_compiler_put_it() {
    let mut kernel = StagedKernel::good();
    kernel.symbols.push("nf_ct_delete.part.0");
    let why = "the kernel has no function __nf_ct_delete_from_lists: the compiler has inlined it or \
               left it out";
    let kprobes = "the kernel has no function nf_ct_delete_from_lists: the compiler has inlined it \
                   or left it out";
    assert_chosen(&kernel, Backend::Tracepoint, &[why, kprobes]);
    kernel.symbols.push("nf_ct_delete_from_lists");
    assert_chosen(&kernel, Backend::Kprobe, &[why]);
    let whole = StagedKernel::good();
    let mut functions = crate::observe::programs::staged::known();
    functions.retain(|it| it.name != "nf_ct_delete_from_lists");
    let parted = StagedKernel {
        functions,
        symbols: [&whole.symbols[..], &["nf_ct_delete.part.0"]].concat(),
        ..whole
    };
    assert_chosen(&parted, Backend::Fexit, &[]);
}

#[test]
fn fields_that_moved_are_found_where_they_are() {
    let offset = |kernel: &StagedKernel| kernel.types().unwrap().layout.ct_net;
    let before = offset(&StagedKernel::good());
    let mut kernel = StagedKernel::good();
    kernel.fields.insert(0, ("nf_conn.backported", 24));
    assert_chosen(&kernel, Backend::Fexit, &[]);
    assert_eq!(offset(&kernel), before + 24);
    // A member renamed for the sake of old modules lies beside the new one, in a union without
    // a name (`RH_KABI_REPLACE`).
    let mut wrapped = StagedKernel::good();
    wrapped.replace("nf_conn.ct_net.net", ("nf_conn..ct_net.net", 8));
    assert_chosen(&wrapped, Backend::Fexit, &[]);
    assert_eq!(offset(&wrapped), before);
}

#[test]
fn a_field_of_another_name_or_size_stops_every_program_and_is_named() {
    for (path, by, lacks) in [
        ("nf_conn.status", ("nf_conn.state", 8), "nf_conn.status"),
        (
            "nf_conn.status",
            ("nf_conn.status", 4),
            "nf_conn.status of 8 bytes (it has 4)",
        ),
        ("sk_buff._nfct", ("sk_buff.nfct", 8), "sk_buff._nfct"),
    ] {
        let mut kernel = StagedKernel::good();
        kernel.replace(path, by);
        let why = format!(
            "this kernel's type information lacks {lacks}, so ctdrop cannot read its packets: please \
             report the kernel's release"
        );
        assert_chosen(&kernel, Backend::Counters, &[&why, &why, &why]);
    }
}

#[test]
fn one_more_argument_leaves_kprobes() {
    let mut kernel = StagedKernel::good();
    kernel.functions[0].parameters.push(("force", BOOL));
    let why = "this kernel's function early_drop has 3 parameters, and ctdrop expects 2; please \
               report this, with what ctdrop probe -o json says";
    assert_chosen(&kernel, Backend::Kprobe, &[why]);
}

#[test]
fn a_kernel_without_reasons_of_drops_leaves_the_counters() {
    let mut kernel = StagedKernel::good();
    kernel.rename("early_drop", "early_drop.isra.0");
    kernel.reasons = false;
    kernel.tracepoint.pop();
    let renamed = "the compiler has changed the kernel's function early_drop to early_drop.isra.0, \
                   whose arguments may differ";
    let reasons =
        "this kernel does not give the reason of a dropped packet: Linux 5.18 and later do";
    assert_chosen(&kernel, Backend::Counters, &[renamed, renamed, reasons]);
}

#[test]
fn types_of_the_module_are_needed_by_fexit_alone() {
    let mut kernel = StagedKernel::good();
    let entries = |kernel: &StagedKernel| {
        let layout = kernel.types().unwrap().layout;
        [layout.generic_ptr, layout.generic_count]
    };
    assert_eq!(entries(&kernel), [0, 0]);
    kernel.module = ModuleTypes::Absent;
    let without = |other_module_btf, release| Surroundings {
        module_btf: Some(false),
        other_module_btf,
        release: Some(release),
        ..Surroundings::good()
    };
    let built = "module nf_conntrack has no type information: modules have it since Linux 5.11, if \
                 the kernel is built with CONFIG_DEBUG_INFO_BTF_MODULES=y";
    let left_out = "module nf_conntrack has no type information though other modules have: it was \
                    stripped, or is of another build than the kernel, which then refuses its types; \
                    install the modules of this kernel again and load them";
    for (around, why) in [
        (without(false, (5, 14)), built),
        (without(false, (4, 18)), built),
        (without(true, (5, 14)), left_out),
    ] {
        assert_eq!(
            chosen(&kernel, &around),
            (Backend::Kprobe, vec![why.to_owned()])
        );
    }
    kernel.module = ModuleTypes::Damaged;
    let (backend, why) = chosen(&kernel, &Surroundings::good());
    assert_eq!(backend, Backend::Kprobe);
    assert!(
        why[0].starts_with("the type information of module nf_conntrack cannot be used (")
            && why[0].ends_with("install the modules of this kernel again and load them"),
        "{why:?}"
    );
    // How many entries a namespace has is in the module's own structures.
    assert_eq!(entries(&kernel), [conntrack_ebpf::ABSENT; 2]);
}

#[test]
fn a_kernel_that_cannot_trace_functions_leaves_kprobes() {
    let mut kernel = StagedKernel::good();
    kernel.symbols.clear();
    let why = "tracing of functions (fentry, fexit) is not built in \
               (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y), or blocked by a security policy that \
               ctdrop cannot identify";
    assert_chosen(&kernel, Backend::Kprobe, &[why]);
}
