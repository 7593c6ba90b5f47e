//! What the user asked to see.

use conntrack_ebpf::{FlowKey, ServiceKey};

use crate::say::reason::{ReasonName, reason_text};

/// The filters of the command line, resolved.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Inode of the only namespace to show.
    pub netns: Option<u32>,
    /// The only protocol to show.
    pub protocol: Option<u8>,
    /// The only reasons to show; all if there are none.
    pub reasons: Vec<ReasonName>,
    /// Show flows that ended well, too.
    pub all_flows: bool,
}

impl Select {
    /// Whether a namespace is asked for.
    pub fn netns(&self, netns: u32) -> bool {
        self.netns.is_none_or(|wanted| wanted == netns)
    }

    /// Whether a reason is asked for.
    pub fn reason(&self, name: &str) -> bool {
        self.reasons.is_empty() || self.reasons.iter().any(|wanted| wanted.as_str() == name)
    }

    /// Whether a flow's packets are in the totals asked for. These know no
    /// protocol.
    pub fn totals_of(&self, key: &FlowKey) -> bool {
        self.netns(key.netns) && self.reason(&reason_text(key.reason))
    }

    /// Whether a flow is asked for.
    pub fn flow(&self, key: &FlowKey) -> bool {
        self.protocol.is_none_or(|wanted| wanted == key.protocol) && self.totals_of(key)
    }

    /// Whether a service is asked for.
    pub fn service(&self, key: &ServiceKey) -> bool {
        self.protocol.is_none_or(|wanted| wanted == key.protocol)
            && self.netns(key.netns)
            && self.reason(&reason_text(key.reason))
    }
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::Reason;

    use super::*;

    fn flow(netns: u32, protocol: u8, reason: Reason) -> FlowKey {
        FlowKey {
            src: [0; 16],
            dst: [0; 16],
            netns,
            sport: 0,
            dport: 0,
            zone: 0,
            family: 2,
            protocol,
            reason: reason as u32,
            sender: 0,
        }
    }

    #[test]
    fn without_filters_everything_is_shown() {
        assert!(Select::default().flow(&flow(1, 6, Reason::Clash)));
    }

    #[test]
    fn each_filter_holds_by_itself() {
        let select = Select {
            netns: Some(1),
            protocol: Some(17),
            reasons: vec![Reason::TableFull.into()],
            all_flows: false,
        };
        assert!(select.flow(&flow(1, 17, Reason::TableFull)));
        assert!(!select.flow(&flow(2, 17, Reason::TableFull)));
        assert!(!select.flow(&flow(1, 6, Reason::TableFull)));
        assert!(!select.flow(&flow(1, 17, Reason::Clash)));
        assert!(select.totals_of(&flow(1, 6, Reason::TableFull)));
    }
}
