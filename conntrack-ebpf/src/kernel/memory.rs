//! Reading kernel memory.
//!
//! Field offsets come from the layout; since that map is frozen before the programs
//! are loaded, the verifier sees constants, and what depends on an absent field
//! folds away.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use conntrack_ebpf::{ABSENT, Layout};

use super::tuple::Tuple;

/// Kernel memory that could not be read, or a field this kernel lacks.
pub struct Unreadable;

/// What reading from the kernel gives.
pub type Read<T> = Result<T, Unreadable>;

/// Copies a value out of kernel memory, `offset` bytes after `base`.
pub(super) fn read<T: Copy>(base: u64, offset: u32) -> Read<T> {
    if offset == ABSENT {
        return Err(Unreadable);
    }
    let source = base.wrapping_add(u64::from(offset)) as *const T;
    // SAFETY: the helper takes any address and fails cleanly on a bad one; `T`
    // is only ever an integer or an array or structure of integers.
    unsafe { bpf_probe_read_kernel(source) }.map_err(|_| Unreadable)
}

/// Set by user space before the load.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout::UNKNOWN;

/// A field of the layout of the running kernel. Only this field is loaded: a copy of the
/// whole layout would be made again in each program, a word at a time.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "so that the verifier sees a load from a constant address"
)]
pub(super) fn layout<T: Copy + 'static>(field: impl FnOnce(&'static Layout) -> &'static T) -> T {
    let field: *const T = field(&LAYOUT);
    // SAFETY: it points to a static. The read is volatile because user space replaces the
    // value of the source before the load.
    unsafe { field.read_volatile() }
}

/// How kernel memory is read.
pub trait Access: Copy {
    /// Copies a number out of a structure.
    fn number<T: Copy>(base: u64, offset: u32) -> Read<T>;

    /// Copies a tuple.
    fn tuple(address: u64) -> Read<Tuple>;
}

/// By a helper, which takes any address.
#[derive(Clone, Copy)]
pub struct Probed;

impl Access for Probed {
    fn number<T: Copy>(base: u64, offset: u32) -> Read<T> {
        read(base, offset)
    }

    fn tuple(address: u64) -> Read<Tuple> {
        read(address, 0)
    }
}

/// `AF_INET` (`include/linux/socket.h`).
const INET: u16 = 2;

/// By plain loads, a few instructions instead of a hundred. Only an argument of
/// a program of type tracing is such an address, and what is loaded from one:
/// the verifier knows which structure is there and, where the address turns out
/// to be bad, the load gives 0 (`btf_struct_access` in `kernel/bpf/verifier.c`,
/// 5.5 and later).
#[derive(Clone, Copy)]
pub struct Typed;

impl Access for Typed {
    fn number<T: Copy>(base: u64, offset: u32) -> Read<T> {
        if offset == ABSENT {
            return Err(Unreadable);
        }
        let source = base.wrapping_add(u64::from(offset)) as *const T;
        // SAFETY: the kernel gives the address of a structure of that type; a
        // bad one is caught by the kernel.
        Ok(unsafe { source.read_volatile() })
    }

    fn tuple(address: u64) -> Read<Tuple> {
        let word = |offset| Self::number::<u32>(address, offset).map(u32::to_ne_bytes);
        let half = |offset| Self::number::<u16>(address, offset);
        let family = half(18)?;
        let address_at = |offset| {
            let first = word(offset)?;
            // The kernel clears a tuple before it writes an address of IPv4 into it
            // (`nf_ct_get_tuple`, `net/netfilter/nf_conntrack_core.c`, 2.6.20 to 7.3).
            let rest = if family == INET {
                [[0; 4]; 3]
            } else {
                [word(offset + 4)?, word(offset + 8)?, word(offset + 12)?]
            };
            let words = [first, rest[0], rest[1], rest[2]];
            Ok(*words.as_flattened().first_chunk().ok_or(Unreadable)?)
        };
        Ok(Tuple {
            src: address_at(0)?,
            src_port: half(16)?.to_ne_bytes(),
            family,
            dst: address_at(20)?,
            dst_port: half(36)?.to_ne_bytes(),
            protocol: Self::number(address, 38)?,
            direction: Self::number(address, 39)?,
        })
    }
}
