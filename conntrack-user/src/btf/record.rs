//! One type record of BTF: its layout in memory, every read bounds-checked.
//!
//! Layout: <https://docs.kernel.org/bpf/btf.html#type-encoding>. A record is
//! three words (name, info, size or type), then a tail whose length follows
//! from the kind and from the number of elements.

use anyhow::{Context as _, Result, bail};

pub(super) const INT: u32 = 1;
pub(super) const PTR: u32 = 2;
pub(super) const ARRAY: u32 = 3;
pub(super) const STRUCT: u32 = 4;
pub(super) const UNION: u32 = 5;
pub(super) const ENUM: u32 = 6;
pub(super) const FWD: u32 = 7;
pub(super) const TYPEDEF: u32 = 8;
pub(super) const VOLATILE: u32 = 9;
pub(super) const CONST: u32 = 10;
pub(super) const RESTRICT: u32 = 11;
pub(super) const FUNC: u32 = 12;
pub(super) const FUNC_PROTO: u32 = 13;
pub(super) const VAR: u32 = 14;
pub(super) const DATASEC: u32 = 15;
pub(super) const FLOAT: u32 = 16;
pub(super) const DECL_TAG: u32 = 17;
pub(super) const TYPE_TAG: u32 = 18;
pub(super) const ENUM64: u32 = 19;

/// Bytes of the three words that begin every record.
const HEAD: usize = 12;

/// A type record, borrowed from the bytes that hold it.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// Offset of the name among the strings; 0 for an anonymous type.
    pub(super) name: u32,
    /// Which of the kinds above.
    pub(super) kind: u32,
    /// The kind's own flag: bitfields in a struct, signed values in an enum.
    flag: bool,
    /// Size in bytes, or the id of the type referred to: the kind decides.
    size_or_type: u32,
    /// Members, parameters, values or the like.
    tail: &'a [u8],
}

/// One member of a struct or union.
#[derive(Clone, Copy)]
pub(super) struct Member {
    /// Offset of the name among the strings; 0 for an anonymous member.
    pub(super) name: u32,
    /// Id of the member's type.
    pub(super) type_id: u32,
    /// Where the member begins, in bits from the start of its parent.
    pub(super) bit_offset: u32,
    /// Width in bits if the member is a bitfield, 0 if it is not.
    pub(super) bit_width: u32,
}

impl<'a> Record<'a> {
    /// Reads the record that begins `types` and says how many bytes it takes.
    pub(super) fn read(types: &'a [u8]) -> Result<(Self, usize)> {
        let name = word(types, 0).context("a type record is cut off")?;
        let info = word(types, 1).context("a type record is cut off")?;
        let size_or_type = word(types, 2).context("a type record is cut off")?;
        let kind = info >> 24 & 0x1f;
        let elements = (info & 0xffff) as usize;
        let end = HEAD + tail_length(kind, elements)?;
        let tail = types
            .get(HEAD..end)
            .context("a type record is cut off in its elements")?;
        let record = Record {
            name,
            kind,
            flag: info >> 31 == 1,
            size_or_type,
            tail,
        };
        Ok((record, end))
    }

    /// The id of the type that this one refers to, for kinds that refer.
    pub(super) fn target(self) -> Option<u32> {
        let refers = matches!(
            self.kind,
            PTR | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | TYPE_TAG
        );
        refers.then_some(self.size_or_type)
    }

    /// Whether the type only qualifies or renames another one.
    pub(super) fn is_modifier(self) -> bool {
        matches!(self.kind, TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG)
    }

    /// Size in bytes, for kinds whose record states it.
    pub(super) fn size(self) -> Option<u32> {
        let sized = matches!(
            self.kind,
            INT | STRUCT | UNION | ENUM | DATASEC | FLOAT | ENUM64
        );
        sized.then_some(self.size_or_type)
    }

    /// Whether an integer fills all the bits of its bytes. Compilers before
    /// the bitfield flag existed described a bitfield by an integer that does
    /// not.
    pub(super) fn fills_its_bytes(self) -> bool {
        let encoding = word(self.tail, 0).unwrap_or_default();
        let (bits, offset) = (encoding & 0xff, encoding >> 16 & 0xff);
        self.kind != INT || (offset == 0 && bits == self.size_or_type.saturating_mul(8))
    }

    /// Element type and number of elements of an array.
    pub(super) fn array(self) -> Option<(u32, u32)> {
        let is_array = self.kind == ARRAY;
        is_array
            .then(|| Some((word(self.tail, 0)?, word(self.tail, 2)?)))
            .flatten()
    }

    /// Members of a struct or union; none for other kinds.
    pub(super) fn members(self) -> impl Iterator<Item = Member> {
        let tail = match self.kind {
            STRUCT | UNION => self.tail,
            _ => &[],
        };
        words::<3>(tail).map(move |[name, type_id, offset]| {
            let (bit_offset, bit_width) = if self.flag {
                (offset & 0x00ff_ffff, offset >> 24)
            } else {
                (offset, 0)
            };
            Member {
                name,
                type_id,
                bit_offset,
                bit_width,
            }
        })
    }

    /// Names (as string offsets) and types of a function prototype's parameters;
    /// none for other kinds.
    pub(super) fn parameters(self) -> impl Iterator<Item = (u32, u32)> {
        let tail = match self.kind {
            FUNC_PROTO => self.tail,
            _ => &[],
        };
        words::<2>(tail).map(|[name, of]| (name, of))
    }

    /// Type of what a function of this prototype returns; 0 is void.
    pub(super) fn returns(self) -> Option<u32> {
        (self.kind == FUNC_PROTO).then_some(self.size_or_type)
    }

    /// Names (as string offsets) and values of an enum; none for other kinds.
    ///
    /// Before Linux 6.0 no enum was marked as signed: there, a negative value
    /// shows as its 32 bits read without sign.
    pub(super) fn values(self) -> impl Iterator<Item = (u32, i64)> {
        let narrow = words::<2>(if self.kind == ENUM { self.tail } else { &[] });
        let wide = words::<3>(if self.kind == ENUM64 { self.tail } else { &[] });
        narrow
            .map(move |[name, value]| {
                let value = if self.flag {
                    i64::from(value.cast_signed())
                } else {
                    i64::from(value)
                };
                (name, value)
            })
            .chain(wide.map(|[name, low, high]| {
                let value = u64::from(high) << 32 | u64::from(low);
                (name, value.cast_signed())
            }))
    }
}

/// Bytes after the three words, for a kind with so many elements.
fn tail_length(kind: u32, elements: usize) -> Result<usize> {
    Ok(match kind {
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => elements * 12,
        ENUM | FUNC_PROTO => elements * 8,
        PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
        _ => bail!(
            "unknown kind of type {kind}: this kernel is newer than this version of ctdrop supports"
        ),
    })
}

/// The `index`th 32-bit word of `bytes`, in this machine's byte order.
pub(super) fn word(bytes: &[u8], index: usize) -> Option<u32> {
    let (words, _rest) = bytes.as_chunks::<4>();
    words.get(index).map(|word| u32::from_ne_bytes(*word))
}

/// The elements of a tail, `N` words each.
fn words<const N: usize>(tail: &[u8]) -> impl Iterator<Item = [u32; N]> {
    let (words, _rest) = tail.as_chunks::<4>();
    let (elements, _rest) = words.as_chunks::<N>();
    elements
        .iter()
        .map(|element| element.map(u32::from_ne_bytes))
}
