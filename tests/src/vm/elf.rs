//! What the header of a program or library says.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use object::{
    LittleEndian,
    elf::{DT_NEEDED, FileHeader64},
    read::elf::{FileHeader as _, ProgramHeader as _},
};

/// A program or a library.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// The number of its architecture.
    pub(super) machine: u16,
    /// The path of the loader that it is started by; a static program has none.
    pub(super) loader: Option<String>,
    /// The names of the libraries that it needs.
    pub(super) needed: Vec<String>,
}

impl Elf {
    /// Reads it.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&data).with_context(|| format!("{} is no program", path.display()))
    }

    fn parse(data: &[u8]) -> Result<Self> {
        let header = FileHeader64::<LittleEndian>::parse(data)?;
        let endian = header.endian()?;
        let mut loader = None;
        for segment in header.program_headers(endian, data)? {
            if let Some(path) = segment.interpreter(endian, data)? {
                loader = Some(String::from_utf8(path.to_vec())?);
            }
        }
        let sections = header.sections(endian, data)?;
        let dynamic = sections.dynamic_table(endian, data)?;
        let mut needed = Vec::new();
        for entry in &dynamic {
            if entry.tag == DT_NEEDED {
                needed.push(String::from_utf8(dynamic.string(entry)?.to_vec())?);
            }
        }
        Ok(Self {
            machine: header.e_machine(endian),
            loader,
            needed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::architecture::Architecture;

    #[test]
    fn a_program_names_its_architecture_its_loader_and_its_libraries() {
        let here = Elf::read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(here.machine, Architecture::HERE.machine());
        assert!(here.loader.unwrap().starts_with("/lib"));
        assert!(here.needed.iter().any(|name| name == "libc.so.6"));
        assert!(Elf::parse(b"#!/bin/sh\n").is_err());
    }
}
