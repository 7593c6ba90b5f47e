//! What a file is, apart from what is in it.

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

/// What a file is, apart from what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Permissions, with the three special bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was changed last: seconds since 1970.
    pub modified: i64,
    /// The nanoseconds to that.
    pub nanoseconds: u32,
}

impl Attributes {
    /// Those that the kernel tells.
    pub(crate) fn of(status: &Stat) -> Self {
        Self {
            mode: status.st_mode & 0o7777,
            uid: status.st_uid,
            gid: status.st_gid,
            modified: status.st_mtime,
            nanoseconds: u32::try_from(status.st_mtime_nsec).unwrap_or(0),
        }
    }
}
