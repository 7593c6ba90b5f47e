//! Assembles small BTFs by hand for the tests of their reader.

use std::iter;

use crate::btf::{
    Btf, Value,
    record::{ARRAY, CONST, ENUM, ENUM64, FUNC, FUNC_PROTO, INT, PTR, STRUCT, TYPEDEF, UNION},
};

/// BTF under construction. Every method that adds a type returns its id.
pub(crate) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    next_id: u32,
    first_string: u32,
}

impl Builder {
    /// A BTF that stands alone.
    pub(crate) fn new() -> Self {
        Builder {
            types: Vec::new(),
            strings: vec![0],
            next_id: 1,
            first_string: 0,
        }
    }

    /// The BTF of a module on top of `base`.
    pub(crate) fn split(base: &Btf) -> Self {
        let (next_id, first_string) = base.end().unwrap();
        Builder {
            types: Vec::new(),
            strings: Vec::new(),
            next_id,
            first_string,
        }
    }

    /// Adds a record: kind, kind flag, name, number of elements, size or type,
    /// and the words after these.
    pub(super) fn record(
        &mut self,
        (kind, flag): (u32, bool),
        name: &str,
        elements: usize,
        size_or_type: u32,
        tail: &[u32],
    ) -> u32 {
        let info = u32::from(flag) << 31 | kind << 24 | u32::try_from(elements).unwrap();
        let name = self.string(name);
        for word in [name, info, size_or_type].iter().chain(tail) {
            self.types.extend(word.to_ne_bytes());
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// A kind without elements: pointer, qualifier, typedef, declaration.
    pub(super) fn plain(&mut self, kind: u32, name: &str, size_or_type: u32) -> u32 {
        self.record((kind, false), name, 0, size_or_type, &[])
    }

    /// An unsigned integer that fills `size` bytes.
    pub(crate) fn int(&mut self, name: &str, size: u32) -> u32 {
        self.narrow_int(name, size, size * 8)
    }

    /// An integer of `bits` bits in `size` bytes.
    pub(super) fn narrow_int(&mut self, name: &str, size: u32, bits: u32) -> u32 {
        self.record((INT, false), name, 0, size, &[bits])
    }

    /// An array of `length` elements.
    pub(crate) fn array(&mut self, element: u32, length: u32) -> u32 {
        self.record((ARRAY, false), "", 0, 0, &[element, 1, length])
    }

    /// A struct with (name, type, offset in bits) members.
    pub(crate) fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate((STRUCT, false), name, size, members)
    }

    /// A union with (name, type, offset in bits) members.
    pub(crate) fn union(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate((UNION, false), name, size, members)
    }

    /// A struct or union with (name, type, offset word) members.
    pub(super) fn aggregate(
        &mut self,
        kind: (u32, bool),
        name: &str,
        size: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let tail: Vec<u32> = members
            .iter()
            .flat_map(|&(name, of, offset)| [self.string(name), of, offset])
            .collect();
        self.record(kind, name, members.len(), size, &tail)
    }

    /// An enum of 32-bit values.
    pub(crate) fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, u32)]) -> u32 {
        let tail: Vec<u32> = values
            .iter()
            .flat_map(|&(name, value)| [self.string(name), value])
            .collect();
        self.record((ENUM, signed), name, values.len(), 4, &tail)
    }

    /// An enum of 64-bit values.
    pub(super) fn wide_enumeration(&mut self, name: &str, values: &[(&str, u64)]) -> u32 {
        let tail: Vec<u32> = values
            .iter()
            .flat_map(|&(name, value)| {
                let [low, high] = [value & 0xffff_ffff, value >> 32];
                let half = |half: u64| u32::try_from(half).unwrap();
                [self.string(name), half(low), half(high)]
            })
            .collect();
        self.record((ENUM64, false), name, values.len(), 8, &tail)
    }

    /// A prototype with parameters of those names.
    pub(super) fn prototype(&mut self, parameters: &[&str]) -> u32 {
        let tail: Vec<u32> = parameters
            .iter()
            .flat_map(|name| [self.string(name), 0])
            .collect();
        self.record((FUNC_PROTO, false), "", parameters.len(), 0, &tail)
    }

    /// A function with parameters of those names.
    pub(super) fn function(&mut self, name: &str, parameters: &[&str]) -> u32 {
        let prototype = self.prototype(parameters);
        self.plain(FUNC, name, prototype)
    }

    /// A function with (name, value) parameters, and the types of these values.
    pub(crate) fn typed_function(
        &mut self,
        name: &str,
        parameters: &[(&str, Value)],
        returns: &Value,
    ) -> u32 {
        let prototype = self.typed_prototype(parameters, returns);
        self.plain(FUNC, name, prototype)
    }

    /// A tracepoint that passes (name, value) parameters, and the types of these.
    pub(crate) fn tracepoint(&mut self, name: &str, parameters: &[(&str, Value)]) -> u32 {
        let data = ("__data", Value::Pointer("void".into()));
        let parameters: Vec<_> = iter::once(data).chain(parameters.iter().cloned()).collect();
        let prototype = self.typed_prototype(&parameters, &Value::Void);
        let pointer = self.plain(PTR, "", prototype);
        self.plain(TYPEDEF, &format!("btf_trace_{name}"), pointer)
    }

    fn typed_prototype(&mut self, parameters: &[(&str, Value)], returns: &Value) -> u32 {
        let returns = self.value(returns);
        let mut tail = Vec::new();
        for (name, value) in parameters {
            let of = self.value(value);
            tail.extend([self.string(name), of]);
        }
        self.record((FUNC_PROTO, false), "", parameters.len(), returns, &tail)
    }

    /// A type whose values are passed like that.
    fn value(&mut self, value: &Value) -> u32 {
        match value {
            Value::Void => 0,
            Value::Integer(bytes) => self.int("integer", *bytes),
            Value::Other => self.structure("other", 16, &[]),
            Value::Pointer(name) => {
                let target = match name.strip_prefix("struct ") {
                    Some(name) => self.structure(name, 8, &[]),
                    None => 0,
                };
                let constant = self.plain(CONST, "", target);
                self.plain(PTR, "", constant)
            }
        }
    }

    /// The finished bytes.
    pub(crate) fn build(self) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_ne_bytes();
        let mut data = 0xeb9f_u16.to_ne_bytes().to_vec();
        data.extend([1, 0]);
        data.extend(24_u32.to_ne_bytes());
        data.extend(0_u32.to_ne_bytes());
        data.extend(length(&self.types));
        data.extend(length(&self.types));
        data.extend(length(&self.strings));
        data.extend(self.types);
        data.extend(self.strings);
        data
    }

    /// Offset of a new string; 0 for the empty one.
    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = self.first_string + u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        offset
    }
}
