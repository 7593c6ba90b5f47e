//! The one diagnosis of ctdrop: why packets are refused, and what fills the
//! table.
//!
//! [`Evidence`] of a namespace and the [`Census`] of its table go in, an
//! [`Incident`] comes out. `who`, `status`, `fix`, `watch --fix` and `logs` ask
//! here and nowhere else, so that they cannot contradict each other: what they
//! know can differ (not all have looked who fills the table), what follows from
//! it cannot.
//!
//! [`judge()`] decides over plain data, by the numbers in [`thresholds`]; what
//! helps is in [`remedy`], and [`words`] says it all. [`look`] takes a census.
//! [`lifecycle`] decides when an incident begins and ends, for who watches. [`forecast`] says
//! when a table will be full.

pub mod census;
pub mod commands;
pub mod evidence;
pub mod filling;
pub mod forecast;
mod json;
pub mod judge;
pub mod kind;
pub mod lifecycle;
pub mod look;
pub mod remedy;
pub mod sign;
#[cfg(test)]
mod tests;
pub mod thresholds;
pub mod words;

pub use self::{
    census::{Census, Service},
    evidence::Evidence,
    filling::{Filling, FillingKind},
    forecast::{Forecast, TimeToFull},
    json::Remedies,
    judge::{Incident, judge, judge_worst, worst},
    kind::{Confidence, Culprit, Kind, Pressure},
    remedy::Remedy,
    sign::Sign,
};
pub use crate::kernel::netns::called::Netns;
