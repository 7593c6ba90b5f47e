//! The programs that are put into a guest.

use std::path::PathBuf;

/// The two static programs of a guest.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The program under test.
    pub ctdrop: PathBuf,
    /// The program of this crate, which is the guest's `/init`.
    pub init: PathBuf,
}
