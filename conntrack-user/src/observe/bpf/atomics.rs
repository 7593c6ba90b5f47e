//! Atomic instructions that came with 5.12. Finds out whether the kernel has them, and
//! removes them from the object if it does not.

use std::ffi::CStr;

use anyhow::{Context as _, Result};
use aya_obj::generated::bpf_insn;
use object::{Object as _, ObjectSection as _, SectionKind};

use crate::observe::bpf::sys::{self, Kind};

/// Bytes of an instruction.
const LENGTH: usize = 8;

/// `BPF_STX | BPF_ATOMIC | BPF_W` and `BPF_DW`.
const CODES: [u8; 2] = [0xc3, 0xdb];

/// `BPF_JMP | BPF_JA` to the next instruction.
const NOTHING: [u8; LENGTH] = [0x05, 0, 0, 0, 0, 0, 0, 0];

const LICENSE: &CStr = c"Dual MIT/GPL";

/// Whether the kernel accepts a program with such an instruction. The program is never run.
pub(super) fn are_known() -> bool {
    /// `*(u64 *)(r10 - 8) = r0`
    const STORE: u8 = 0x7b;
    /// `BPF_CMPXCHG`, with the flag of the instructions that came with 5.12.
    const EXCHANGE: i32 = 0xf0 | 0x01;
    let program = [
        instruction(0xb7, 0, 0, 0, 0),
        instruction(STORE, 10, 0, -8, 0),
        instruction(CODES[1], 10, 0, -8, EXCHANGE),
        instruction(0xb7, 0, 0, 0, 0),
        instruction(0x95, 0, 0, 0, 0),
    ];
    sys::load_program("ctdrop_atomics", Kind::Filter, &program, LICENSE).is_ok()
}

fn instruction(code: u8, to: u8, from: u8, off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(to, from),
        off,
        imm,
    }
}

/// The object without these instructions. Without slots the code that contains them is not
/// reached, but kernels before 5.12 check all code (`resolve_pseudo_ldimm64`,
/// `kernel/bpf/verifier.c`, 5.10).
pub(super) fn removed(object: &[u8]) -> Result<Vec<u8>> {
    let elf = object::File::parse(object).context("the embedded eBPF object")?;
    let mut without = object.to_vec();
    for section in elf.sections() {
        if section.kind() != SectionKind::Text {
            continue;
        }
        let (start, length) = section.file_range().unwrap_or_default();
        let (start, length) = (usize::try_from(start)?, usize::try_from(length)?);
        let code = without.get_mut(start..start + length);
        let (instructions, _) = code.unwrap_or_default().as_chunks_mut();
        instructions.iter_mut().for_each(remove);
    }
    Ok(without)
}

/// Replaces such an instruction by one that does nothing. All kernels have the addition that
/// returns nothing. Its immediate value is 0, and it stays.
fn remove(instruction: &mut [u8; LENGTH]) {
    let [code, _, _, _, immediate @ ..] = *instruction;
    if CODES.contains(&code) && immediate != [0; 4] {
        *instruction = NOTHING;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_in_5_12_is_removed() {
        let addition = [0xdb, 0x21, 8, 0, 0, 0, 0, 0];
        let exchange = [0xdb, 0x21, 8, 0, 0xf1, 0, 0, 0];
        let or = [0xc3, 0x21, 8, 0, 0x40, 0, 0, 0];
        let store = [0x7b, 0x21, 8, 0, 1, 0, 0, 0];
        let constant = [0x18, 1, 0, 0, 0xdb, 0, 0, 0];
        let rest_of_constant = [0, 0, 0, 0, 0xdb, 0xdb, 0xdb, 0xdb];
        let mut code = [addition, exchange, or, store, constant, rest_of_constant];
        code.iter_mut().for_each(remove);
        let without = [
            addition,
            NOTHING,
            NOTHING,
            store,
            constant,
            rest_of_constant,
        ];
        assert_eq!(code, without);
    }

    #[test]
    fn the_object_is_as_long_as_before() {
        let object = crate::observe::bpf::object::OBJECT;
        let without = removed(object).unwrap();
        assert_eq!(without.len(), object.len());
        let differ = without
            .iter()
            .zip(object)
            .filter(|(one, other)| one != other);
        assert!(differ.count() > 0, "nothing was removed");
        assert_eq!(removed(&without).unwrap(), without);
    }
}
