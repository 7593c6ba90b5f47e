//! The running kernel's type information, and what the compiler has made of its
//! functions.

use std::sync::Arc;

use conntrack_ebpf::Layout;

use crate::{
    btf::Btf,
    kernel::symbols::Symbols,
    observe::{
        failure::{Cause, LoadFailure, Step},
        programs::{blind_spots::BlindSpot, layout},
    },
};

/// Functions of the kernel that attach a trampoline to a function of the kernel, one
/// of which it has if it is built with `CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS`
/// (`kernel/trace/ftrace.c`: the first from 5.5 on, the second from 5.15 to 6.2).
const DIRECT_CALLS: [&str; 2] = ["register_ftrace_direct", "register_ftrace_direct_multi"];

/// The running kernel's types: its own, and those of the conntrack module.
pub struct Types {
    /// Of vmlinux.
    pub kernel: Arc<Btf>,
    /// Of `nf_conntrack`, where it is a module.
    pub module: Option<Btf>,
    /// Why those of the module cannot be used, if it shows some that cannot.
    pub bad_module: Option<String>,
    /// How victims are deleted.
    pub deletion: Deletion,
    /// Where the fields lie that the programs read.
    pub layout: Layout,
    /// What the programs cannot tell, for lack of a field or an address.
    pub blind_spots: Vec<BlindSpot>,
    /// The symbol table.
    pub symbols: Symbols,
}

impl Types {
    /// Reads them from the running kernel. Loads nothing into it.
    pub fn read() -> Result<Self, LoadFailure> {
        let symbols =
            Symbols::read().map_err(|error| LoadFailure::of(Step::ReadSymbols, &error))?;
        let kernel = Btf::vmlinux()
            .map(Arc::new)
            .map_err(|error| no_btf(&error))?;
        let module = Btf::module("nf_conntrack", Arc::clone(&kernel));
        Self::of(symbols, kernel, module)
    }

    /// Those of a kernel with these symbols and these types, of its own and of the module.
    pub(crate) fn of(
        symbols: Symbols,
        kernel: Arc<Btf>,
        module: anyhow::Result<Option<Btf>>,
    ) -> Result<Self, LoadFailure> {
        // Only fexit needs them.
        let (module, bad_module) = match module {
            Ok(module) => (module, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let resolved = layout::resolve(&kernel, module.as_ref(), &symbols)
            .map_err(|fields| LoadFailure::new(Step::FindFields, Cause::NoFields(fields)))?;
        Ok(Self {
            layout: resolved.layout,
            blind_spots: resolved.blind_spots,
            kernel,
            module,
            bad_module,
            deletion: Deletion::of(&symbols),
            symbols,
        })
    }

    /// The types that conntrack's functions are in.
    pub fn of_conntrack(&self) -> &Btf {
        self.module.as_ref().unwrap_or(&self.kernel)
    }

    /// Whether the kernel is built so that programs can be attached to functions.
    pub fn has_direct_calls(&self) -> bool {
        DIRECT_CALLS.iter().any(|name| self.symbols.has(name))
    }
}

fn no_btf(error: &anyhow::Error) -> LoadFailure {
    let cause = match Cause::of(error) {
        Cause::Errno(libc::ENOENT) => Cause::NoBtf,
        cause => cause,
    };
    LoadFailure::new(Step::ReadBtf, cause)
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
