//! Kernels staged by their type information: the known ones serve, changed ones are
//! refused.

use std::sync::Arc;

use super::*;
use crate::{
    btf::builder::Builder,
    observe::{
        backend::Backend,
        programs::{
            staged::{
                BOOL, HASH, INT, NET, SKB, Staged, VOID, alloc, delete, early_drop, kfree_skb,
                known, resolve_clash, staged,
            },
            table::Program,
            types::Deletion,
        },
    },
};

fn types(functions: &[Staged], tracepoint: &[(&str, Value)]) -> Btf {
    let mut b = Builder::new();
    for function in functions {
        b.typed_function(function.name, &function.parameters, &function.returns);
    }
    b.tracepoint("kfree_skb", tracepoint);
    Btf::parse(b.build()).unwrap()
}

fn programs() -> impl Iterator<Item = &'static Program> {
    use Deletion::{Parted, PartedEarly, Whole};
    Backend::PROGRAMS.into_iter().flat_map(|backend| {
        [Whole, Parted, PartedEarly]
            .into_iter()
            .flat_map(move |deletion| Program::of(backend, deletion, true))
    })
}

/// Why programs cannot be attached there, in words; empty if they can.
fn refusal(hook: &Hook, btf: &Btf) -> String {
    match check(hook, btf) {
        Ok(()) => String::new(),
        Err(Cause::PrototypeChanged {
            hook,
            found,
            expected,
        }) => format!("{hook} {found}, not {expected}"),
        Err(cause) => panic!("{cause:?}"),
    }
}

/// The same, at the exit by fexit and at the entry by a kprobe.
fn refusals(function: Staged) -> [String; 2] {
    let name = function.name;
    let btf = types(&[function], &kfree_skb());
    [Hook::Fexit(name), Hook::Kprobe(name)].map(|hook| refusal(&hook, &btf))
}

#[test]
fn each_hook_of_each_program_is_in_the_table() {
    for program in programs() {
        let found = match program.hook {
            Hook::Kprobe(name) | Hook::Fentry(name) | Hook::Fexit(name) => find(FUNCTIONS, name),
            Hook::Tracepoint(name) | Hook::TracepointSkb(name) => find(TRACEPOINTS, name),
        };
        assert!(found.is_some(), "{program:?}");
    }
}

#[test]
fn the_known_kernels_serve() {
    let old = types(&known(), &kfree_skb());
    let mut more = kfree_skb();
    more.push(("rx_sk", pointer("struct sock")));
    let new = types(&known(), &more);
    for program in programs() {
        assert_eq!(refusal(&program.hook, &old), "");
        assert_eq!(refusal(&program.hook, &new), "");
    }
}

#[test]
fn the_running_kernel_serves() {
    let Ok(btf) = Btf::vmlinux() else {
        eprintln!("skipped: this kernel has no type information");
        return;
    };
    let kernel = Arc::new(btf);
    let module = Btf::module("nf_conntrack", Arc::clone(&kernel)).unwrap();
    let btf = module.as_ref().unwrap_or(&kernel);
    // Before 5.18 there is no reason to be read.
    let reason = btf.enum_value("skb_drop_reason", "SKB_DROP_REASON_NETFILTER_DROP");
    for program in programs() {
        if reason.is_some() || !matches!(program.hook, Hook::Tracepoint(_)) {
            assert_eq!(refusal(&program.hook, btf), "");
        }
    }
}

#[test]
fn what_has_no_types_is_not_refused() {
    let btf = Btf::parse(Builder::new().build()).unwrap();
    for program in programs() {
        assert_eq!(refusal(&program.hook, &btf), "");
    }
}

#[test]
fn names_and_wider_integers_make_no_difference() {
    let mut function = early_drop();
    function.parameters = vec![("", NET), ("_hash", Value::Integer(8))];
    function.returns = BOOL;
    assert_eq!(refusals(function), ["", ""]);
}

#[test]
fn one_more_parameter_moves_the_result_of_fexit_alone() {
    let mut function = early_drop();
    function.parameters.push(("force", BOOL));
    assert_eq!(
        refusals(function),
        ["function early_drop has 3 parameters, not 2", ""]
    );
}

#[test]
fn a_parameter_that_is_gone_is_missed() {
    let mut function = early_drop();
    function.parameters.pop();
    let expected = "function early_drop has 1 parameter, not 2";
    assert_eq!(refusals(function), [expected, expected]);
    let mut function = delete();
    function.parameters.pop();
    assert_eq!(
        refusals(function),
        ["function nf_ct_delete has 2 parameters, not 3", ""]
    );
}

#[test]
fn the_resolution_of_clashes_before_5_7_is_refused() {
    let parameters = [("net", NET), ("skb", SKB), ("ctinfo", INT), ("h", HASH)];
    assert_eq!(
        refusals(staged("nf_ct_resolve_clash", &parameters, INT)),
        [
            "function nf_ct_resolve_clash has 4 parameters, not 3",
            "function nf_ct_resolve_clash has skb as parameter 2, not it as parameter 1"
        ]
    );
}

#[test]
fn another_type_is_refused() {
    let mut function = resolve_clash();
    function.parameters[0] = ("state", pointer("struct nf_hook_state"));
    let expected = "function nf_ct_resolve_clash has struct nf_hook_state * as parameter 1, not struct \
         sk_buff *";
    assert_eq!(refusals(function), [expected, expected]);
    let mut function = alloc();
    function.parameters[1] = ("zone_id", Value::Integer(2));
    let expected = "function __nf_conntrack_alloc has a 2-byte integer as parameter 2, not struct \
                    nf_conntrack_zone *";
    assert_eq!(refusals(function), [expected, expected]);
}

#[test]
fn parameters_of_one_type_are_told_apart_by_name() {
    for (one, other, expected) in [
        (2, 3, "orig as parameter 4, not it as parameter 3"),
        (4, 5, "hash as parameter 5, not it as parameter 6"),
    ] {
        let mut function = alloc();
        function.parameters.swap(one, other);
        let expected = format!("function __nf_conntrack_alloc has {expected}");
        assert_eq!(refusals(function), [expected.clone(), expected]);
    }
}

#[test]
fn a_structure_before_what_is_read_is_refused() {
    let mut function = alloc();
    function.parameters[3].1 = Value::Other;
    let expected = "function __nf_conntrack_alloc has neither a pointer nor an integer as \
                    parameter 4, not one of the two";
    assert_eq!(refusals(function), [expected, expected]);
}

#[test]
fn another_result_is_refused() {
    let mut function = delete();
    function.returns = Value::Void;
    let expected = "function nf_ct_delete returns nothing, not a 1-byte integer";
    assert_eq!(refusals(function), [expected, expected]);
    let mut function = resolve_clash();
    function.returns = BOOL;
    let expected = "function nf_ct_resolve_clash returns a 1-byte integer, not a 4-byte integer";
    assert_eq!(refusals(function), [expected, expected]);
}

#[test]
fn a_tracepoint_with_another_order_is_refused() {
    let hook = Hook::Tracepoint("kfree_skb");
    let swapped = [("skb", SKB), ("reason", INT), ("location", VOID)];
    // The tracepoint's own type has the names here.
    assert_eq!(
        refusal(&hook, &types(&[], &swapped)),
        "tracepoint kfree_skb has reason as parameter 2, not it as parameter 3"
    );
    let unnamed = [("", SKB), ("", INT), ("", VOID)];
    assert_eq!(
        refusal(&hook, &types(&[], &unnamed)),
        "tracepoint kfree_skb has void * as parameter 3, not a 4-byte integer"
    );
}

#[test]
fn who_reads_the_packet_alone_needs_no_reason() {
    // 5.10.
    let old = types(&[], &kfree_skb()[..2]);
    assert_eq!(refusal(&Hook::TracepointSkb("kfree_skb"), &old), "");
    assert_eq!(
        refusal(&Hook::Tracepoint("kfree_skb"), &old),
        "tracepoint kfree_skb has 2 parameters, not 3"
    );
    let moved = types(&[], &[("location", VOID), ("skb", SKB)]);
    assert_eq!(
        refusal(&Hook::TracepointSkb("kfree_skb"), &moved),
        "tracepoint kfree_skb has skb as parameter 2, not it as parameter 1"
    );
}
