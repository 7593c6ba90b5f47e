//! Everything of ctdrop that needs a kernel: scenarios, and the virtual machines
//! and namespaces they run in.

pub mod agent;
pub mod bench;
pub mod confine;
pub mod guest;
pub mod host;
pub mod net;
pub mod scenario;
pub mod stage;
pub mod system;
pub mod vm;
pub mod watch;
