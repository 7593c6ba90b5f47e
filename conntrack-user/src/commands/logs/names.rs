//! What the host that wrote the logs calls its network namespaces.

use std::collections::BTreeMap;

use crate::kernel::netns::{Namespaces, called::Netns};

/// The network namespaces of the host that wrote the logs, by inode, as far as they are
/// known.
pub type Names = BTreeMap<u32, Netns>;

/// Those of this host. Where they cannot be found, their numbers stand for themselves.
pub(super) fn here() -> Names {
    let Ok(found) = Namespaces::discover() else {
        return Names::new();
    };
    let called = |namespace| Netns::of(namespace, found.is_host(namespace));
    found
        .list
        .iter()
        .map(|namespace| (namespace.inode, called(namespace)))
        .collect()
}
