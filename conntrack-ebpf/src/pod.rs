//! Allows user space to copy the shared types to and from maps.

use crate::{
    capture::CaptureOrder,
    drop_counter::Accounted,
    flow::{FlowCount, FlowKey, Sender, ServiceKey},
    layout::Layout,
    totals::{TotalCounts, TotalKey},
};

// SAFETY: `repr(C)`, integers only, no padding: its size is asserted where it is defined.
unsafe impl aya::Pod for FlowKey {}
// SAFETY: as above.
unsafe impl aya::Pod for FlowCount {}
// SAFETY: as above.
unsafe impl aya::Pod for ServiceKey {}
// SAFETY: as above.
unsafe impl aya::Pod for TotalKey {}
// SAFETY: as above.
unsafe impl aya::Pod for TotalCounts {}
// SAFETY: as above.
unsafe impl aya::Pod for Sender {}
// SAFETY: as above.
unsafe impl aya::Pod for Layout {}
// SAFETY: as above.
unsafe impl aya::Pod for Accounted {}
// SAFETY: as above.
unsafe impl aya::Pod for CaptureOrder {}
