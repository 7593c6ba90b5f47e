//! The strings that lines are searched for.

/// What every line about conntrack has in it.
pub(super) const CONNTRACK: &[u8] = b"_conntrack";

/// What every line about suppressed messages has in it.
pub(super) const SUPPRESSED: &[u8] = b"s suppressed";
