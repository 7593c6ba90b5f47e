//! What brings conntrack when modprobe loads it.

/// Modules that cannot be loaded without conntrack, apart from those whose
/// names begin like its own.
const DEPENDENT: [&str; 16] = [
    "xt_conntrack",
    "xt_state",
    "xt_CT",
    "xt_NOTRACK",
    "xt_nat",
    "xt_MASQUERADE",
    "ipt_MASQUERADE",
    "iptable_nat",
    "ip6table_nat",
    "ip_nat",
    "ip_vs",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "openvswitch",
    "act_ct",
];

/// Whether loading a module loads conntrack.
pub(super) fn brings_conntrack(module: &str) -> bool {
    let module = module.replace('-', "_");
    ["nf_conntrack", "ip_conntrack", "nf_nat"]
        .iter()
        .any(|prefix| module.starts_with(prefix))
        || DEPENDENT.contains(&module.as_str())
}

/// Whether a command line runs modprobe for what brings conntrack.
pub(super) fn loads_conntrack(line: &str) -> bool {
    let words = line.split([' ', '\t', '\'', '"', ';']);
    let mut words = words.skip_while(|word| !word.ends_with("modprobe"));
    words.next().is_some() && words.any(brings_conntrack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_bring_conntrack() {
        assert!(brings_conntrack("nf_conntrack"));
        assert!(brings_conntrack("nf-conntrack-netlink"));
        assert!(brings_conntrack("ip_vs"));
        assert!(!brings_conntrack("br_netfilter"));
        assert!(!brings_conntrack(""));
    }
}
