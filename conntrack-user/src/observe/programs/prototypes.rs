//! What the programs read of the functions and the tracepoint that they are attached
//! to, and whether the running kernel passes it there.
//!
//! A program finds an argument by its number. At the exit of a function by fexit it
//! finds the result behind the last argument. If a newer kernel passes something
//! else there, the program would count nonsense, so it must not be attached.

use std::borrow::Cow;

use crate::{
    btf::{Btf, Parameter, Prototype, Value},
    observe::{failure::Cause, programs::table::Hook},
    say::number::counted,
};

/// A function or tracepoint as `conntrack-ebpf/src/programs` reads it.
struct Expected {
    name: &'static str,
    parameters: &'static [Argument],
    /// What it returns; none if no program reads that.
    returns: Option<Value>,
}

/// A parameter.
struct Argument {
    name: &'static str,
    /// What is passed; none if no program reads it.
    read: Option<Value>,
}

const fn read(name: &'static str, value: Value) -> Argument {
    Argument {
        name,
        read: Some(value),
    }
}

const fn unread(name: &'static str) -> Argument {
    Argument { name, read: None }
}

const fn pointer(to: &'static str) -> Value {
    Value::Pointer(Cow::Borrowed(to))
}

/// Functions of `net/netfilter/nf_conntrack_core.c`, 5.7 to 7.3. An integer has at
/// least as many bytes as are read of it.
static FUNCTIONS: &[Expected] = &[
    Expected {
        name: "early_drop",
        parameters: &[
            read("net", pointer("struct net")),
            read("hash", Value::Integer(4)),
        ],
        returns: Some(Value::Integer(1)),
    },
    Expected {
        name: "__nf_conntrack_alloc",
        parameters: &[
            read("net", pointer("struct net")),
            read("zone", pointer("struct nf_conntrack_zone")),
            read("orig", pointer("struct nf_conntrack_tuple")),
            unread("repl"),
            unread("gfp"),
            read("hash", Value::Integer(4)),
        ],
        returns: Some(pointer("struct nf_conn")),
    },
    Expected {
        name: "nf_ct_resolve_clash",
        parameters: &[
            read("skb", pointer("struct sk_buff")),
            unread("h"),
            unread("reply_hash"),
        ],
        returns: Some(Value::Integer(4)),
    },
    Expected {
        name: "__nf_conntrack_confirm",
        parameters: &[read("skb", pointer("struct sk_buff"))],
        returns: Some(Value::Integer(4)),
    },
    Expected {
        name: "nf_ct_delete",
        parameters: &[
            read("ct", pointer("struct nf_conn")),
            unread("portid"),
            unread("report"),
        ],
        returns: Some(Value::Integer(1)),
    },
    Expected {
        name: "__nf_ct_delete_from_lists",
        parameters: &[read("ct", pointer("struct nf_conn"))],
        returns: None,
    },
    // Its name before 5.19.
    Expected {
        name: "nf_ct_delete_from_lists",
        parameters: &[read("ct", pointer("struct nf_conn"))],
        returns: None,
    },
    Expected {
        name: "nf_conntrack_hash_check_insert",
        parameters: &[read("ct", pointer("struct nf_conn"))],
        returns: Some(Value::Integer(4)),
    },
];

/// Tracepoints of `include/trace/events/skb.h`, 5.18 to 7.3, where more parameters
/// follow. Before 5.18, `kfree_skb` has no parameter `reason`.
static TRACEPOINTS: &[Expected] = &[Expected {
    name: "kfree_skb",
    parameters: &[
        read("skb", pointer("struct sk_buff")),
        unread("location"),
        read("reason", Value::Integer(4)),
    ],
    returns: None,
}];

/// Demands that the kernel passes what the programs at `hook` read. What the
/// kernel's types do not describe is taken for good.
pub(super) fn check(hook: &Hook, btf: &Btf) -> Result<(), Cause> {
    let (kind, expected, found) = match *hook {
        Hook::Kprobe(name) | Hook::Fentry(name) | Hook::Fexit(name) => {
            let found = btf.function(name).map(|function| function.prototype);
            ("function", find(FUNCTIONS, name), found)
        }
        Hook::Tracepoint(name) | Hook::TracepointSkb(name) => {
            let found = btf.tracepoint_parameters(name).map(|parameters| Prototype {
                parameters,
                returns: Value::Void,
            });
            ("tracepoint", find(TRACEPOINTS, name), found)
        }
    };
    let (Some(expected), Some(found)) = (expected, found) else {
        return Ok(());
    };
    let count = match hook {
        Hook::Fexit(_) => Count::Exactly(expected.parameters.len()),
        Hook::TracepointSkb(_) => Count::AtLeast(1),
        _ => Count::AtLeast(expected.read()),
    };
    match expected.difference(count, &found) {
        None => Ok(()),
        Some(difference) => Err(Cause::PrototypeChanged {
            hook: format!("{kind} {}", expected.name),
            found: difference.found,
            expected: difference.expected,
        }),
    }
}

fn find(table: &'static [Expected], name: &str) -> Option<&'static Expected> {
    table.iter().find(|expected| expected.name == name)
}

/// How many parameters there must be.
#[derive(Clone, Copy)]
enum Count {
    /// So many, as the result comes behind them.
    Exactly(usize),
    /// So many, as none is read of those that follow.
    AtLeast(usize),
}

/// What a kernel has, and what is expected instead, each as part of a sentence.
struct Difference {
    found: String,
    expected: String,
}

impl Expected {
    /// How many parameters there are up to the last one that is read.
    fn read(&self) -> usize {
        let last = self.parameters.iter().rposition(|it| it.read.is_some());
        last.map_or(0, |last| last + 1)
    }

    fn difference(&self, count: Count, found: &Prototype) -> Option<Difference> {
        let parameters = &found.parameters;
        let (needed, enough) = match count {
            Count::Exactly(needed) => (needed, parameters.len() == needed),
            Count::AtLeast(needed) => (needed, parameters.len() >= needed),
        };
        if !enough {
            return Some(Difference {
                found: format!("has {}", counted(parameters.len() as u64, "parameter")),
                expected: needed.to_string(),
            });
        }
        (0..needed)
            .find_map(|index| self.parameters[index].difference(index, parameters))
            .or_else(|| self.difference_of_result(&found.returns))
    }

    fn difference_of_result(&self, found: &Value) -> Option<Difference> {
        let expected = self.returns.as_ref()?;
        (!serves(found, expected)).then(|| Difference {
            found: format!("returns {found}"),
            expected: expected.to_string(),
        })
    }
}

impl Argument {
    /// What is different about the parameter that is expected at `index`.
    fn difference(&self, index: usize, found: &[Parameter]) -> Option<Difference> {
        let here = &found[index];
        let number = index + 1;
        let Some(expected) = &self.read else {
            // It may take two registers, and what follows is not where it was.
            return (here.value == Value::Other).then(|| Difference {
                found: format!("has {} as parameter {number}", here.value),
                expected: "one of the two".to_owned(),
            });
        };
        // Types alone do not tell two tuples or two integers apart. A name may
        // change, but one that is elsewhere has moved.
        let elsewhere = found.iter().position(|it| it.name == self.name);
        if let Some(elsewhere) = elsewhere
            && here.name != self.name
        {
            return Some(Difference {
                found: format!("has {} as parameter {}", self.name, elsewhere + 1),
                expected: format!("it as parameter {number}"),
            });
        }
        (!serves(&here.value, expected)).then(|| Difference {
            found: format!("has {} as parameter {number}", here.value),
            expected: expected.to_string(),
        })
    }
}

/// Whether a program that expects the one can read the other.
fn serves(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Integer(found), Value::Integer(read)) => found >= read,
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests;
