//! Names of the reasons for which packets are refused.

use conntrack_ebpf::Reason;

/// The name of a reason in all output.
pub const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::TableFull => "table_full",
        Reason::NoMemory => "no_memory",
        Reason::Clash => "clash",
        Reason::NatExhausted => "nat_exhausted",
        Reason::ChainTooLong => "chain_too_long",
        Reason::Dying => "dying",
        Reason::StaleExtension | Reason::StaleExtensionLate => "stale_extension",
        Reason::AlreadyConfirmed => "already_confirmed",
        Reason::Evicted => "evicted",
        Reason::ClashResolved => "clash_resolved",
        Reason::NonPacket | Reason::NonPacketChain => "non_packet",
        Reason::RuleOrRefused => "dropped_by_rule_or_refused",
    }
}

/// Name of what a counter shows and no program saw.
pub const OTHER: &str = "other";

/// A name that [`reason_name`] gives, or [`OTHER`]; two reasons of the kernel can
/// share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonName(&'static str);

impl ReasonName {
    /// Every name.
    pub fn all() -> Vec<Self> {
        let mut names = Vec::new();
        for name in Reason::ALL.map(Self::from).into_iter().chain([Self(OTHER)]) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The one that is written so.
    pub fn find(text: &str) -> Option<Self> {
        Self::all().into_iter().find(|name| name.0 == text)
    }

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl From<Reason> for ReasonName {
    fn from(reason: Reason) -> Self {
        Self(reason_name(reason))
    }
}

/// The same for a reason's number from a map: an unknown one is shown, not
/// hidden.
pub fn reason_text(number: u32) -> String {
    Reason::try_from(number).map_or_else(
        |number| format!("reason#{number}"),
        |reason| reason_name(reason).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_and_unknown_ones_are_shown() {
        for (number, reason) in (0_u32..).zip(Reason::ALL) {
            assert_eq!(reason as u32, number, "ALL is in the order of the numbers");
            assert_eq!(reason_text(number), reason_name(reason));
        }
        assert_eq!(reason_text(99), "reason#99");
    }

    #[test]
    fn each_name_is_found_by_how_it_is_written() {
        let all = ReasonName::all();
        for (index, &name) in all.iter().enumerate() {
            assert!(!all[..index].contains(&name), "{name:?} is there twice");
            assert_eq!(ReasonName::find(name.as_str()), Some(name));
        }
        assert_eq!(ReasonName::find(OTHER), Some(ReasonName(OTHER)));
        assert_eq!(ReasonName::find("full"), None);
    }
}
