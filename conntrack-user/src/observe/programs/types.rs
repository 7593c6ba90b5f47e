//! The running kernel's type information, and what the compiler has made of its
//! functions.

use std::sync::Arc;

use anyhow::Result;

use crate::{btf::Btf, kernel::symbols::Symbols};

/// The running kernel's types: its own, and those of the conntrack module.
pub struct Types {
    /// Of vmlinux.
    pub kernel: Arc<Btf>,
    /// Of `nf_conntrack`, where it is a module.
    pub module: Option<Btf>,
    /// How victims are deleted.
    pub deletion: Deletion,
    symbols: Symbols,
}

impl Types {
    /// Reads them from the running kernel.
    pub fn read(symbols: Symbols) -> Result<Self> {
        let kernel = Arc::new(Btf::vmlinux()?);
        let module = Btf::module("nf_conntrack", Arc::clone(&kernel))?;
        Ok(Self {
            kernel,
            module,
            deletion: Deletion::of(&symbols),
            symbols,
        })
    }

    /// The symbol table it was told from.
    pub const fn symbols(&self) -> &Symbols {
        &self.symbols
    }
}

/// How `early_drop` deletes a victim, which is up to the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It calls `nf_ct_delete`.
    Whole,
    /// It calls a part of that function, which calls
    /// `__nf_ct_delete_from_lists` (5.19 and later).
    Parted,
    /// The same, and the function is called `nf_ct_delete_from_lists`.
    PartedEarly,
}

impl Deletion {
    fn of(symbols: &Symbols) -> Self {
        if !symbols.has("nf_ct_delete.part.0") {
            Self::Whole
        } else if symbols.has("__nf_ct_delete_from_lists") {
            Self::Parted
        } else {
            Self::PartedEarly
        }
    }
}
