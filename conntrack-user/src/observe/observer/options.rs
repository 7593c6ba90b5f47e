//! How to observe.

use conntrack_ebpf::capture::CaptureOrder;

use crate::observe::{arming::Arm, backend::Backend};

/// How to observe.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The backend; the best that works, if none is named.
    pub backend: Option<Backend>,
    /// When to attach what runs for each new flow.
    pub arm: Arm,
    /// Whether to let go of the conntrack module when nobody else needs it.
    pub release_module: bool,
    /// Which refused packets to copy, if any.
    pub capture: Option<CaptureOrder>,
}
