//! What to do about what the logs say, on the kind of host that wrote them.

use crate::{
    kernel::{
        generation::Generation::{self, IpConntrack, NfConntrack},
        message::Wording,
    },
    logs::{
        account::{
            sums::Loaded,
            tally::PacketBounds,
            traits::{Origin, Traits},
        },
        format::event::Daemon,
    },
    say::finding::Code,
};

/// A piece of advice. [`super::words`] says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The table of `ip_conntrack` was full.
    IpConntrackFull {
        /// Packets refused.
        drops: PacketBounds,
        /// The limit as the logs say it.
        limit: Option<Limit>,
        /// What kind of host it was.
        host: HostKind,
    },
    /// The table of `nf_conntrack` was full.
    NfConntrackFull {
        /// Packets refused.
        drops: PacketBounds,
        /// What kind of host it was.
        host: HostKind,
    },
    /// Tables of network namespaces besides the host's were full.
    NamespacesFull {
        /// How many namespaces.
        namespaces: usize,
    },
    /// Tables of OpenVZ containers were full.
    ContainersFull {
        /// How many containers.
        containers: usize,
        /// The one that most lines are about.
        worst: u32,
        /// Which module.
        generation: Generation,
    },
    /// There were too many expected connections.
    ExpectationsFull {
        /// Lines that say so.
        lines: u64,
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
        /// What kind of host it was.
        host: HostKind,
    },
}

/// A limit that a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The module last began with it.
    Began(u64),
    /// It was exceeded.
    Exceeded(u64),
}

impl Limit {
    /// The limit.
    pub const fn get(self) -> u64 {
        match self {
            Self::Began(limit) | Self::Exceeded(limit) => limit,
        }
    }
}

/// What kind of host wrote the lines, as far as they show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// With Linux 2.4.
    Linux24,
    /// With OpenWrt.
    OpenWrt,
    /// With BusyBox, such as a router.
    BusyBox,
    /// Any other; with the releases of Enterprise Linux that have such a kernel, and
    /// whose restart of iptables unloads the module.
    Usual {
        /// Enterprise Linux 6.
        el6: bool,
        /// Enterprise Linux 7.
        el7: bool,
    },
}

impl Advice {
    /// What kind of finding it is.
    pub const fn code(self) -> Code {
        match self {
            Self::IpConntrackFull { .. } => Code::IpConntrackFull,
            Self::NfConntrackFull { .. } => Code::NfConntrackFull,
            Self::NamespacesFull { .. } => Code::NamespacesFull,
            Self::ContainersFull { .. } => Code::ContainersFull,
            Self::ExpectationsFull { .. } => Code::ExpectationsFull,
            Self::LimitReset { .. } => Code::LimitReset,
        }
    }
}

/// What advice follows from.
#[derive(Clone, Copy, Debug)]
pub struct LogFacts<'a> {
    /// Packets refused.
    pub drops: PacketBounds,
    /// What the lines show besides.
    pub traits: &'a Traits,
    /// Starts of conntrack.
    pub loads: &'a [Loaded],
    /// Network namespaces that were named.
    pub namespaces: usize,
    /// OpenVZ containers that were named, the one with the most lines first.
    pub containers: &'a [u32],
}

/// Gives the advice that fits.
pub fn advise(facts: &LogFacts<'_>) -> Vec<Advice> {
    let drops = facts.drops;
    let refused = drops.at_least > 0;
    let full = |generation| refused && written_by(facts, generation).next().is_some();
    let namespaces = facts.namespaces;
    [
        full(IpConntrack).then(|| Advice::IpConntrackFull {
            drops,
            limit: limit(facts),
            host: host(facts, IpConntrack),
        }),
        full(NfConntrack).then(|| Advice::NfConntrackFull {
            drops,
            host: host(facts, NfConntrack),
        }),
        (refused && namespaces > 0).then_some(Advice::NamespacesFull { namespaces }),
        containers(facts),
        (facts.traits.expectations > 0).then_some(Advice::ExpectationsFull {
            lines: facts.traits.expectations,
        }),
        limit_reset(facts),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn written_by<'a>(
    facts: &LogFacts<'a>,
    generation: Generation,
) -> impl Iterator<Item = &'a Origin> {
    let of_it = move |origin: &&Origin| origin.generation == generation;
    facts.traits.origins.iter().filter(of_it)
}

/// The kind of host that one of these modules was full on. Where the lines are of several,
/// it is the usual one.
fn host(facts: &LogFacts<'_>, generation: Generation) -> HostKind {
    let all = |such: fn(&Origin) -> bool| written_by(facts, generation).all(such);
    let any = |wording| written_by(facts, generation).any(|origin| origin.wording == wording);
    let is_2_4 = facts.traits.linux_2_4 || any(Wording::WithLimit);
    if all(|origin| origin.daemon == Daemon::OpenWrt) {
        HostKind::OpenWrt
    } else if all(|origin| origin.daemon != Daemon::Usual) {
        HostKind::BusyBox
    } else if generation == IpConntrack && is_2_4 {
        HostKind::Linux24
    } else {
        HostKind::Usual {
            el6: any(Wording::WithStop),
            el7: any(Wording::WithoutStop),
        }
    }
}

fn limit(facts: &LogFacts<'_>) -> Option<Limit> {
    let began = facts
        .loads
        .iter()
        .rev()
        .find(|loaded| loaded.load.generation == IpConntrack)
        .map(|loaded| Limit::Began(loaded.load.max));
    facts.traits.limit.map(Limit::Exceeded).or(began)
}

fn containers(facts: &LogFacts<'_>) -> Option<Advice> {
    Some(Advice::ContainersFull {
        containers: facts.containers.len(),
        worst: *facts.containers.first()?,
        generation: facts
            .traits
            .origins
            .first()
            .map_or(IpConntrack, |origin| origin.generation),
    })
}

fn limit_reset(facts: &LogFacts<'_>) -> Option<Advice> {
    let reloads = || facts.loads.iter().filter(|loaded| loaded.reload);
    let last = reloads().next_back()?.load;
    let is_known = written_by(facts, last.generation).next().is_some();
    Some(Advice::LimitReset {
        generation: last.generation,
        times: reloads().count(),
        max: last.max,
        buckets: last.buckets,
        host: if is_known {
            host(facts, last.generation)
        } else {
            HostKind::Usual {
                el6: true,
                el7: true,
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::message::Load, logs::account::moment::Moment};

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

    fn bounds(at_least: u64) -> PacketBounds {
        PacketBounds {
            at_least,
            at_most: 9,
            open: false,
        }
    }

    const fn facts(drops: PacketBounds, traits: &Traits) -> LogFacts<'_> {
        LogFacts {
            drops,
            traits,
            loads: &[],
            namespaces: 0,
            containers: &[],
        }
    }

    fn traits(origins: &[(Generation, Wording, Daemon)]) -> Traits {
        let origins = origins.iter().map(|&(generation, wording, daemon)| Origin {
            generation,
            wording,
            daemon,
        });
        Traits {
            origins: origins.collect(),
            ..Traits::default()
        }
    }

    const EL5: (Generation, Wording, Daemon) = (IpConntrack, Wording::WithStop, Daemon::Usual);
    const EL7: (Generation, Wording, Daemon) = (NfConntrack, Wording::WithoutStop, Daemon::Usual);

    #[test]
    fn advice_fits_the_module_that_wrote_the_lines() {
        let codes = |at_least, of: &[_], namespaces, containers: &[u32]| {
            let traits = traits(of);
            let advice = advise(&LogFacts {
                namespaces,
                containers,
                ..facts(bounds(at_least), &traits)
            });
            advice.into_iter().map(Advice::code).collect::<Vec<_>>()
        };
        assert_eq!(codes(1, &[EL5], 0, &[]), [Code::IpConntrackFull]);
        assert_eq!(
            codes(1, &[EL7], 2, &[]),
            [Code::NfConntrackFull, Code::NamespacesFull]
        );
        assert_eq!(
            codes(1, &[EL5], 0, &[101]),
            [Code::IpConntrackFull, Code::ContainersFull]
        );
        assert_eq!(codes(0, &[EL5, EL7], 1, &[]), []);
    }

    #[test]
    fn advice_fits_the_host_that_wrote_the_lines() {
        let usual = |el6, el7| HostKind::Usual { el6, el7 };
        let openwrt = (NfConntrack, Wording::NameTwice, Daemon::OpenWrt);
        let busybox = |as_user| (NfConntrack, Wording::WithStop, Daemon::BusyBox { as_user });
        let el6 = (NfConntrack, Wording::WithStop, Daemon::Usual);
        let new = (NfConntrack, Wording::NameTwice, Daemon::Usual);
        for (of, kind) in [
            (vec![openwrt], HostKind::OpenWrt),
            (vec![busybox(true)], HostKind::BusyBox),
            (vec![busybox(false), openwrt], HostKind::BusyBox),
            (vec![openwrt, new], usual(false, false)),
            (vec![el6], usual(true, false)),
            (vec![EL7, new], usual(false, true)),
            (vec![EL5, new], usual(false, false)),
        ] {
            let traits = traits(&of);
            assert_eq!(
                host(&facts(bounds(1), &traits), NfConntrack),
                kind,
                "{of:?}"
            );
        }
        let of_ip = |traits: &Traits| host(&facts(bounds(1), traits), IpConntrack);
        let with_limit = traits(&[(IpConntrack, Wording::WithLimit, Daemon::Usual)]);
        assert_eq!(of_ip(&with_limit), HostKind::Linux24);
        let mut traits = traits(&[EL5]);
        assert_eq!(of_ip(&traits), usual(true, false));
        traits.linux_2_4 = true;
        assert_eq!(of_ip(&traits), HostKind::Linux24);
    }

    #[test]
    fn expectations_alone_are_explained() {
        let traits = Traits {
            expectations: 3,
            ..Traits::default()
        };
        let advice = advise(&facts(bounds(0), &traits));
        assert_eq!(advice, [Advice::ExpectationsFull { lines: 3 }]);
    }

    #[test]
    fn a_reload_resets_the_limit_even_if_nothing_was_refused() {
        let loads = [
            loaded(IpConntrack, 4096, false),
            loaded(NfConntrack, 65_536, false),
            loaded(NfConntrack, 65_536, true),
        ];
        let none = Traits::default();
        let mut log = facts(bounds(0), &none);
        log.loads = &loads;
        let host = HostKind::Usual {
            el6: true,
            el7: true,
        };
        let reset = Advice::LimitReset {
            generation: NfConntrack,
            times: 1,
            max: 65_536,
            buckets: 8192,
            host,
        };
        assert_eq!(advise(&log), [reset]);
        log.loads = &loads[..2];
        assert_eq!(advise(&log), []);
        log.drops.at_least = 1;
        let mut el5 = traits(&[EL5]);
        log.traits = &el5;
        let drops = log.drops;
        let full = |limit| Advice::IpConntrackFull {
            drops,
            limit: Some(limit),
            host: HostKind::Usual {
                el6: true,
                el7: false,
            },
        };
        assert_eq!(advise(&log), [full(Limit::Began(4096))]);
        el5.limit = Some(8184);
        let log = LogFacts {
            traits: &el5,
            loads: &loads[..2],
            ..facts(drops, &none)
        };
        assert_eq!(advise(&log), [full(Limit::Exceeded(8184))]);
    }
}
