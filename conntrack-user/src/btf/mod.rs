//! Reader of the kernel's type information (BTF): where a field lies, what a
//! function's parameters are called, which value an enum's name has.
//!
//! Field offsets move between kernels, so nothing about them is compiled in:
//! they are looked up in `/sys/kernel/btf`. The types of a module are a *split*
//! BTF on top of the kernel's: its type ids and its string offsets continue
//! where the base ends, and whatever it does not define itself is in the base.
//!
//! The bytes are not trusted. Anything malformed is an error or an absent
//! type, never a panic, and all work is linear in the number of bytes.

mod names;
mod prototype;
mod record;
mod sections;

#[cfg(test)]
pub(crate) mod builder;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fs, io, ops::Range, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use names::Names;
pub use prototype::{Parameter, Prototype, Value};
use record::{ENUM, ENUM64, FUNC, FWD, INT, PTR, Record, STRUCT, TYPEDEF, UNION};
use sections::{check_strings, sections, type_offsets};

/// Where the kernel shows its type information, one file for itself and one
/// for each module.
const DIRECTORY: &str = "/sys/kernel/btf";

/// Longest name that is looked up, as the kernel's `KSYM_NAME_LEN`.
const LONGEST_NAME: usize = 512;

/// Longest chain of modifiers or arrays that is followed, as the kernel's own
/// `MAX_RESOLVE_DEPTH`; a longer one is a loop.
const LONGEST_CHAIN: usize = 32;

/// Size of a pointer: `ctdrop` is built for the word size of the kernel it
/// observes.
const POINTER_SIZE: u32 = usize::BITS / 8;

/// The type information of the kernel, or of one module on top of it.
pub struct Btf {
    /// The file as read.
    data: Vec<u8>,
    /// The strings within `data`.
    strings: Range<usize>,
    /// Where each type of this BTF begins within `data`, in the order of ids.
    types: Vec<u32>,
    /// Types of this BTF by name.
    names: Names,
    /// Id of the first type in `types`; ids below are the base's, or 0, void.
    first_type: u32,
    /// Offset of the first string in `strings`; offsets below are the base's.
    first_string: u32,
    /// What this BTF is split from.
    base: Option<Arc<Btf>>,
}

/// Place of a field in the memory of its outermost struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bytes from the start of the outermost struct.
    pub offset: u32,
    /// Bytes the field takes; all elements of an array.
    pub size: u32,
}

/// A function that programs may be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Type id of the function, which `BPF_PROG_LOAD` takes as `attach_btf_id`.
    pub id: u32,
    /// What it takes and returns.
    pub prototype: Prototype,
    /// Whether the function is the module's own, rather than its base's.
    pub in_module: bool,
}

impl Btf {
    /// Parses type information that stands alone.
    pub fn parse(data: Vec<u8>) -> Result<Self> {
        Self::parse_on(data, None)
    }

    /// Parses the type information of a module, which continues `base`.
    pub fn parse_split(data: Vec<u8>, base: Arc<Btf>) -> Result<Self> {
        Self::parse_on(data, Some(base))
    }

    /// The running kernel's own type information.
    pub fn vmlinux() -> Result<Self> {
        let path = format!("{DIRECTORY}/vmlinux");
        let data = fs::read(&path).with_context(|| {
            format!(
                "cannot read {path}: it needs a kernel built with CONFIG_DEBUG_INFO_BTF=y \
                 and sysfs mounted on /sys"
            )
        })?;
        Self::parse(data).with_context(|| format!("cannot use {path}"))
    }

    /// The type information of a loaded module. `None`: there is no such file,
    /// because the module is built in, is not loaded, or was built without.
    pub fn module(name: &str, base: Arc<Btf>) -> Result<Option<Self>> {
        let path = format!("{DIRECTORY}/{name}");
        match fs::read(&path) {
            Ok(data) => Self::parse_split(data, base)
                .with_context(|| format!("cannot use {path}"))
                .map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
        }
    }

    /// The function of that name, the module's own before one of the kernel.
    pub fn function(&self, name: &str) -> Option<Function> {
        self.find(name, |id, record| {
            let prototype = self.record((record.kind == FUNC).then(|| record.target())??)?;
            Some(Function {
                id,
                prototype: self.prototype(prototype)?,
                in_module: self.base.is_some() && id >= self.first_type,
            })
        })
    }

    /// Id of the type of a tracepoint, by which a program is loaded for it.
    pub fn tracepoint(&self, name: &str) -> Option<u32> {
        self.find(&format!("btf_trace_{name}"), |id, record| {
            (record.kind == TYPEDEF).then_some(id)
        })
    }

    /// The values that a tracepoint passes to its programs, in order.
    ///
    /// The tracepoint's type has the right number of parameters but, being a
    /// type of pointer, seldom their names; these come from the functions that
    /// the kernel generates for it (`__traceiter_*` since 5.10).
    pub fn tracepoint_parameters(&self, name: &str) -> Option<Vec<Parameter>> {
        let own = self.find(&format!("btf_trace_{name}"), |_, record| {
            let pointer = self.record((record.kind == TYPEDEF).then(|| record.target())??)?;
            let prototype = self.record((pointer.kind == PTR).then(|| pointer.target())??)?;
            self.prototype(prototype)
        })?;
        let own = own.parameters;
        let generated = ["__traceiter_", "__bpf_trace_"]
            .iter()
            .filter_map(|prefix| self.function(&format!("{prefix}{name}")))
            .map(|function| function.prototype.parameters)
            .find(|parameters| parameters.len() == own.len());
        let mut parameters = generated.unwrap_or(own).into_iter();
        let _data = parameters.next()?;
        Some(parameters.collect())
    }

    /// Finds the field at a path such as `net.ns.inum`: a struct's or union's
    /// name, then members. Members of anonymous members count as members.
    pub fn field(&self, path: &str) -> Result<Field> {
        let mut names = path.split('.');
        let outermost = names.next().unwrap_or_default();
        let mut holder = self.complete(outermost).with_context(|| {
            format!("the kernel's types have no struct {outermost} (for {path})")
        })?;
        let mut field = None;
        let mut offset = 0;
        for name in names {
            let (bits, member) = self
                .member(holder, name)
                .with_context(|| format!("the kernel's types have no {path}: no member {name}"))?;
            offset += bits;
            holder = self
                .resolve(member.type_id)
                .with_context(|| format!("the type of {name} in {path} is unknown"))?;
            field = Some((member, holder));
        }
        let (member, of) = field.with_context(|| format!("{path} names no member"))?;
        ensure!(
            member.bit_width == 0 && offset % 8 == 0 && of.fills_its_bytes(),
            "{path} is a bitfield: it has no address"
        );
        let size = self
            .size(of)
            .with_context(|| format!("the size of {path} is unknown"))?;
        let offset = u32::try_from(offset / 8)
            .with_context(|| format!("the offset of {path} is too large"))?;
        Ok(Field { offset, size })
    }

    /// [`Self::field`] for a field that depends on the kernel's configuration.
    pub fn optional_field(&self, path: &str) -> Option<Field> {
        self.field(path).ok()
    }

    /// Whether this kernel has the field.
    pub fn has_field(&self, path: &str) -> bool {
        self.optional_field(path).is_some()
    }

    /// Size in bytes of a struct or union.
    pub fn struct_size(&self, name: &str) -> Option<u32> {
        self.complete(name)?.size()
    }

    /// Value of an enum's variant. With an empty `enum_name`, the variant of
    /// any anonymous enum.
    pub fn enum_value(&self, enum_name: &str, variant: &str) -> Option<i64> {
        self.find(enum_name, |_, record| {
            let mut values = record.values();
            values
                .find(|&(name, _)| self.is_name(name, variant))
                .map(|(_, value)| value)
        })
    }

    /// Parses `data`, as a split of `base` if there is one.
    fn parse_on(data: Vec<u8>, base: Option<Arc<Btf>>) -> Result<Self> {
        let (type_section, strings) = sections(&data)?;
        check_strings(&data[strings.clone()], base.is_some())?;
        let types = type_offsets(&data, type_section)?;
        let (first_type, first_string) = match &base {
            Some(base) => base
                .end()
                .context("no type ids are left for the module's BTF")?,
            None => (1, 0),
        };
        let mut btf = Btf {
            data,
            strings,
            types,
            names: Names::index(std::iter::empty()),
            first_type,
            first_string,
            base,
        };
        btf.end().context("too many types or strings")?;
        btf.names = Names::index((0..btf.types.len()).map(|index| btf.indexed_name(index)));
        Ok(btf)
    }

    /// First type id and first string offset past this BTF: a split's start.
    fn end(&self) -> Option<(u32, u32)> {
        let types = u32::try_from(self.types.len()).ok()?;
        let strings = u32::try_from(self.strings.len()).ok()?;
        Some((
            self.first_type.checked_add(types)?,
            self.first_string.checked_add(strings)?,
        ))
    }

    /// The name by which an own type is looked up; `None` for the types that
    /// nobody looks up. Anonymous enums are looked up by the name `""`.
    fn indexed_name(&self, index: usize) -> Option<&[u8]> {
        let record = self.own_record(index)?;
        let name = self.name(record.name)?;
        match record.kind {
            ENUM | ENUM64 => Some(name),
            STRUCT | UNION | FUNC | TYPEDEF => Some(name).filter(|name| !name.is_empty()),
            _ => None,
        }
    }

    /// The first answer of `ask` for the types of that name, this BTF's own in
    /// the order of ids, then the base's.
    fn find<T>(&self, name: &str, mut ask: impl FnMut(u32, Record<'_>) -> Option<T>) -> Option<T> {
        let mut level = Some(self);
        while let Some(btf) = level {
            for index in btf.names.candidates(name) {
                let id = btf.first_type + u32::try_from(index).ok()?;
                let record = btf.own_record(index)?;
                if btf.is_name(record.name, name)
                    && let Some(answer) = ask(id, record)
                {
                    return Some(answer);
                }
            }
            level = btf.base.as_deref();
        }
        None
    }

    /// The first struct or union of that name that has a body. (A forward
    /// declaration is a kind of its own, and never found.)
    fn complete(&self, name: &str) -> Option<Record<'_>> {
        let id = self.find(name, |id, record| {
            let complete =
                matches!(record.kind, STRUCT | UNION) && record.members().next().is_some();
            complete.then_some(id)
        })?;
        self.record(id)
    }

    /// The member of that name, and its offset in bits from the start of
    /// `outer`, found within anonymous members too.
    fn member(&self, outer: Record<'_>, wanted: &str) -> Option<(u64, record::Member)> {
        let mut anonymous = vec![(0, outer)];
        // Each type is searched once: a second look cannot find what the first
        // did not, and nested hostile types would multiply.
        let mut seen = BTreeSet::new();
        while let Some((start, holder)) = anonymous.pop() {
            for member in holder.members() {
                let offset = start + u64::from(member.bit_offset);
                if member.name != 0 {
                    if self.is_name(member.name, wanted) {
                        return Some((offset, member));
                    }
                } else if seen.insert(member.type_id)
                    && let Some(inner) = self.resolve(member.type_id)
                {
                    anonymous.push((offset, inner));
                }
            }
        }
        None
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, id: u32) -> Option<Record<'_>> {
        let mut record = self.record(id)?;
        for _ in 0..LONGEST_CHAIN {
            if !record.is_modifier() {
                return Some(record);
            }
            record = self.record(record.target()?)?;
        }
        None
    }

    /// Size of a type in bytes; `None` if it has none or is malformed.
    fn size(&self, of: Record<'_>) -> Option<u32> {
        let mut element = of;
        let mut count = 1_u32;
        for _ in 0..LONGEST_CHAIN {
            let Some((of, length)) = element.array() else {
                let size = match element.kind {
                    PTR => POINTER_SIZE,
                    _ => element.size()?,
                };
                return size.checked_mul(count);
            };
            count = count.checked_mul(length)?;
            element = self.resolve(of)?;
        }
        None
    }

    /// What a function of that prototype takes and returns; `None` for any other
    /// type.
    fn prototype(&self, prototype: Record<'_>) -> Option<Prototype> {
        Some(Prototype {
            parameters: prototype
                .parameters()
                .map(|(name, of)| Parameter {
                    name: self.text(name),
                    value: self.value(of),
                })
                .collect(),
            returns: self.value(prototype.returns()?),
        })
    }

    /// What is passed as a value of that type.
    fn value(&self, id: u32) -> Value {
        if id == 0 {
            return Value::Void;
        }
        let Some(of) = self.resolve(id) else {
            return Value::Other;
        };
        match (of.kind, of.size(), of.target()) {
            (PTR, _, Some(target)) => Value::Pointer(self.pointee(target).into()),
            (INT | ENUM | ENUM64, Some(size), _) if size <= POINTER_SIZE => Value::Integer(size),
            _ => Value::Other,
        }
    }

    /// Name of what a pointer leads to, as C has it.
    fn pointee(&self, id: u32) -> String {
        match self.resolve(id) {
            Some(of) => match of.kind {
                STRUCT | FWD => format!("struct {}", self.text(of.name)),
                UNION => format!("union {}", self.text(of.name)),
                _ => self.text(of.name),
            },
            None => "void".to_owned(),
        }
    }

    /// The type of that id, of this BTF or of its base; `None` for void.
    fn record(&self, id: u32) -> Option<Record<'_>> {
        match id.checked_sub(self.first_type) {
            Some(index) => self.own_record(index as usize),
            None => self.base.as_deref()?.record(id),
        }
    }

    /// The `index`th type of this BTF itself.
    fn own_record(&self, index: usize) -> Option<Record<'_>> {
        let start = *self.types.get(index)? as usize;
        let (record, _length) = Record::read(self.data.get(start..)?).ok()?;
        Some(record)
    }

    /// The string at an offset, without its NUL, unless it is too long to be
    /// a name.
    fn name(&self, offset: u32) -> Option<&[u8]> {
        let rest = self.string(offset)?;
        let rest = &rest[..rest.len().min(LONGEST_NAME)];
        let end = rest.iter().position(|&byte| byte == 0)?;
        Some(&rest[..end])
    }

    /// The name at an offset as text; empty if it is none.
    fn text(&self, offset: u32) -> String {
        String::from_utf8_lossy(self.name(offset).unwrap_or_default()).into_owned()
    }

    /// Whether the string at an offset is `wanted`.
    fn is_name(&self, offset: u32, wanted: &str) -> bool {
        self.string(offset)
            .and_then(|rest| rest.strip_prefix(wanted.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// All bytes from a string's start to the end of the strings.
    fn string(&self, offset: u32) -> Option<&[u8]> {
        match offset.checked_sub(self.first_string) {
            Some(own) => self.data[self.strings.clone()].get(own as usize..),
            None => self.base.as_deref()?.string(offset),
        }
    }
}
