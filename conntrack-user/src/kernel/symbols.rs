//! Symbols of the running kernel and its modules, `/proc/kallsyms`.

use std::{fmt, fs};

use anyhow::{Context as _, Result};
use memchr::{memmem, memrchr};

/// How the table says that a symbol is a variable: with a value, without, or either with local
/// binding (`nm(1)`).
const VARIABLES: [&str; 4] = [" D ", " d ", " B ", " b "];

/// The value of `kernel.kptr_restrict` from which on not even `CAP_SYSLOG` shows addresses
/// (`kallsyms_show_value`, `kernel/kallsyms.c`, 4.15 to 7.3).
const FROM_ALL: u32 = 2;

/// The kernel's symbol table.
#[derive(Debug)]
pub struct Symbols {
    /// As the kernel shows it.
    text: Vec<u8>,
    /// `kernel.kptr_restrict`.
    restriction: u32,
}

/// Why the address of a variable is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlocated {
    /// The kernel shows addresses only with `CAP_SYSLOG`.
    Hidden,
    /// The kernel shows no address to anybody.
    HiddenFromAll,
    /// The table has functions alone.
    FunctionsAlone,
    /// There is no variable of that name.
    Absent(&'static str),
}

/// The reason, as a clause.
impl fmt::Display for Unlocated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden => {
                f.write_str("the kernel hides the addresses of its symbols (CAP_SYSLOG is missing)")
            }
            Self::HiddenFromAll => f.write_str(
                "the kernel hides the addresses of its symbols (kernel.kptr_restrict is 2: set it \
                 to 1)",
            ),
            Self::FunctionsAlone => f.write_str(
                "the kernel's symbol table has no variables (CONFIG_KALLSYMS_ALL is not set)",
            ),
            Self::Absent(name) => write!(f, "the kernel has no variable {name}"),
        }
    }
}

impl Symbols {
    /// Reads it from the running kernel. Addresses are 0 for who may not see
    /// them (`kernel.kptr_restrict`, `CAP_SYSLOG`).
    pub fn read() -> Result<Self> {
        let path = "/proc/kallsyms";
        let text = fs::read(path).with_context(|| format!("cannot read {path}"))?;
        let restriction = fs::read_to_string("/proc/sys/kernel/kptr_restrict").ok();
        Ok(Self {
            text,
            restriction: restriction
                .and_then(|number| number.trim().parse().ok())
                .unwrap_or(0),
        })
    }

    /// Those of a table, for tests.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self {
            text: text.into(),
            restriction: 0,
        }
    }

    /// Whether there is a symbol of that name.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether there are variables in the table (`CONFIG_KALLSYMS_ALL`), not only functions.
    pub fn has_variables(&self) -> bool {
        let mut kinds = VARIABLES.iter();
        kinds.any(|kind| memmem::find(&self.text, kind.as_bytes()).is_some())
    }

    /// The address of a variable.
    pub fn address(&self, name: &'static str) -> Result<u64, Unlocated> {
        match self.find(name) {
            Some(0) if self.restriction >= FROM_ALL => Err(Unlocated::HiddenFromAll),
            Some(0) => Err(Unlocated::Hidden),
            Some(address) => Ok(address),
            None if self.has_variables() => Err(Unlocated::Absent(name)),
            None => Err(Unlocated::FunctionsAlone),
        }
    }

    /// What the compiler has made of a function that is not there under its
    /// own name: `NAME.isra.0` with fewer arguments, `NAME.constprop.0` with
    /// some known beforehand. Parts that it has split off are not the function.
    pub fn variant(&self, name: &str) -> Option<&str> {
        self.made_of(name).find(|symbol| !symbol.contains(".part."))
    }

    /// What the compiler has made of a function besides, so that some callers may call it
    /// instead: a variant, or a part split off, whose other part they have in their own code.
    pub fn detour(&self, name: &str) -> Option<&str> {
        self.made_of(name).next()
    }

    /// Functions that the compiler has made of one. Code that hardly ever runs is not called.
    fn made_of(&self, name: &str) -> impl Iterator<Item = &str> {
        let prefix = format!(" {name}.").into_bytes();
        let finder = memmem::Finder::new(&prefix).into_owned();
        let mut from = 0;
        std::iter::from_fn(move || {
            let at = from + finder.find(&self.text[from..])? + 1;
            let rest = &self.text[at..];
            let end = rest.iter().position(u8::is_ascii_whitespace);
            let end = end.unwrap_or(rest.len());
            from = at + end;
            Some(&rest[..end])
        })
        .filter_map(|symbol| std::str::from_utf8(symbol).ok())
        .filter(|symbol| !symbol.contains(".cold"))
    }

    /// Finds `name` in lines of `address type name [module]`.
    fn find(&self, name: &str) -> Option<u64> {
        let text = &self.text;
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
        let symbols = Symbols::of(
            "0 t early_drop.cold\t[nf_conntrack]\n\
              0 t early_drop_list.isra.0\t[nf_conntrack]\n\
              0 t early_drop.constprop.0.part.0\t[nf_conntrack]\n\
              0 t init_conntrack.constprop.0\t[nf_conntrack]\n\
              0 t __nf_conntrack_alloc.isra.35\n",
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
    fn callers_may_take_a_part_or_a_variant_instead() {
        let symbols = Symbols::of(
            "0 t early_drop\t[nf_conntrack]\n0 t early_drop.cold\t[nf_conntrack]\n\
             0 t early_drop.part.0\t[nf_conntrack]\n0 t nf_ct_resolve_clash.cold\n\
             0 t __nf_conntrack_alloc.constprop.0\n",
        );
        assert_eq!(symbols.detour("early_drop"), Some("early_drop.part.0"));
        assert_eq!(symbols.variant("early_drop"), None);
        assert_eq!(symbols.detour("nf_ct_resolve_clash"), None);
        let copy = Some("__nf_conntrack_alloc.constprop.0");
        assert_eq!(symbols.detour("__nf_conntrack_alloc"), copy);
    }

    #[test]
    fn finds_a_symbol_and_not_its_neighbours() {
        let symbols = Symbols::of(
            "ffffffff81000000 T _text\n\
              ffffffff82000000 D init_task\n\
              ffffffffc0a00010 d nf_conntrack_ext_genid_x\t[nf_conntrack]\n\
              0000000000000000 t nf_ct_delete.part.0\t[nf_conntrack]\n\
              ffffffffc0a00020 B nf_conntrack_ext_genid\t[nf_conntrack]\n",
        );
        assert_eq!(
            symbols.address("nf_conntrack_ext_genid"),
            Ok(0xffff_ffff_c0a0_0020)
        );
        assert!(!symbols.has("nf_conntrack"));
        // Hidden, but there.
        assert!(symbols.has("nf_ct_delete.part.0"));
        assert_eq!(
            symbols.address("nf_ct_delete.part.0"),
            Err(Unlocated::Hidden)
        );
        assert_eq!(
            symbols.address("nf_conntrack_max"),
            Err(Unlocated::Absent("nf_conntrack_max"))
        );
    }

    #[test]
    fn an_address_that_is_not_known_is_not_always_hidden() {
        let why = |text, restriction| {
            let symbols = Symbols {
                restriction,
                ..Symbols::of(text)
            };
            symbols.address("nf_conntrack_max")
        };
        let hidden = "0 T _text\n0 D init_task\n0 D nf_conntrack_max\t[nf_conntrack]\n";
        assert_eq!(why(hidden, 0), Err(Unlocated::Hidden));
        assert_eq!(why(hidden, 1), Err(Unlocated::Hidden));
        assert_eq!(why(hidden, 2), Err(Unlocated::HiddenFromAll));
        let functions = "ffffffff81000000 T _text\n";
        assert_eq!(why(functions, 2), Err(Unlocated::FunctionsAlone));
    }
}
