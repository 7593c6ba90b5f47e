//! What to do about what the logs say, on the kind of host that wrote them.

use std::collections::BTreeSet;

use crate::{
    kernel::generation::Generation,
    logs::account::{sums::Loaded, tally::PacketBounds},
    say::finding::Code,
};

/// A piece of advice. [`super::words`] says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The table of `ip_conntrack` was full.
    IpConntrackFull {
        /// Packets refused.
        drops: PacketBounds,
        /// The limit that the module last began with, if the logs say so.
        began_with: Option<u64>,
    },
    /// The table of `nf_conntrack` was full.
    NfConntrackFull {
        /// Packets refused.
        drops: PacketBounds,
    },
    /// Tables of network namespaces besides the host's were full.
    NamespacesFull {
        /// How many namespaces.
        namespaces: usize,
    },
    /// The module was loaded again while its kernel ran, with its default limit.
    LimitReset {
        /// Which module.
        generation: Generation,
        /// How often.
        times: usize,
        /// The limit that it last began with.
        max: u64,
        /// The buckets that it last began with.
        buckets: u64,
    },
}

impl Advice {
    /// What kind of finding it is.
    pub const fn code(self) -> Code {
        match self {
            Self::IpConntrackFull { .. } => Code::IpConntrackFull,
            Self::NfConntrackFull { .. } => Code::NfConntrackFull,
            Self::NamespacesFull { .. } => Code::NamespacesFull,
            Self::LimitReset { .. } => Code::LimitReset,
        }
    }
}

/// What advice follows from.
#[derive(Clone, Copy, Debug)]
pub struct LogFacts<'a> {
    /// Packets refused.
    pub drops: PacketBounds,
    /// The generations of conntrack that wrote lines about a full table.
    pub full: &'a BTreeSet<Generation>,
    /// Starts of conntrack.
    pub loads: &'a [Loaded],
    /// Network namespaces that were named.
    pub namespaces: usize,
}

/// Gives the advice that fits.
pub fn advise(facts: &LogFacts<'_>) -> Vec<Advice> {
    let drops = facts.drops;
    let refused = drops.at_least > 0;
    let began_with = facts
        .loads
        .iter()
        .rev()
        .find(|loaded| loaded.load.generation == Generation::IpConntrack)
        .map(|loaded| loaded.load.max);
    let full = |generation| refused && facts.full.contains(&generation);
    let namespaces = facts.namespaces;
    [
        full(Generation::IpConntrack).then_some(Advice::IpConntrackFull { drops, began_with }),
        full(Generation::NfConntrack).then_some(Advice::NfConntrackFull { drops }),
        (refused && namespaces > 0).then_some(Advice::NamespacesFull { namespaces }),
        limit_reset(facts.loads),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn limit_reset(loads: &[Loaded]) -> Option<Advice> {
    let reloads = || loads.iter().filter(|loaded| loaded.reload);
    let last = reloads().next_back()?.load;
    Some(Advice::LimitReset {
        generation: last.generation,
        times: reloads().count(),
        max: last.max,
        buckets: last.buckets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{
            generation::Generation::{IpConntrack, NfConntrack},
            message::Load,
        },
        logs::account::moment::Moment,
    };

    fn loaded(generation: Generation, max: u64, reload: bool) -> Loaded {
        Loaded {
            moment: Moment::Unknown,
            host: 0,
            load: Load {
                generation,
                buckets: max / 8,
                max,
            },
            reload,
        }
    }

    #[test]
    fn advice_fits_the_module_that_wrote_the_lines() {
        let codes = |at_least, full: &[Generation], namespaces| {
            let advice = advise(&LogFacts {
                drops: PacketBounds {
                    at_least,
                    at_most: 9,
                    open: false,
                },
                full: &full.iter().copied().collect(),
                loads: &[],
                namespaces,
            });
            advice.into_iter().map(Advice::code).collect::<Vec<_>>()
        };
        assert_eq!(codes(1, &[IpConntrack], 0), [Code::IpConntrackFull]);
        assert_eq!(
            codes(1, &[NfConntrack], 2),
            [Code::NfConntrackFull, Code::NamespacesFull]
        );
        assert_eq!(codes(0, &Generation::ALL, 1), []);
    }

    #[test]
    fn a_reload_resets_the_limit_even_if_nothing_was_refused() {
        let loads = [
            loaded(IpConntrack, 4096, false),
            loaded(NfConntrack, 65_536, false),
            loaded(NfConntrack, 65_536, true),
        ];
        let mut facts = LogFacts {
            drops: PacketBounds {
                at_least: 0,
                at_most: 0,
                open: false,
            },
            full: &BTreeSet::new(),
            loads: &loads,
            namespaces: 0,
        };
        let reset = Advice::LimitReset {
            generation: NfConntrack,
            times: 1,
            max: 65_536,
            buckets: 8192,
        };
        assert_eq!(advise(&facts), [reset]);
        facts.loads = &loads[..2];
        assert_eq!(advise(&facts), []);
        facts.drops.at_least = 1;
        let full = BTreeSet::from([IpConntrack]);
        facts.full = &full;
        let drops = facts.drops;
        let began_with = Some(4096);
        let full = Advice::IpConntrackFull { drops, began_with };
        assert_eq!(advise(&facts), [full]);
    }
}
