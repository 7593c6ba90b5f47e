//! What `ctdrop daemon` records: who filled the table, and what survives a kill or a full
//! disk.

pub mod culprits;
pub mod disk;
pub mod kills;
