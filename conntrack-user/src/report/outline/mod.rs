//! A report as sections of paragraphs, lists and tables: what Markdown and HTML have in
//! common.

mod block;
mod culprits;
pub(super) mod fleet;
mod limits;
mod outside;
mod tail;
mod timeline;
mod victims;
mod why;

pub(super) use self::{
    block::{Block, Column, Table},
    outside::{sentence, shown},
    timeline::{each, lane, points},
};
use crate::report::{model::Report, sentences::moment};

/// A part of a report.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// The title of a report.
pub(super) fn title(report: &Report) -> String {
    match report.incident {
        Some(id) => format!("Conntrack incident {id}"),
        None => "Conntrack report".to_owned(),
    }
}

/// Which time it is about, and when it was made.
pub(super) fn subtitle(report: &Report) -> String {
    let masked = if report.redacted {
        "; addresses and names are masked"
    } else {
        ""
    };
    format!(
        "{} to {}; made {} by ctdrop {}{masked}",
        moment(&report.since),
        moment(&report.until),
        moment(&report.time),
        report.version
    )
}

/// The sections of a report, in order.
pub(super) fn sections(report: &Report) -> Vec<Section> {
    let section = |title, blocks| Section { title, blocks };
    vec![
        section("Timeline", timeline::blocks(report)),
        section(
            "Refused flows, services and senders",
            victims::blocks(&report.victims),
        ),
        section("Who filled the table", culprits::blocks(&report.censuses)),
        section("Why", why::blocks(&report.incidents)),
        section(
            "The limit now, and after a boot, restart or reload",
            limits::blocks(&report.limits),
        ),
        section("Fixes", tail::fixes(report)),
        section("Host", tail::hosts(&report.hosts)),
        section("Method and exactness", tail::method(&report.method)),
    ]
}
