//! What every scenario is made of: the machine it runs on, and what is there
//! before its first packet.

pub mod console;
mod kernel_log;
pub mod machine;
mod mounts;
pub mod places;
pub mod scenario;
pub mod setup;
mod tmux;

pub use self::{
    kernel_log::kernel_log,
    machine::{Backend, Extent, Machine},
    mounts::{attach, mount, mount_all, mount_small, unmount},
    scenario::{Auto, Scenario, Takes},
    tmux::Tmux,
};
