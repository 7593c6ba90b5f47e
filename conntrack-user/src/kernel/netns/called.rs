//! A network namespace by what it is called, as plain data: for whoever reports
//! about it when it may be gone.

use serde::Serialize;

use crate::kernel::{container::Container, netns::Namespace};

/// A network namespace, by what it is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Netns {
    /// Its inode; none of a copied tree.
    pub inode: Option<u32>,
    /// Its name.
    pub name: String,
    /// Whether it is the host's own.
    pub is_host: bool,
    /// The container or the pod that the namespace belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// What goes before a command so that it runs in it: nothing where ctdrop
    /// runs in it; none if nothing is known that enters it.
    #[serde(skip)]
    pub enter: Option<String>,
}

impl Netns {
    /// That of a namespace; `is_host` as
    /// [`crate::kernel::netns::Namespaces::is_host`] says.
    pub fn of(namespace: &Namespace, is_host: bool) -> Self {
        Self {
            inode: Some(namespace.inode),
            name: namespace.name.clone(),
            is_host,
            container: namespace.container.clone().filter(|_| !is_host),
            enter: namespace.entering(),
        }
    }

    /// That whose numbers a copied tree has.
    pub fn of_tree() -> Self {
        Self {
            inode: None,
            name: "host".to_owned(),
            is_host: true,
            container: None,
            enter: Some(String::new()),
        }
    }
}
