//! What is observed, as plain data: figures, rows and reports over what the
//! observer counts.

pub mod by;
pub mod chosen;
pub mod figures;
pub mod header;
pub mod ineffective;
pub mod options;
pub mod report;
pub mod rows;
pub mod select;
