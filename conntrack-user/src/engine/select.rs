//! What the user asked to see.

use conntrack_ebpf::{FlowKey, ServiceKey};
use ipnet::IpNet;

use crate::say::{
    protocol::address,
    reason::{ReasonName, reason_text},
};

/// The filters of the command line, resolved.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Inode of the only namespace to show.
    pub netns: Option<u32>,
    /// The only protocol to show.
    pub protocol: Option<u8>,
    /// The only sources to show.
    pub src: Option<IpNet>,
    /// The only destinations to show.
    pub dst: Option<IpNet>,
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

    /// Whether only some flows of a namespace are asked for. Then its totals are not the
    /// sums of these flows.
    pub const fn chooses_flows(&self) -> bool {
        self.protocol.is_some()
            || self.src.is_some()
            || self.dst.is_some()
            || !self.reasons.is_empty()
    }

    /// Whether a flow's packets are in the totals asked for. These cover all protocols and
    /// addresses.
    pub fn totals_of(&self, key: &FlowKey) -> bool {
        self.netns(key.netns) && self.reason(&reason_text(key.reason))
    }

    /// Whether a flow is asked for.
    pub fn flow(&self, key: &FlowKey) -> bool {
        self.protocol.is_none_or(|wanted| wanted == key.protocol)
            && has(self.src, key.family, key.src)
            && has(self.dst, key.family, key.dst)
            && self.totals_of(key)
    }

    /// Whether a service is asked for. Its sources are not known, so it is not asked for if a
    /// source is.
    pub fn service(&self, key: &ServiceKey) -> bool {
        self.src.is_none()
            && self.protocol.is_none_or(|wanted| wanted == key.protocol)
            && has(self.dst, key.family, key.dst)
            && self.netns(key.netns)
            && self.reason(&reason_text(key.reason))
    }
}

/// Whether an address is one of those asked for.
fn has(wanted: Option<IpNet>, family: u8, bytes: [u8; 16]) -> bool {
    wanted.is_none_or(|wanted| wanted.contains(&address(family, bytes)))
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
            ..Select::default()
        };
        assert!(select.flow(&flow(1, 17, Reason::TableFull)));
        assert!(!select.flow(&flow(2, 17, Reason::TableFull)));
        assert!(!select.flow(&flow(1, 6, Reason::TableFull)));
        assert!(!select.flow(&flow(1, 17, Reason::Clash)));
        assert!(select.totals_of(&flow(1, 6, Reason::TableFull)));
        assert!(select.chooses_flows() && !Select::default().chooses_flows());
    }

    #[test]
    fn addresses_choose_flows_and_not_totals() {
        let mut key = flow(1, 17, Reason::TableFull);
        key.src[..4].copy_from_slice(&[10, 1, 2, 3]);
        key.dst[..4].copy_from_slice(&[192, 0, 2, 1]);
        let of = |src: Option<&str>, dst: Option<&str>| Select {
            src: src.map(|src| src.parse().unwrap()),
            dst: dst.map(|dst| dst.parse().unwrap()),
            ..Select::default()
        };
        let service = ServiceKey::from(&key);
        for (src, dst, flow, services) in [
            (None, None, true, true),
            (Some("10.0.0.0/8"), None, true, false),
            (Some("11.0.0.0/8"), None, false, false),
            (None, Some("192.0.2.1/32"), true, true),
            (None, Some("192.0.2.0/31"), true, true),
            (None, Some("192.0.2.2/31"), false, false),
            (Some("::/0"), None, false, false),
            (Some("10.1.2.3/32"), Some("192.0.2.0/24"), true, false),
        ] {
            let select = of(src, dst);
            assert_eq!(select.flow(&key), flow, "{src:?} {dst:?}");
            assert_eq!(select.service(&service), services, "{src:?} {dst:?}");
            assert!(select.totals_of(&key), "{src:?} {dst:?}");
        }
    }
}
