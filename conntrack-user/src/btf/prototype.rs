//! What a function takes and returns, as far as a program that reads it can tell
//! the difference.

use std::{borrow::Cow, fmt};

/// What a function takes and returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prototype {
    /// In order.
    pub parameters: Vec<Parameter>,
    /// What the function returns.
    pub returns: Value,
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// `""` where the kernel kept none.
    pub name: String,
    /// What is passed.
    pub value: Value,
}

/// What is passed or returned. Typedefs and qualifiers make no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A pointer to a type of that name, as C has it: `struct net`. Empty if it has
    /// none.
    Pointer(Cow<'static, str>),
    /// An integer or enum of so many bytes, which one register holds.
    Integer(u32),
    /// Nothing.
    Void,
    /// Anything else, which may take any number of registers.
    Other,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(name) if name.is_empty() => f.write_str("another pointer"),
            Self::Pointer(name) => write!(f, "{name} *"),
            Self::Integer(bytes) => write!(f, "a {bytes}-byte integer"),
            Self::Void => f.write_str("nothing"),
            Self::Other => f.write_str("neither a pointer nor an integer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::{
        Btf,
        builder::Builder,
        record::{CONST, FUNC, FUNC_PROTO, FWD, PTR, TYPEDEF},
    };

    #[test]
    fn parameters_have_values_whatever_they_are_called() {
        let mut b = Builder::new();
        let unsigned = b.int("unsigned int", 4);
        let flags = b.plain(TYPEDEF, "gfp_t", unsigned);
        let long = b.int("__int128", 16);
        let reason = b.enumeration("skb_drop_reason", false, &[("CONSUMED", 1)]);
        let net = b.plain(FWD, "net", 0);
        let constant = b.plain(CONST, "", net);
        let pointer = b.plain(PTR, "", constant);
        let alias = b.plain(TYPEDEF, "net_t", pointer);
        let void = b.plain(PTR, "", 0);
        let handle = b.plain(PTR, "", void);
        let parameters = [flags, long, reason, alias, void, handle, net, 99];
        let tail: Vec<u32> = parameters.iter().flat_map(|&of| [0, of]).collect();
        let prototype = b.record((FUNC_PROTO, false), "", parameters.len(), pointer, &tail);
        b.plain(FUNC, "f", prototype);
        let found = Btf::parse(b.build()).unwrap().function("f").unwrap();
        let values: Vec<Value> = found
            .prototype
            .parameters
            .into_iter()
            .map(|it| it.value)
            .collect();
        let net = || Value::Pointer("struct net".into());
        let expected = [
            Value::Integer(4),
            Value::Other,
            Value::Integer(4),
            net(),
            Value::Pointer("void".into()),
            Value::Pointer("".into()),
            Value::Other,
            Value::Other,
        ];
        assert_eq!(values, expected);
        assert_eq!(found.prototype.returns, net());
    }
}
