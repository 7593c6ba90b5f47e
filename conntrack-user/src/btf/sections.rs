//! The parts of a BTF file: its header, the section of types, the strings.

use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};

use crate::btf::record::{Record, word};

/// First two bytes of BTF, in the byte order of the machine that wrote it.
const MAGIC: u16 = 0xeb9f;

/// Finds the type section and the string section by the header.
pub(super) fn sections(data: &[u8]) -> Result<(Range<usize>, Range<usize>)> {
    let magic = data
        .first_chunk::<2>()
        .context("no BTF: the file is empty")?;
    let magic = u16::from_ne_bytes(*magic);
    if magic == MAGIC.swap_bytes() {
        bail!("this BTF has the other byte order: it is from another machine type");
    }
    ensure!(magic == MAGIC, "no BTF: it begins with {magic:#06x}");
    let version = data.get(2).copied().unwrap_or_default();
    ensure!(version == 1, "BTF version {version} is not known");
    let [header, types, types_length, strings, strings_length] =
        std::array::from_fn(|index| word(data, index + 1));
    let range = |start: Option<u32>, length: Option<u32>| {
        let start = (header? as usize).checked_add(start? as usize)?;
        let range = start..start.checked_add(length? as usize)?;
        data.get(range.clone()).map(|_| range)
    };
    let types = range(types, types_length).context("the types of the BTF are cut off")?;
    let strings = range(strings, strings_length).context("the strings of the BTF are cut off")?;
    Ok((types, strings))
}

/// Checks what look-ups rely on: the empty name at offset 0 of a base, and an
/// end to every string. A module may do without strings of its own.
pub(super) fn check_strings(strings: &[u8], split: bool) -> Result<()> {
    let begins = split || strings.first() == Some(&0);
    let ends = strings.last().map_or(split, |&last| last == 0);
    ensure!(begins && ends, "the strings of the BTF are malformed");
    Ok(())
}

/// Walks all types and notes where each begins.
pub(super) fn type_offsets(data: &[u8], section: Range<usize>) -> Result<Vec<u32>> {
    // Most records take 12 to 24 bytes.
    let mut offsets = Vec::with_capacity(section.len() / 24);
    let mut at = section.start;
    while at < section.end {
        let (_record, length) = Record::read(&data[at..section.end])
            .with_context(|| format!("type {} of the BTF is malformed", offsets.len() + 1))?;
        offsets.push(u32::try_from(at).context("the BTF is larger than 4 GiB")?);
        at += length;
    }
    Ok(offsets)
}
