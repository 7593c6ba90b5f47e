//! Gives up capabilities of a thread.

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::say::journal::{self, Level};

/// Gives up the capabilities of this thread; `what` says what the thread does. It talks to
/// strangers, and needs no capability. The threads that observe need theirs for every new network
/// namespace and for every load of the module.
pub(super) fn renounce(what: &str) {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    if let Err(error) = set_capabilities(None, none) {
        let thread = format!("the thread that {what} cannot give up its capabilities");
        journal::complain(Level::Warning, format!("{thread}: {error}"));
    }
}
