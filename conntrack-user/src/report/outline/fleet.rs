//! A report on several hosts as sections.

use crate::{
    report::{
        fleet::{Fleet, Host, Incident, Shared},
        outline::{
            Section,
            block::{Block, table},
        },
        sentences::{moment, most_first, reason},
        timeline::unknown_end,
    },
    say::number::{counted, number},
};

/// The most incidents that are listed.
const INCIDENTS: usize = 500;

/// The title of such a report.
pub(in crate::report) const TITLE: &str = "Conntrack report on several hosts";

/// The time that the report is about, and when it was made.
pub(in crate::report) fn subtitle(fleet: &Fleet) -> String {
    let masked = if fleet.redacted {
        "; addresses and names are masked"
    } else {
        ""
    };
    format!(
        "{} to {}; made {} by ctdrop {}{masked}",
        moment(&fleet.since),
        moment(&fleet.until),
        moment(&fleet.time),
        fleet.version
    )
}

/// The sections, in order.
pub(in crate::report) fn sections(fleet: &Fleet) -> Vec<Section> {
    let section = |title, blocks| Section { title, blocks };
    vec![
        section("Hosts", hosts(fleet)),
        section("Timeline", timeline(fleet)),
        section("Who filled several hosts", who(fleet)),
        section("Incidents", incidents(&fleet.incidents)),
    ]
}

fn hosts(fleet: &Fleet) -> Vec<Block> {
    let head = [
        "host",
        "#packets refused",
        "by reason",
        "#incidents",
        "worst",
        "culprit",
        "most refused at",
        "kernel",
        "read from",
    ];
    let rows = fleet.hosts.iter().map(host).collect();
    let mut blocks: Vec<Block> = table("Hosts", &head, rows).into_iter().collect();
    let rows = fleet.unread.iter();
    let rows = rows.map(|one| vec![one.from.clone(), one.why.clone()]);
    let caption = "Databases that could not be read; the report has nothing about their hosts";
    blocks.extend(table(caption, &["read from", "why"], rows.collect()));
    let rows = fleet.left_out.iter();
    let rows = rows.map(|one| vec![one.from.clone(), one.instead.clone(), one.why.clone()]);
    let caption = "Databases that were left out, because their host is counted already";
    let head = ["read from", "counted instead", "why"];
    blocks.extend(table(caption, &head, rows.collect()));
    blocks.extend(remarks(fleet));
    blocks
}

/// What to know about the numbers of the hosts.
fn remarks(fleet: &Fleet) -> Vec<Block> {
    let mut blocks = Vec::new();
    if fleet.hosts.iter().any(|host| host.from.len() > 1) {
        let what = "If a host has several databases, they have evidence of different times, and \
                    ctdrop adds them up.";
        blocks.push(Block::Text(what.to_owned()));
    }
    if fleet.hosts.iter().any(|host| host.is_namesake) {
        let what = "Hosts with the same name: no start of the kernel is in the databases of both, so \
                    ctdrop counts them as different hosts.";
        blocks.push(Block::Text(what.to_owned()));
    }
    if fleet.hosts.iter().any(|host| !host.exact) {
        let what = "At least: the counts of this host are not exact. A report on this host alone \
                    says why.";
        blocks.push(Block::Text(what.to_owned()));
    }
    if fleet.totals.unattributed > 0 {
        blocks.push(Block::Text(format!(
            "Counted without a flow: {}.",
            counted(fleet.totals.unattributed, "packet")
        )));
    }
    blocks
}

fn host(host: &Host) -> Vec<String> {
    let reasons = most_first(&host.drops).into_iter();
    let reasons = reasons.filter(|(_, packets)| *packets > 0);
    let reasons: Vec<String> = reasons
        .map(|(name, packets)| format!("{}: {}", reason(name), number(packets)))
        .collect();
    let at_least = if host.exact { "" } else { "at least " };
    vec![
        host.host.clone(),
        format!("{at_least}{}", number(host.refused)),
        reasons.join(", "),
        number(host.incidents),
        host.worst.clone().unwrap_or_default(),
        host.culprit.clone().unwrap_or_default(),
        host.peak.as_deref().map_or_else(String::new, moment),
        host.kernel.clone(),
        host.from.join(", "),
    ]
}

fn timeline(fleet: &Fleet) -> Vec<Block> {
    if fleet.timeline.points.is_empty() {
        return vec![Block::Text("No counts of this time are left.".to_owned())];
    }
    let what = "Refused packets of all hosts together, by the clock of each host.";
    vec![Block::Text(what.to_owned()), Block::Timeline]
}

fn who(fleet: &Fleet) -> Vec<Block> {
    let mut blocks = Vec::new();
    let each = [
        (
            "Sources with entries in several tables",
            "source",
            "#entries",
            &fleet.sources,
        ),
        (
            "Services with entries in several tables",
            "service",
            "#entries",
            &fleet.services,
        ),
        (
            "Services whose packets several hosts refused",
            "service",
            "#packets refused",
            &fleet.refused_services,
        ),
    ];
    for (caption, who, count, rows) in each {
        let rows = rows.iter().map(shared).collect();
        blocks.extend(table(caption, &[who, "#hosts", count, "which hosts"], rows));
    }
    if blocks.is_empty() {
        let none = "No source or service was seen on more than one host. ctdrop reads a table when an \
                    incident begins and when it grows.";
        blocks.push(Block::Text(none.to_owned()));
    }
    blocks
}

fn shared(one: &Shared) -> Vec<String> {
    let more = one.on.saturating_sub(one.hosts.len() as u64);
    let more = match more {
        0 => String::new(),
        some => format!(" and {} more", number(some)),
    };
    vec![
        one.key.clone(),
        number(one.on),
        number(one.count),
        format!("{}{more}", one.hosts.join(", ")),
    ]
}

/// When an incident ended, or why that is not known.
fn end(one: &Incident) -> String {
    match (&one.closed, one.closed_by.and_then(unknown_end)) {
        (_, Some(why)) => format!("end unknown: {why}"),
        (Some(closed), None) => moment(closed),
        (None, None) => "open".to_owned(),
    }
}

fn incidents(incidents: &[Incident]) -> Vec<Block> {
    let head = [
        "since",
        "host",
        "#incident",
        "network namespace",
        "closed",
        "#packets refused",
        "what",
        "culprit",
    ];
    let rows = incidents.iter().take(INCIDENTS).map(|one| {
        vec![
            moment(&one.since),
            one.host.clone(),
            one.incident.to_string(),
            one.netns_name.clone(),
            end(one),
            number(one.refused),
            one.kind_text.clone(),
            one.culprit.clone().unwrap_or_default(),
        ]
    });
    let mut blocks: Vec<Block> = table("Incidents", &head, rows.collect())
        .into_iter()
        .collect();
    if blocks.is_empty() {
        blocks.push(Block::Text("There was no incident.".to_owned()));
    }
    let more = incidents.len().saturating_sub(INCIDENTS) as u64;
    if more > 0 {
        let what = format!(
            "Not listed: {}; the JSON form has all.",
            counted(more, "incident")
        );
        blocks.push(Block::Text(what));
    }
    blocks
}
