//! Network namespaces whose numbers could not be read.

use serde::Serialize;

use crate::kernel::netns::{self, HiddenProcess};

/// A network namespace that was found and could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadableNamespace {
    /// What it is called.
    pub name: String,
    /// Why.
    pub why: String,
    /// Whether it is privilege that was missing.
    #[serde(skip)]
    pub denied: bool,
}

impl UnreadableNamespace {
    /// Of a namespace that could not be read; none if it has ended, and so is
    /// no part of the host any more.
    pub(crate) fn of(name: &str, error: &netns::Unreadable) -> Option<Self> {
        let denied = match error {
            netns::Unreadable::Gone { .. } => return None,
            netns::Unreadable::Denied { .. } => true,
            netns::Unreadable::Failed(_) => false,
        };
        Some(Self {
            name: name.to_owned(),
            why: error.to_string(),
            denied,
        })
    }
}

/// The part of a host whose numbers could not be read: a table in it may be
/// full.
#[derive(Clone, Debug, Default)]
pub struct Unread {
    /// Why no namespace could be found; none if some were.
    pub not_found: Option<String>,
    /// Those that were found, with and without success.
    pub found: usize,
    /// Those that could not be looked into.
    pub namespaces: Vec<UnreadableNamespace>,
    /// Processes whose namespaces are not even known.
    pub hidden: Vec<HiddenProcess>,
    /// Whether the processes of the host are out of sight, as in a container.
    pub contained: bool,
    /// What to do where it is privilege that was missing.
    pub remedies: Remedies,
}

impl Unread {
    /// Whether all of the host was seen.
    pub fn is_empty(&self) -> bool {
        self.not_found.is_none()
            && self.namespaces.is_empty()
            && self.hidden.is_empty()
            && !self.contained
    }
}

/// What keeps this process from looking, or what to do about it.
#[derive(Clone, Debug, Default)]
pub struct Remedies {
    /// Into a namespace.
    pub to_enter: String,
    /// At the namespace of a process.
    pub to_see: String,
}

impl Remedies {
    /// Those of this process.
    pub(crate) fn now() -> Self {
        Self {
            to_enter: netns::why_not_entered(),
            to_see: netns::why_not_seen(),
        }
    }
}
