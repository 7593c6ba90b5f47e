//! Ways to make conntrack refuse packets, in network namespaces, to the packet.
//!
//! A [`Lan`] is a client, a firewall with conntrack and a silent server. A
//! [`Flood`] or [`LocalFlood`] sends a known number of packets over known
//! flows into the firewall, and one of these makes it refuse them:
//!
//! | reason | provoked by |
//! |---|---|
//! | table full | [`Fill`] with assured entries |
//! | eviction (`early_drop`) | [`Fill`] with unassured entries |
//! | clash, unresolvable | [`ZoneClash`], [`Twins`] with TCP |
//! | clash, resolved | [`Twins`] with UDP |
//! | no free NAT port | [`LanOptions::masquerade`] with few ports |
//! | chain too long | [`chains`] in a VM with few buckets |

pub mod chains;
mod connections;
mod counters;
mod ctnetlink;
mod fill;
mod flood;
mod lan;
mod local_flood;
mod netlink;
mod netns;
pub mod nfqueue;
mod packet;
mod tuple;
mod twins;
mod wire;
mod zone_clash;

pub use connections::Connections;
pub use counters::Counters;
pub use ctnetlink::{Conntrack, Entry, Inserted};
pub use fill::Fill;
pub use flood::{Flood, Sent};
pub use lan::{Lan, LanOptions};
pub use local_flood::{LocalFlood, LocalSent, refused_locally};
pub use netns::Netns;
pub use packet::Template;
pub use tuple::{Family, Protocol, Tuple};
pub use twins::{ClashOutcome, Twins};
pub use zone_clash::ZoneClash;
