//! `ctdrop fix` and `ctdrop undo`: make the right limit stick, and take it back.
//!
//! [`guard`] does it by itself when packets are refused, as [`automatic`] decides.

pub mod apply;
pub mod automatic;
pub mod command;
pub mod diagnosis;
pub mod diff;
mod draft;
pub mod edit;
pub mod event;
pub mod file;
pub mod guard;
mod haste;
mod keeping;
pub mod live;
pub mod notes;
pub mod occupants;
mod places;
pub mod plan;
pub mod record;
pub mod refusals;
mod report;
mod script;
mod services;
pub mod sizing;
mod text;
mod udev;
pub mod undo;

pub use self::{
    apply::apply,
    plan::{Plan, plan},
    undo::undo,
};
