//! Tests of the BTF reader on hand-made types and on this machine's kernel.

use std::{path::Path, sync::Arc};

use crate::btf::{
    Btf, Field, Function, POINTER_SIZE, Parameter, Prototype, Value,
    builder::Builder,
    record::{
        CONST, DATASEC, DECL_TAG, FLOAT, FUNC, FWD, PTR, RESTRICT, STRUCT, TYPE_TAG, TYPEDEF,
        UNION, VAR, VOLATILE,
    },
};

/// Ids that [`kernel`] gives to `unsigned int` and to `struct net`.
const UNSIGNED_INT: u32 = 2;
const NET: u32 = 10;

/// A kernel in miniature, with every kind of type.
fn kernel() -> Vec<u8> {
    let mut b = Builder::new();
    let u8_ = b.int("u8", 1);
    let u32_ = b.int("unsigned int", 4);
    let alias = b.plain(TYPEDEF, "u32", u32_);
    let constant = b.plain(CONST, "", alias);
    let volatile = b.plain(VOLATILE, "", constant);
    let tagged = b.plain(TYPE_TAG, "rcu", volatile);
    let restrict = b.plain(RESTRICT, "", tagged);
    b.plain(FWD, "ns_common", 0);
    let ns = b.structure(
        "ns_common",
        24,
        &[("ops", u32_, 0), ("inum", restrict, 128)],
    );
    let net = b.structure("net", 200, &[("passive", u32_, 0), ("ns", ns, 144 * 8)]);
    let net_pointer = b.plain(PTR, "", net);
    let matrix = b.array(u32_, 3);
    let matrix = b.array(matrix, 2);
    let union = b.aggregate(
        (UNION, false),
        "",
        8,
        &[("all", u8_, 0), ("port", alias, 0)],
    );
    let inner = b.structure("", 16, &[("", union, 64), ("net", net_pointer, 0)]);
    b.structure(
        "conn",
        64,
        &[
            ("", inner, 32 * 8),
            ("matrix", matrix, 0),
            ("inner", inner, 48 * 8),
        ],
    );
    b.enumeration("status", false, &[("SEEN", 1), ("TOP", 0x8000_0000)]);
    b.enumeration("verdict", true, &[("STOLEN", u32::MAX)]);
    b.enumeration("", false, &[("OTHER", 5)]);
    b.enumeration("", false, &[("HASH_MIN", 32)]);
    b.wide_enumeration("wide", &[("BIG", 1 << 40), ("MINUS", u64::MAX)]);
    b.function("early_drop", &["net", "hash"]);
    let variable = b.record((VAR, false), "sysctl", 0, u32_, &[1]);
    b.record((DATASEC, false), ".data", 1, 8, &[variable, 0, 4]);
    b.plain(FLOAT, "double", 8);
    b.record((DECL_TAG, false), "kfunc", 0, 22, &[u32::MAX]);
    b.build()
}

fn parsed() -> Btf {
    Btf::parse(kernel()).unwrap()
}

fn message<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().expect("it should have failed"))
}

#[test]
fn a_field_is_found_through_structs_and_qualifiers() {
    let field = parsed().field("net.ns.inum").unwrap();
    assert_eq!(
        field,
        Field {
            offset: 144 + 16,
            size: 4
        }
    );
}

#[test]
fn members_of_anonymous_members_are_members() {
    let btf = parsed();
    assert_eq!(
        btf.field("conn.port").unwrap(),
        Field {
            offset: 40,
            size: 4
        }
    );
    assert_eq!(
        btf.field("conn.all").unwrap(),
        Field {
            offset: 40,
            size: 1
        }
    );
    assert_eq!(
        btf.field("conn.inner.port").unwrap(),
        Field {
            offset: 56,
            size: 4
        }
    );
    assert_eq!(
        btf.field("conn.net").unwrap(),
        Field {
            offset: 32,
            size: POINTER_SIZE
        }
    );
}

#[test]
fn an_array_counts_whole() {
    assert_eq!(
        parsed().field("conn.matrix").unwrap(),
        Field {
            offset: 0,
            size: 24
        }
    );
}

#[test]
fn what_is_missing_is_named() {
    let btf = parsed();
    assert!(message(btf.field("tree.leaf")).contains("no struct tree"));
    assert!(message(btf.field("net.gone")).contains("no net.gone"));
    assert!(message(btf.field("conn.net.ns")).contains("no member ns"));
    assert!(message(btf.field("net")).contains("names no member"));
    assert!(message(btf.field("")).contains("no struct"));
    assert!(btf.has_field("net.passive"));
    assert!(!btf.has_field("net.gone"));
    assert_eq!(btf.optional_field("net.gone"), None);
}

#[test]
fn forward_declarations_and_empty_bodies_are_passed_over() {
    let mut b = Builder::new();
    let int = b.int("int", 4);
    b.plain(FWD, "twice", 0);
    b.structure("twice", 0, &[]);
    b.structure("twice", 8, &[("first", int, 32)]);
    b.structure("twice", 16, &[("second", int, 64)]);
    let btf = Btf::parse(b.build()).unwrap();
    assert_eq!(btf.struct_size("twice"), Some(8));
    assert!(btf.has_field("twice.first"));
    assert!(!btf.has_field("twice.second"));
    assert_eq!(btf.struct_size("int"), None);
}

#[test]
fn bitfields_are_refused() {
    let mut b = Builder::new();
    let int = b.int("int", 4);
    let three_bits = b.narrow_int("int", 4, 3);
    let members = [
        ("plain", int, 32),
        ("flagged", int, 3 << 24 | 8),
        ("byte", int, 8 << 24),
    ];
    b.aggregate((STRUCT, true), "new", 8, &members);
    b.structure("old", 8, &[("narrow", three_bits, 0), ("crooked", int, 3)]);
    let btf = Btf::parse(b.build()).unwrap();
    assert_eq!(
        btf.field("new.plain").unwrap(),
        Field { offset: 4, size: 4 }
    );
    for path in ["new.flagged", "new.byte", "old.narrow", "old.crooked"] {
        let message = message(btf.field(path));
        assert!(
            message.contains(&format!("{path} is a bitfield")),
            "{message}"
        );
    }
}

#[test]
fn enum_values_of_both_widths() {
    let btf = parsed();
    assert_eq!(btf.enum_value("status", "SEEN"), Some(1));
    assert_eq!(btf.enum_value("status", "TOP"), Some(0x8000_0000));
    assert_eq!(btf.enum_value("verdict", "STOLEN"), Some(-1));
    assert_eq!(btf.enum_value("wide", "BIG"), Some(1 << 40));
    assert_eq!(btf.enum_value("wide", "MINUS"), Some(-1));
    assert_eq!(btf.enum_value("", "HASH_MIN"), Some(32));
    assert_eq!(
        btf.enum_value("", "SEEN"),
        None,
        "a named enum is not anonymous"
    );
    assert_eq!(btf.enum_value("status", "SEE"), None);
}

#[test]
fn functions_have_ids_and_parameter_names() {
    let expected = Function {
        id: 23,
        prototype: Prototype {
            parameters: [("net", Value::Void), ("hash", Value::Void)]
                .map(|(name, value)| Parameter {
                    name: name.into(),
                    value,
                })
                .into(),
            returns: Value::Void,
        },
        in_module: false,
    };
    assert_eq!(parsed().function("early_drop"), Some(expected));
    assert_eq!(parsed().function("net"), None, "a struct is no function");
    assert_eq!(parsed().function("early"), None);
}

fn names(parameters: Vec<Parameter>) -> Vec<String> {
    parameters.into_iter().map(|it| it.name).collect()
}

#[test]
fn a_tracepoint_takes_its_names_from_the_generated_function() {
    let mut b = Builder::new();
    let named = b.prototype(&["__data", "skb"]);
    let pointer = b.plain(PTR, "", named);
    b.plain(TYPEDEF, "btf_trace_named", pointer);
    let unnamed = b.prototype(&["", "", ""]);
    let pointer = b.plain(PTR, "", unnamed);
    b.plain(TYPEDEF, "btf_trace_kfree_skb", pointer);
    b.plain(TYPEDEF, "btf_trace_alone", pointer);
    b.function("__traceiter_kfree_skb", &["too", "few"]);
    b.function("__bpf_trace_kfree_skb", &["__data", "skb", "reason"]);
    let btf = Btf::parse(b.build()).unwrap();
    let passed = |tracepoint| names(btf.tracepoint_parameters(tracepoint).unwrap());
    assert_eq!(passed("named"), ["skb"]);
    assert_eq!(passed("kfree_skb"), ["skb", "reason"]);
    assert_eq!(passed("alone"), ["", ""]);
    assert_eq!(btf.tracepoint_parameters("none"), None);
}

/// A module on top of [`kernel`]: one own struct, one own function.
fn module(base: &Arc<Btf>) -> Vec<u8> {
    let mut b = Builder::split(base);
    b.structure(
        "nf_conntrack_net",
        16,
        &[("count", UNSIGNED_INT, 0), ("net", NET, 64)],
    );
    b.function("nf_ct_delete", &["ct"]);
    b.build()
}

#[test]
fn a_split_continues_its_base() {
    let base = Arc::new(parsed());
    let split = Btf::parse_split(module(&base), Arc::clone(&base)).unwrap();
    let own = split.function("nf_ct_delete").unwrap();
    assert_eq!((own.id, own.in_module), (30, true));
    assert_eq!(names(own.prototype.parameters), ["ct"]);
    let inherited = split.function("early_drop").unwrap();
    assert_eq!(inherited, base.function("early_drop").unwrap());
    assert_eq!(split.field("nf_conntrack_net.count").unwrap().size, 4);
    assert_eq!(
        split.field("nf_conntrack_net.net.ns.inum").unwrap(),
        Field {
            offset: 8 + 160,
            size: 4
        }
    );
    assert_eq!(
        split.field("net.ns.inum").unwrap(),
        base.field("net.ns.inum").unwrap()
    );
    assert_eq!(split.enum_value("", "OTHER"), Some(5));
    assert_eq!(base.function("nf_ct_delete"), None);
}

#[test]
fn a_module_without_strings_or_types_is_its_base() {
    let base = Arc::new(parsed());
    let empty = Builder::split(&base).build();
    assert!(
        Btf::parse(empty.clone()).is_err(),
        "a base has the empty string"
    );
    let split = Btf::parse_split(empty, base).unwrap();
    assert!(split.has_field("net.ns.inum"));
}

#[test]
fn an_unknown_kind_is_an_error() {
    let mut b = Builder::new();
    b.int("int", 4);
    b.plain(20, "future", 0);
    let message = message(Btf::parse(b.build()));
    assert!(
        message.contains("type 2") && message.contains("unknown kind of type 20"),
        "{message}"
    );
}

#[test]
fn what_is_no_btf_of_this_machine_is_refused() {
    assert!(message(Btf::parse(Vec::new())).contains("empty"));
    assert!(message(Btf::parse(b"\x7fELF".to_vec())).contains("no BTF"));
    let mut swapped = kernel();
    swapped.swap(0, 1);
    assert!(message(Btf::parse(swapped)).contains("byte order"));
    let mut version = kernel();
    version[2] = 2;
    assert!(message(Btf::parse(version)).contains("version 2"));
}

#[test]
fn loops_end() {
    let mut b = Builder::new();
    b.plain(TYPEDEF, "ring", 2);
    b.plain(CONST, "", 1);
    b.array(3, 1);
    b.structure(
        "s",
        8,
        &[("ring", 1, 0), ("array", 3, 0), ("", 4, 0), ("", 5, 0)],
    );
    b.structure("", 8, &[("", 4, 0), ("", 5, 0)]);
    b.plain(FUNC, "f", 6);
    let btf = Btf::parse(b.build()).unwrap();
    assert!(btf.field("s.ring").is_err());
    assert!(btf.field("s.array").is_err());
    assert!(btf.field("s.none").is_err());
    assert_eq!(btf.function("f"), None);
}

#[test]
fn sizes_that_overflow_are_refused() {
    let mut b = Builder::new();
    let int = b.int("int", 4);
    let big = b.array(int, u32::MAX);
    let bigger = b.array(big, u32::MAX);
    b.structure("s", 8, &[("big", big, 0), ("bigger", bigger, 0)]);
    let btf = Btf::parse(b.build()).unwrap();
    assert!(btf.field("s.big").is_err());
    assert!(btf.field("s.bigger").is_err());
}

/// Asks everything; the answers do not matter, only that there are any.
fn ask_everything(btf: &Btf) {
    let paths = [
        "net.ns.inum",
        "conn.port",
        "conn.matrix",
        "conn.inner.all",
        "conn.none",
    ];
    for path in paths {
        let _ = btf.field(path);
    }
    let _ = btf.function("early_drop");
    let _ = btf.function("nf_ct_delete");
    let _ = btf.tracepoint_parameters("kfree_skb");
    let _ = btf.struct_size("conn");
    let _ = btf.enum_value("", "HASH_MIN");
    let _ = btf.enum_value("wide", "BIG");
}

#[test]
fn damaged_bytes_never_panic() {
    let whole = kernel();
    let base = Arc::new(parsed());
    let split = module(&base);
    for (bytes, base) in [(&whole, None), (&split, Some(&base))] {
        let parse = |data: Vec<u8>| match base {
            Some(base) => Btf::parse_split(data, Arc::clone(base)),
            None => Btf::parse(data),
        };
        for length in 0..bytes.len() {
            assert!(parse(bytes[..length].to_vec()).is_err(), "cut at {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(btf) = parse(damaged) {
                ask_everything(&btf);
            }
        }
        for byte in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[byte] = 0xff;
            if let Ok(btf) = parse(damaged) {
                ask_everything(&btf);
            }
        }
    }
}

#[test]
fn the_running_kernel_can_be_read() {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        eprintln!("skipped: this kernel has no /sys/kernel/btf/vmlinux");
        return;
    }
    let btf = Arc::new(Btf::vmlinux().unwrap());
    for (path, size) in [("net.ns.inum", 4), ("sk_buff._nfct", 8), ("sk_buff.len", 4)] {
        let field = btf.field(path).unwrap();
        let holder = btf.struct_size(path.split('.').next().unwrap()).unwrap();
        assert!(
            field.offset > 0 && field.offset + size <= holder,
            "{path}: {field:?}"
        );
        assert_eq!(field.size, size, "{path}");
    }
    assert!(btf.field("sk_buff.pkt_type").is_err(), "a bitfield");
    assert_eq!(
        btf.enum_value("bpf_prog_type", "BPF_PROG_TYPE_KPROBE"),
        Some(2)
    );
    let function = btf
        .function("kfree_skbmem")
        .or_else(|| btf.function("sock_setsockopt"));
    assert!(function.is_some_and(|function| !function.in_module));
    let parameters = btf.tracepoint_parameters("kfree_skb").unwrap();
    assert_eq!(names(parameters)[..2], ["skb", "location"]);
    assert!(Btf::module("no_such_module", btf).unwrap().is_none());
}
