//! Kernels staged for tests: their functions, their structures and their symbols.

use std::{borrow::Cow, sync::Arc};

use crate::{
    btf::{Btf, Value, builder::Builder},
    kernel::symbols::Symbols,
    observe::{failure::LoadFailure, programs::types::Types},
};

const fn pointer(to: &'static str) -> Value {
    Value::Pointer(Cow::Borrowed(to))
}

/// A function or tracepoint as a kernel has it.
#[derive(Clone)]
pub(crate) struct Staged {
    pub(crate) name: &'static str,
    pub(crate) parameters: Vec<(&'static str, Value)>,
    pub(crate) returns: Value,
}

pub(crate) fn staged(
    name: &'static str,
    parameters: &[(&'static str, Value)],
    returns: Value,
) -> Staged {
    Staged {
        name,
        parameters: parameters.to_vec(),
        returns,
    }
}

pub(crate) const INT: Value = Value::Integer(4);
pub(crate) const BOOL: Value = Value::Integer(1);
pub(crate) const NET: Value = pointer("struct net");
pub(crate) const SKB: Value = pointer("struct sk_buff");
pub(crate) const CT: Value = pointer("struct nf_conn");
pub(crate) const ZONE: Value = pointer("struct nf_conntrack_zone");
pub(crate) const TUPLE: Value = pointer("struct nf_conntrack_tuple");
pub(crate) const HASH: Value = pointer("struct nf_conntrack_tuple_hash");
pub(crate) const VOID: Value = pointer("void");

pub(crate) fn early_drop() -> Staged {
    staged("early_drop", &[("net", NET), ("hash", INT)], INT)
}

pub(crate) fn alloc() -> Staged {
    let parameters = [
        ("net", NET),
        ("zone", ZONE),
        ("orig", TUPLE),
        ("repl", TUPLE),
        ("gfp", INT),
        ("hash", INT),
    ];
    staged("__nf_conntrack_alloc", &parameters, CT)
}

pub(crate) fn resolve_clash() -> Staged {
    let parameters = [("skb", SKB), ("h", HASH), ("reply_hash", INT)];
    staged("nf_ct_resolve_clash", &parameters, INT)
}

pub(crate) fn delete() -> Staged {
    let parameters = [("ct", CT), ("portid", INT), ("report", INT)];
    staged("nf_ct_delete", &parameters, BOOL)
}

/// Debian's 6.1.192, 6.12.117, 6.12.118 and 7.3.4, and a 6.18.44 with conntrack built
/// in, as their BTFs say; all have the same.
pub(crate) fn known() -> Vec<Staged> {
    vec![
        early_drop(),
        alloc(),
        resolve_clash(),
        delete(),
        staged("__nf_conntrack_confirm", &[("skb", SKB)], INT),
        staged("__nf_ct_delete_from_lists", &[("ct", CT)], Value::Void),
        staged("nf_ct_delete_from_lists", &[("ct", CT)], Value::Void),
        staged("nf_conntrack_hash_check_insert", &[("ct", CT)], INT),
    ]
}

/// The tracepoint of 6.1; 6.12 and later also pass `rx_sk`.
pub(crate) fn kfree_skb() -> Vec<(&'static str, Value)> {
    vec![("skb", SKB), ("location", VOID), ("reason", INT)]
}

/// What the programs read, as (path, bytes), in the order in which it lies in memory.
/// A member without a name is anonymous.
const FIELDS: [(&str, u32); 35] = [
    ("task_struct.thread_info.preempt_count", 4),
    ("task_struct.flags", 4),
    ("task_struct.stack", 8),
    ("net.ns.inum", 4),
    ("net.gen", 8),
    ("net.ct.stat", 8),
    ("net_generic.ptr", 0),
    ("ip_conntrack_stat.drop", 4),
    ("bpf_array.pptrs", 0),
    ("nf_conn.zone.id", 2),
    ("nf_conn.timeout", 4),
    ("nf_conn.tuplehash", 112),
    ("nf_conn.status", 8),
    ("nf_conn.ct_net.net", 8),
    ("nf_conn.ext", 8),
    ("nf_ct_ext.gen_id", 4),
    ("nf_conntrack_tuple_hash.hnnode", 16),
    ("nf_conntrack_tuple_hash.tuple", 40),
    ("hlist_nulls_node.next", 8),
    ("hlist_nulls_node.pprev", 8),
    ("nf_conntrack_zone.id", 2),
    ("sk_buff.dev", 8),
    ("sk_buff.sk", 8),
    ("sk_buff._skb_refdst", 8),
    ("sk_buff._nfct", 8),
    ("sk_buff.len", 4),
    ("sk_buff.data_len", 4),
    ("sk_buff.protocol", 2),
    ("sk_buff.network_header", 2),
    ("sk_buff.head", 8),
    ("sk_buff.data", 8),
    ("net_device.name", 16),
    ("net_device.nd_net.net", 8),
    ("sock.__sk_common.skc_net.net", 8),
    ("dst_entry.dev", 8),
];

/// What they read of the module's own structures.
const MODULE_FIELDS: [(&str, u32); 1] = [("nf_conntrack_net.count", 4)];

/// The type information that the module of a staged kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModuleTypes {
    Whole,
    /// None at all.
    Absent,
    /// Of another build.
    Damaged,
}

/// A kernel with conntrack as a module.
pub(crate) struct StagedKernel {
    /// Its structures, by what the programs read of them.
    pub(crate) fields: Vec<(&'static str, u32)>,
    /// Conntrack's functions.
    pub(crate) functions: Vec<Staged>,
    /// Symbols besides those of the functions.
    pub(crate) symbols: Vec<&'static str>,
    pub(crate) module: ModuleTypes,
    /// What the tracepoint passes.
    pub(crate) tracepoint: Vec<(&'static str, Value)>,
    /// Whether it has reasons of drops.
    pub(crate) reasons: bool,
}

impl StagedKernel {
    /// One on which everything works.
    pub(crate) fn good() -> Self {
        let deletion = ["__nf_ct_delete_from_lists", "nf_ct_delete_from_lists"];
        let mut functions = known();
        functions.retain(|function| !deletion.contains(&function.name));
        Self {
            fields: FIELDS.to_vec(),
            functions,
            symbols: vec!["register_ftrace_direct"],
            module: ModuleTypes::Whole,
            tracepoint: kfree_skb(),
            reasons: true,
        }
    }

    /// Renames a function's symbol. Its types keep its name in the source.
    pub(crate) fn rename(&mut self, function: &str, symbol: &'static str) {
        self.functions.retain(|it| it.name != function);
        self.symbols.push(symbol);
    }

    /// Replaces a field by another, in the same place.
    pub(crate) fn replace(&mut self, path: &str, by: (&'static str, u32)) {
        let field = self.fields.iter_mut().find(|(it, _)| *it == path);
        *field.expect("a known field") = by;
    }

    /// Its types, as ctdrop reads them.
    pub(crate) fn types(&self) -> Result<Types, LoadFailure> {
        let mut kernel = Builder::new();
        add_structures(&mut kernel, &self.fields);
        kernel.tracepoint("kfree_skb", &self.tracepoint);
        if self.reasons {
            let reasons = [("SKB_DROP_REASON_NETFILTER_DROP", 8)];
            kernel.enumeration("skb_drop_reason", false, &reasons);
        }
        let kernel = Arc::new(Btf::parse(kernel.build()).unwrap());
        let mut module = Builder::split(&kernel);
        add_structures(&mut module, &MODULE_FIELDS);
        for function in &self.functions {
            module.typed_function(function.name, &function.parameters, &function.returns);
        }
        let module = match self.module {
            ModuleTypes::Whole => Btf::parse_split(module.build(), Arc::clone(&kernel)).map(Some),
            ModuleTypes::Absent => Ok(None),
            ModuleTypes::Damaged => {
                Btf::parse_split(b"other".to_vec(), Arc::clone(&kernel)).map(Some)
            }
        };
        Types::of(Symbols::of(&self.kallsyms()), kernel, module)
    }

    /// `/proc/kallsyms`.
    fn kallsyms(&self) -> String {
        let data = "ffffffff81000000 T _stext\nffffffff82800000 D init_net\n";
        let functions = self.functions.iter().map(|function| function.name);
        let names = functions.chain(self.symbols.iter().copied());
        let lines = names.map(|name| format!("ffffffffc0a00000 t {name}\t[nf_conntrack]\n"));
        data.to_owned() + &lines.collect::<String>()
    }
}

/// Adds structures with these fields.
fn add_structures(b: &mut Builder, fields: &[(&'static str, u32)]) {
    let mut all = Vec::new();
    for (path, bytes) in fields {
        let path: Vec<&str> = path.split('.').collect();
        insert(&mut all, &path, *bytes);
    }
    for (name, shape) in &all {
        add(b, name, shape);
    }
}

/// What is in a place.
enum Shape {
    Bytes(u32),
    Members(Vec<(&'static str, Shape)>),
}

fn insert(members: &mut Vec<(&'static str, Shape)>, path: &[&'static str], bytes: u32) {
    let [name, rest @ ..] = path else { return };
    if rest.is_empty() {
        return members.push((name, Shape::Bytes(bytes)));
    }
    let at = members.iter().position(|(it, _)| it == name);
    let at = at.unwrap_or_else(|| {
        members.push((name, Shape::Members(Vec::new())));
        members.len() - 1
    });
    if let Shape::Members(inner) = &mut members[at].1 {
        insert(inner, rest, bytes);
    }
}

/// Adds a type; gives its id and its size.
fn add(b: &mut Builder, name: &str, shape: &Shape) -> (u32, u32) {
    match shape {
        Shape::Bytes(bytes) => {
            let byte = b.int("u8", 1);
            (b.array(byte, *bytes), *bytes)
        }
        Shape::Members(inner) => {
            let mut members = Vec::new();
            let mut end = 0;
            for (name, shape) in inner {
                let (of, bytes) = add(b, "", shape);
                members.push((*name, of, end * 8));
                end += bytes;
            }
            (b.structure(name, end, &members), end)
        }
    }
}
