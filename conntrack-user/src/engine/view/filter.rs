//! Flows that somebody looks for: `10.0.0.0/8 :53 blue`.

use std::collections::HashMap;

use conntrack_ebpf::{FlowKey, ServiceKey};
use ipnet::IpNet;

use crate::say::{
    network::network,
    protocol::{address, has_ports, protocol_name},
    reason::reason_text,
};

/// Flows that somebody looks for, by words that all apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    /// An address, or the first bits of one: of the source or the destination.
    Net(IpNet),
    /// A port at either end.
    Port(u16),
    /// A part of the name of a namespace, a process, a reason or a protocol, in lower
    /// case.
    Name(String),
}

impl Filter {
    /// Reads words: an address or CIDR, a port (`53` or `:53`), else a part of a name.
    pub fn parse(text: &str) -> Self {
        Self {
            text: text.trim().to_owned(),
            terms: text.split_whitespace().map(Term::parse).collect(),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it lets everything through.
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

impl Term {
    fn parse(word: &str) -> Self {
        let port = || {
            Some(Self::Port(
                word.strip_prefix(':').unwrap_or(word).parse().ok()?,
            ))
        };
        network(word)
            .map(Self::Net)
            .or_else(port)
            .unwrap_or_else(|| Self::Name(word.to_lowercase()))
    }
}

/// What namespaces and processes are called.
pub(super) trait Called {
    /// The name of a network namespace.
    fn netns(&self, inode: u32) -> String;

    /// What a process is called, if that is known.
    fn sender(&self, pid: u32) -> Option<String>;
}

/// Applies a filter to many flows.
pub(super) struct Matcher<'a, C> {
    filter: &'a Filter,
    called: C,
    /// Names in lower case, by inode, by process and by reason.
    netns: HashMap<u32, String>,
    senders: HashMap<u32, String>,
    reasons: HashMap<u32, String>,
}

impl<'a, C: Called> Matcher<'a, C> {
    pub(super) fn new(filter: &'a Filter, called: C) -> Self {
        Self {
            filter,
            called,
            netns: HashMap::new(),
            senders: HashMap::new(),
            reasons: HashMap::new(),
        }
    }

    /// Whether a flow is looked for.
    pub(super) fn flow(&mut self, key: &FlowKey) -> bool {
        self.matches(&ServiceKey::from(key), Some(key))
    }

    /// Whether packets to a service are, of which no source is known.
    pub(super) fn service(&mut self, key: &ServiceKey) -> bool {
        self.matches(key, None)
    }

    fn matches(&mut self, to: &ServiceKey, flow: Option<&FlowKey>) -> bool {
        let filter = self.filter;
        filter.terms.iter().all(|term| match term {
            Term::Net(network) => {
                let source = flow.map(|flow| address(flow.family, flow.src));
                network.contains(&address(to.family, to.dst))
                    || source.is_some_and(|source| network.contains(&source))
            }
            Term::Port(port) => {
                let source = flow.map(|flow| flow.sport);
                has_ports(to.protocol) && (to.dport == *port || source == Some(*port))
            }
            Term::Name(part) => self.is_named(part, to, flow),
        })
    }

    fn is_named(&mut self, part: &str, to: &ServiceKey, flow: Option<&FlowKey>) -> bool {
        let Self {
            called,
            netns,
            senders,
            reasons,
            ..
        } = self;
        let sender = flow.map_or(0, |flow| flow.sender);
        let netns = netns.entry(to.netns);
        netns
            .or_insert_with(|| called.netns(to.netns).to_lowercase())
            .contains(part)
            || reasons
                .entry(to.reason)
                .or_insert_with(|| reason_text(to.reason))
                .contains(part)
            || protocol_name(to.protocol).to_lowercase() == part
            || sender != 0
                && senders
                    .entry(sender)
                    .or_insert_with(|| called.sender(sender).unwrap_or_default().to_lowercase())
                    .contains(part)
    }
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::Reason;

    use super::*;

    struct Names;

    impl Called for Names {
        fn netns(&self, inode: u32) -> String {
            format!("Blue{inode}")
        }

        fn sender(&self, pid: u32) -> Option<String> {
            (pid == 9).then(|| "curl[9] web.service".to_owned())
        }
    }

    fn key() -> FlowKey {
        let mut src = [0; 16];
        src[..4].copy_from_slice(&[10, 1, 2, 3]);
        let mut dst = [0; 16];
        dst[..4].copy_from_slice(&[192, 0, 2, 1]);
        FlowKey {
            src,
            dst,
            netns: 7,
            sport: 40_000,
            dport: 53,
            zone: 0,
            family: 2,
            protocol: 17,
            reason: Reason::TableFull as u32,
            sender: 9,
        }
    }

    fn finds(text: &str) -> bool {
        let filter = Filter::parse(text);
        Matcher::new(&filter, Names).flow(&key())
    }

    #[test]
    fn each_word_finds_by_address_port_or_name() {
        for word in [
            "10.0.0.0/8",
            "10.1.2.3",
            "192.0.2.0/24",
            "0.0.0.0/0",
            "53",
            ":40000",
            "blue7",
            "CURL",
            "web.service",
            "table_full",
            "udp",
            "10.0.0.0/8 53 blue",
            "",
        ] {
            assert!(finds(word), "{word}");
        }
        for word in [
            "10.1.2.4",
            "11.0.0.0/8",
            "::/0",
            "54",
            ":4000",
            "red",
            "tcp",
            "clash",
            "10.0.0.0/8 54",
            "10.0.0.0/33",
        ] {
            assert!(!finds(word), "{word}");
        }
    }

    #[test]
    fn of_packets_without_a_flow_only_the_destination_is_known() {
        let service = ServiceKey::from(&key());
        let finds = |text: &str| {
            let filter = Filter::parse(text);
            Matcher::new(&filter, Names).service(&service)
        };
        assert!(finds("192.0.2.1 53 blue"));
        assert!(!finds("10.0.0.0/8") && !finds("curl") && !finds("40000"));
    }
}
