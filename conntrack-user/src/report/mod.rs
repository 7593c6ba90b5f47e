//! A report about an incident or a time: what was recorded, as a page that people can
//! read.
//!
//! Recorded evidence becomes one model ([`model::Report`]), by pure functions, one file
//! for each part of it. The model is the JSON form; [`markdown`] and [`page`] write the
//! others. [`redact`] masks addresses and names in the model, so that no form can have
//! any.

mod culprits;
mod evidence;
mod fixes;
pub mod fleet;
mod host;
mod limits;
pub mod markdown;
mod method;
pub mod model;
mod outline;
pub mod page;
pub mod redact;
mod sentences;
#[cfg(test)]
mod tests;
mod timeline;
mod victims;
mod why;

pub use crate::report::evidence::{Evidence, POINTS, margin, width};
use crate::report::{model::Report, redact::Mask};

/// Makes a report of what was recorded; masked, if there is a mask.
pub fn report(evidence: &Evidence, mask: Option<&mut Mask>) -> Report {
    let mut report = Report {
        r#type: "report",
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: evidence.now.clone(),
        redacted: mask.is_some(),
        incident: evidence.incident,
        since: evidence::time(evidence.wall.0),
        until: evidence::time(evidence.wall.1),
        incidents: why::incidents(evidence),
        timeline: timeline::timeline(evidence),
        victims: victims::victims(evidence),
        censuses: culprits::censuses(evidence),
        limits: limits::limits(evidence),
        fixes: fixes::fixes(evidence),
        hosts: host::hosts(evidence),
        method: method::method(evidence),
        ..Report::default()
    };
    if let Some(mask) = mask {
        redact::redact(&mut report, mask);
    }
    // Made of what is masked by now.
    report.summary = sentences::summary(&report);
    report
}
