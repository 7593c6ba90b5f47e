//! What starts the host, which files of sysctls it applies at boot, and where a
//! module is named so that it is loaded before that.

mod detect;
mod kind;
pub mod procps;

pub(super) use crate::facts::init::detect::init as detect;
pub use crate::facts::init::{
    kind::{EarlyList, Init},
    procps::Procps,
};
