//! A loaded module: which one, and whether anybody needs it.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// Where the kernel shows loaded modules.
const DIRECTORY: &str = "/sys/module";

/// Tells this load of a module from any other: the inode of its directory,
/// which is made anew with each load. None if it is not loaded.
pub fn instance(name: &str) -> Option<u64> {
    fs::metadata(Path::new(DIRECTORY).join(name))
        .ok()
        .map(|directory| directory.ino())
}

/// References that keep a module from being unloaded; none if it is not
/// loaded, or built in.
fn references(name: &str) -> Option<usize> {
    let path = Path::new(DIRECTORY).join(name).join("refcnt");
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Whether nobody needs a module any more, apart from `ours` references: only
/// modules hold it that nobody needs either. So is a module of conntrack after
/// the last rule is gone, until somebody unloads it.
pub fn is_idle(name: &str, ours: usize) -> bool {
    idle(name, ours, &references, &holders)
}

/// Modules that depend on it.
fn holders(name: &str) -> Vec<String> {
    let directory = Path::new(DIRECTORY).join(name).join("holders");
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

fn idle(
    name: &str,
    ours: usize,
    references: &impl Fn(&str) -> Option<usize>,
    holders: &impl Fn(&str) -> Vec<String>,
) -> bool {
    let holders_here = holders(name);
    references(name).is_some_and(|count| count == ours + holders_here.len())
        && holders_here
            .iter()
            .all(|holder| idle(holder, 0, references, holders))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_idle_if_only_idle_modules_hold_it() {
        let holders = |name: &str| -> Vec<String> {
            let list: &[&str] = match name {
                "nf_conntrack" => &["nft_ct", "nf_nat"],
                "nf_nat" => &["nft_chain_nat"],
                _ => &[],
            };
            list.iter().map(|&name| name.to_owned()).collect()
        };
        let idle = |rules, own: usize, ours| {
            let references = |name: &str| match name {
                "nf_conntrack" => Some(2 + own),
                "nf_nat" => Some(1),
                "nft_chain_nat" => Some(rules),
                "nft_ct" => Some(0),
                _ => None,
            };
            idle("nf_conntrack", ours, &references, &holders)
        };
        assert!(idle(0, 0, 0));
        assert!(idle(0, 8, 8), "our own references do not count");
        assert!(!idle(0, 8, 7), "somebody else's do");
        assert!(!idle(1, 8, 8), "a rule far above needs it");
    }

    #[test]
    fn what_is_not_loaded_is_not_idle() {
        assert!(!is_idle("no_such_module", 0));
        assert_eq!(instance("no_such_module"), None);
    }
}
