//! `ctdrop watch --fix`: what refused packets lead to, and what takes it back.

mod auto;
mod bounds;
mod buckets;
mod common;
mod rules;
mod undone;
mod unwritable;

pub use auto::{AUTO, PLAN};
pub use bounds::{BACKS_OFF, CEILING};
pub use buckets::BUCKETS;
pub use rules::RULES;
pub use undone::UNDONE;
pub use unwritable::UNWRITABLE;
