//! Where a guest has what the host gives it.

/// Where the initial file system has ctdrop.
pub const CTDROP: &str = "/bin/ctdrop";

/// Where the initial file system has files to be put onto the disk.
pub const FILES: &str = "/files";

/// The kernel parameter with the disk to boot from. The kernel gives those that it
/// does not know to init as variables, unless they have a dot in their name.
pub const DISK: &str = "ctdrop_disk";

/// Where a guest that booted from a disk has ctdrop. It is in memory: the disk
/// holds nothing of the build.
pub const CTDROP_BESIDE_DISK: &str = "/run/ctdrop-tests/ctdrop";

/// The kernel parameter by which a guest runs ctdrop as root of a user namespace.
pub const USER_NAMESPACE: &str = "ctdrop.user_namespace";

/// What a line of the console begins with that has a row of the table in docs/kernels.md.
pub const ROW: &str = "ctdrop-row: ";
