//! Symbols of the running kernel and its modules, `/proc/kallsyms`.

use std::fs;

use anyhow::{Context as _, Result};
use memchr::{memmem, memrchr};

/// The kernel's symbol table, as text.
#[derive(Debug)]
pub struct Symbols(Vec<u8>);

impl Symbols {
    /// Reads it from the running kernel. Addresses are 0 for who may not see
    /// them (`kernel.kptr_restrict`, `CAP_SYSLOG`).
    pub fn read() -> Result<Self> {
        let path = "/proc/kallsyms";
        let text = fs::read(path).with_context(|| format!("cannot read {path}"))?;
        Ok(Self(text))
    }

    /// Whether there is a symbol of that name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The address of a symbol; none if there is none, or if it is hidden.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.find(name).filter(|&address| address != 0)
    }

    /// What the compiler has made of a function that is not there under its
    /// own name: `NAME.isra.0` with fewer arguments, `NAME.constprop.0` with
    /// some known beforehand. Parts that it has split off are not the function.
    pub fn variant(&self, name: &str) -> Option<&str> {
        let prefix = format!(" {name}.");
        memmem::find_iter(&self.0, &prefix)
            .filter_map(|at| {
                let rest = &self.0[at + 1..];
                let end = rest.iter().position(u8::is_ascii_whitespace);
                std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()
            })
            .find(|symbol| {
                let parts = &symbol[name.len()..];
                !parts.contains(".part.") && !parts.contains(".cold")
            })
    }

    /// Finds `name` in lines of `address type name [module]`.
    fn find(&self, name: &str) -> Option<u64> {
        let text = &self.0;
        memmem::find_iter(text, &format!(" {name}"))
            .filter(|at| {
                let after = text.get(at + 1 + name.len());
                matches!(after, None | Some(b'\n' | b'\t'))
            })
            .find_map(|at| {
                let line = memrchr(b'\n', &text[..at]).map_or(0, |end| end + 1);
                let address = text[line..at].split(|&byte| byte == b' ').next()?;
                u64::from_str_radix(std::str::from_utf8(address).ok()?, 16).ok()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_the_whole_function_under_another_name() {
        let symbols = Symbols(
            b"0 t early_drop.cold\t[nf_conntrack]\n\
              0 t early_drop_list.isra.0\t[nf_conntrack]\n\
              0 t early_drop.constprop.0.part.0\t[nf_conntrack]\n\
              0 t init_conntrack.constprop.0\t[nf_conntrack]\n\
              0 t __nf_conntrack_alloc.isra.35\n"
                .to_vec(),
        );
        assert_eq!(symbols.variant("early_drop"), None);
        assert_eq!(
            symbols.variant("init_conntrack"),
            Some("init_conntrack.constprop.0")
        );
        assert_eq!(
            symbols.variant("__nf_conntrack_alloc"),
            Some("__nf_conntrack_alloc.isra.35")
        );
    }

    #[test]
    fn finds_a_symbol_and_not_its_neighbours() {
        let symbols = Symbols(
            b"ffffffff81000000 T _text\n\
              ffffffffc0a00010 d nf_conntrack_ext_genid_x\t[nf_conntrack]\n\
              0000000000000000 t nf_ct_delete.part.0\t[nf_conntrack]\n\
              ffffffffc0a00020 B nf_conntrack_ext_genid\t[nf_conntrack]\n"
                .to_vec(),
        );
        assert_eq!(
            symbols.address("nf_conntrack_ext_genid"),
            Some(0xffff_ffff_c0a0_0020)
        );
        assert!(!symbols.has("nf_conntrack"));
        // Hidden, but there.
        assert!(symbols.has("nf_ct_delete.part.0"));
        assert_eq!(symbols.address("nf_ct_delete.part.0"), None);
    }
}
