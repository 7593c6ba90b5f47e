//! How the command line names choices, and what its help says of each. What is
//! chosen from does not know the command line.

use clap::{ValueEnum, builder::PossibleValue};

use crate::{
    auto::guard::Mode,
    commands::{report::Format, who::by::By as GroupBy},
    engine::by::By,
    observe::{
        arming::{ARM_AT, Arm, CALM, REST_BELOW},
        backend::Backend,
    },
    say::output::Output,
    table::filter::Family,
};

impl ValueEnum for Output {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Text => ("text", "For people"),
            Self::Json => (
                "json",
                "One JSON object a line; docs/json.md describes them",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Html, Self::Md, Self::Json]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Html => ("html", "One file for a browser, without scripts"),
            Self::Md => ("md", "Markdown"),
            Self::Json => ("json", "One JSON object; docs/json.md describes it"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Family {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Ipv4, Self::Ipv6]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Ipv4 => ("ipv4", "IPv4"),
            Self::Ipv6 => ("ipv6", "IPv6"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for By {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Flow => ("flow", "Each flow by itself"),
            Self::Src => ("src", "Source address"),
            Self::Dst => ("dst", "Destination address"),
            Self::Service => ("service", "Destination address, protocol and port"),
            Self::Netns => ("netns", "Network namespace"),
            Self::Reason => ("reason", "Reason"),
            Self::Sender => ("sender", "Process of this host that sent the packets"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for GroupBy {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            // Values that watch also has mean the same.
            Self::Src => return By::Src.to_possible_value(),
            Self::Dst => return By::Dst.to_possible_value(),
            Self::Service => return By::Service.to_possible_value(),
            Self::Netns => return By::Netns.to_possible_value(),
            Self::Owner => (
                "owner",
                "Container, pod or namespace that has the source address, or else answers",
            ),
            Self::State => ("state", "Protocol, state and progress"),
            Self::Zone => ("zone", "Conntrack zone"),
            Self::Mark => ("mark", "Mark"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Backend {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Fexit => (
                "fexit",
                "Programs at the exits of the functions that refuse: every reason, every flow",
            ),
            Self::Kprobe => (
                "kprobe",
                "Probes at entry and return of the same functions: same results, higher cost; \
                 needs no BPF trampolines",
            ),
            Self::Tracepoint => (
                "tracepoint",
                "The tracepoint of freed packets: flows of packets that got no entry; compared \
                 with the kernel's counters",
            ),
            Self::Counters => (
                "counters",
                "The kernel's counters and its log, without any program: how many packets, and \
                 no flow",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Arm {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Auto => (
                "auto",
                format!(
                    "Attach when a table is {:.0} % full, a packet is refused or an entry is \
                     evicted; detach after {} s without refused packets and evicted entries, if \
                     all tables are under {:.0} %",
                    ARM_AT * 100.0,
                    CALM.as_secs(),
                    REST_BELOW * 100.0
                ),
            ),
            Self::Always => (
                "always",
                "From the start: every refused packet is counted by flow".to_owned(),
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Mode {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Off => ("off", "Nothing"),
            Self::Plan => (
                "plan",
                "Show, once, what ctdrop fix would do, and change nothing",
            ),
            Self::Auto => (
                "auto",
                "Raise the limit at once, then make it last as ctdrop fix does",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}
