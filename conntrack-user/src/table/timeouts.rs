//! The timeouts of a namespace, as its sysctls have them.

use std::{collections::BTreeMap, fs};

use crate::{
    kernel::defaults,
    table::{
        entry::{Class, TCP_ESTABLISHED},
        idle::InForce,
    },
};

/// Those of a namespace, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// By class; a class whose sysctl cannot be read is not there.
    by_class: BTreeMap<Class, u32>,
    /// What shortens the timeout of a connection with data in flight.
    in_flight: u32,
}

/// Sysctls of timeouts for data that nobody has acknowledged, below
/// `net.netfilter.nf_conntrack_`.
const IN_FLIGHT: [&str; 2] = ["tcp_timeout_unacknowledged", "tcp_timeout_max_retrans"];

/// All classes that have a sysctl of their own.
const CLASSES: [Class; 15] = [
    Class::Tcp(1),
    Class::Tcp(2),
    Class::Tcp(3),
    Class::Tcp(4),
    Class::Tcp(5),
    Class::Tcp(6),
    Class::Tcp(7),
    Class::Tcp(8),
    Class::Udp,
    Class::UdpStream,
    Class::Icmp,
    Class::Icmpv6,
    Class::Gre,
    Class::GreStream,
    Class::Generic,
];

impl Timeouts {
    /// Reads those of the namespace that the calling thread is in.
    pub fn read() -> Self {
        Self::resolve(|name| {
            fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}")).ok()
        })
    }

    /// Takes each from the text that `read` has for its sysctl.
    pub fn resolve(read: impl Fn(&str) -> Option<String>) -> Self {
        let seconds = |sysctl: &str| read(sysctl)?.trim().parse::<u32>().ok();
        let classes = CLASSES.into_iter();
        let by_class = classes.filter_map(|class| Some((class, seconds(class.sysctl()?)?)));
        Self {
            by_class: by_class.collect(),
            in_flight: IN_FLIGHT.into_iter().filter_map(seconds).max().unwrap_or(0),
        }
    }

    /// As [`Self::resolve`], of another host; where that is not known, those that make
    /// established connections idle are the kernel's defaults.
    pub fn or_default(read: impl Fn(&str) -> Option<String>) -> Self {
        Self::resolve(|name| {
            read(name).or_else(|| {
                let default = match name {
                    "tcp_timeout_established" => defaults::TCP_TIMEOUT_ESTABLISHED,
                    name if IN_FLIGHT.contains(&name) => defaults::TCP_TIMEOUT_IN_FLIGHT,
                    _ => return None,
                };
                Some(default.to_string())
            })
        })
    }

    /// Those of established TCP connections.
    pub fn established(&self) -> InForce {
        InForce {
            established: self.of(Class::Tcp(TCP_ESTABLISHED)),
            in_flight: self.in_flight,
        }
    }

    /// The timeout of a class, in seconds.
    pub fn of(&self, class: Class) -> Option<u32> {
        // SYN_SENT2 shares the sysctl of SYN_SENT.
        let class = match class {
            Class::Tcp(9) => Class::Tcp(1),
            class => class,
        };
        self.by_class.get(&class).copied()
    }

    /// Those whose timeout is longer than the shortest that can be advised.
    pub fn long(&self) -> impl Iterator<Item = (Class, u32, u32)> {
        self.by_class.iter().filter_map(|(&class, &seconds)| {
            let shortest = class.shortest()?;
            (seconds > shortest).then_some((class, seconds, shortest))
        })
    }
}
