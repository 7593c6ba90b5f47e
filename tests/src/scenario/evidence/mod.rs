//! What `ctdrop daemon` records: who filled the table, who changed the limit, and
//! what survives a kill or a full disk.

pub mod culprits;
pub mod disk;
pub mod kills;
pub mod limits;
