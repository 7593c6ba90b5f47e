//! The network namespaces of this host: which there are, what to call them,
//! and how to read conntrack's numbers inside each.
//!
//! A namespace is known by its inode number, which is what eBPF reads from
//! `net->ns.inum` and what `lsns -t net` shows. The kernel gives a dead
//! namespace's number to the next one it makes, so a number only means the same
//! namespace while that one lives.
//!
//! Nothing here keeps a namespace alive: an open file of a namespace pins it,
//! with its interfaces, routes and conntrack entries, long after its container
//! is gone. So each reading opens it again and says [`Unreadable::Gone`] when
//! nothing leads to it any more.
//!
//! What only an open file of another process keeps alive, or a bind mount in
//! another mount namespace, cannot be found. Nor can the namespace of a single
//! thread that has left the one of its process.

pub mod called;
mod discover;
mod enter;
mod files;
mod hidden;
mod host;
mod name;
mod namespace;
mod rights;

#[cfg(test)]
mod tests;

pub use self::{
    discover::Namespaces,
    enter::{Unreadable, in_that_of_first_process},
    hidden::{HiddenProcess, namespaces_of},
    namespace::Namespace,
    rights::{why_not_entered, why_not_seen},
};
