//! Reports: an interval, and the totals.

use crate::{
    engine::{
        figures::Figures,
        report::{NamespaceState, Report},
        update::Summary,
    },
    observe::{
        backend::Backend,
        check::{counter::Counter, discrepancy::Discrepancy, proof::PacketRange},
        observer::log::Logged,
    },
    say::{
        clock,
        number::{counted, number, optional, share},
        port::Services,
        text::plain,
    },
    subscribers::text::{BAD, BOLD, GOOD, limit, note, table::TableText},
};

/// An interval.
pub(in crate::subscribers) fn interval(report: &Report, services: &Services) -> Vec<String> {
    let figures = &report.figures;
    let total = figures.total();
    let style = if total == 0 { BOLD } else { BAD };
    let mut lines = vec![format!(
        "{}  {style}{} refused{style:#} in {:.1} s{}",
        clock::shown(&report.time),
        counted(total, "packet"),
        report.length.as_secs_f64(),
        reasons(report)
    )];
    lines.extend(added_up(report));
    lines.extend(report.namespaces.iter().map(namespace));
    let table = TableText::of(report, services);
    lines.extend(table.iter().flat_map(TableText::lines));
    let limit_has_changed = report
        .limit
        .as_ref()
        .is_some_and(|limit| limit.changed.is_some());
    lines.extend(limit::in_force(report).filter(|_| limit_has_changed));
    lines.extend(doubt(report));
    lines
}

/// That a report is about several intervals, if it is.
pub(in crate::subscribers) fn added_up(report: &Report) -> Option<String> {
    (report.intervals > 1).then(|| {
        format!(
            "  {} intervals added up: the output was not read in time",
            number(report.intervals)
        )
    })
}

/// What does not match, if anything; of what was recorded this is known at the end.
pub(in crate::subscribers) fn doubt(report: &Report) -> Option<String> {
    let figures = &report.figures;
    (!figures.reconciled() && figures.recorded.is_none()).then(|| verdict(report))
}

/// The totals at the end.
pub(in crate::subscribers) fn summary(summary: &Summary, services: &Services) -> Vec<String> {
    let report = &summary.report;
    let figures = &report.figures;
    let mut lines = vec![format!(
        "{BOLD}Total in {:.1} s: {} refused{BOLD:#}{}",
        report.length.as_secs_f64(),
        counted(figures.total(), "packet"),
        reasons(report)
    )];
    lines.extend(report.namespaces.iter().map(namespace));
    let table = TableText::of(report, services);
    lines.extend(table.iter().flat_map(TableText::lines));
    lines.extend(nothing_chosen(report));
    if figures.unattributed > 0 && report.backend != Backend::Counters {
        lines.push(format!(
            "{} of the refused packets have no flow here: they are counted by reason and, where \
             there was room, by destination",
            number(figures.unattributed)
        ));
    }
    lines.extend(lost_between(figures.range));
    if report.error_bound > 0 {
        lines.push(format!(
            "there were more flows than ctdrop has room for: the count of a flow can be up to {} \
             too low",
            number(report.error_bound)
        ));
    }
    if report.missed.sum() > 0 {
        lines.push(format!(
            "the kernel skipped {} of ctdrop's programs",
            counted(report.missed.sum(), "run")
        ));
    }
    if report.faults.unreadable > 0 || report.faults.join_lost > 0 {
        lines.push(format!(
            "ctdrop could not read {} and lost {}: flows or reasons may be wrong",
            counted(report.faults.unreadable, "packet"),
            counted(report.faults.join_lost, "mark")
        ));
    }
    let grown: Vec<String> = figures
        .kernel
        .iter()
        .map(|(&counter, &grown)| format!("{} +{}", counter_name(counter), number(grown)))
        .collect();
    lines.extend(limit::in_force(report));
    if figures.recorded.is_none() {
        lines.push(format!("kernel   {}", grown.join(", ")));
    }
    lines.extend(report.logged.map(logged));
    lines.push(verdict(report));
    lines.extend(summary.warnings.iter().map(|warning| note(warning)));
    lines
}

/// That there are no rows because of options, while packets of flows are counted.
fn nothing_chosen(report: &Report) -> Option<String> {
    let rows = &report.flows;
    let figures = &report.figures;
    let has_flows = figures.recorded.is_none() && figures.total() > figures.unattributed;
    let none = has_flows && rows.top.is_empty() && rows.more == 0;
    none.then(|| {
        "  no refused packet matches --proto, --src and --dst as given; the counts cover all protocols \
         and addresses"
            .to_owned()
    })
}

/// What the kernel log has said.
fn logged(logged: Logged) -> String {
    let elsewhere = match logged.suppressed_elsewhere {
        0 => String::new(),
        elsewhere => format!(
            " ({} more belong to a burst before the start, or to other messages)",
            number(elsewhere)
        ),
    };
    format!(
        "log      {} about a full table, {} suppressed{elsewhere}, {} lost",
        counted(logged.lines, "line"),
        counted(logged.suppressed, "network message"),
        counted(logged.lost, "record")
    )
}

/// `: table_full 12, clash 3; evicted: 4`
fn reasons(report: &Report) -> String {
    let figures = &report.figures;
    let parts: Vec<String> = figures
        .drops
        .iter()
        .filter(|&(_, &packets)| packets > 0)
        .map(|(name, &packets)| format!("{name} {}", number(packets)))
        .collect();
    let losses = if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    };
    let besides = besides(figures)
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(what, count)| format!("; {what}: {}", number(count)));
    losses + &besides.collect::<String>()
}

/// What happened besides lost packets.
pub(in crate::subscribers) const fn besides(figures: &Figures) -> [(&'static str, u64); 4] {
    [
        ("evicted", figures.evicted),
        ("clashes resolved", figures.clash_resolved),
        ("refused entries without a packet", figures.non_packet),
        (
            "dropped by a rule or refused (unknown which)",
            figures.rule_or_refused,
        ),
    ]
}

/// `between 103 and 106 packets were lost`, where counters leave it open.
fn lost_between(range: Option<PacketRange>) -> Option<String> {
    let PacketRange { at_least, at_most } = range?;
    (at_least != at_most).then(|| {
        format!(
            "between {} and {} packets were lost: one packet can move two counters",
            number(at_least),
            number(at_most)
        )
    })
}

fn namespace(state: &NamespaceState) -> String {
    let share = match (state.limits.entries, state.limits.max) {
        (Some(entries), Some(max)) if max > 0 => format!(" ({})", share(entries, max)),
        _ => String::new(),
    };
    if state.limits.entries.is_none() {
        return format!("  {}: entries cannot be read", plain(&state.name));
    }
    format!(
        "  {}: {} of {} entries{share}",
        plain(&state.name),
        optional(state.limits.entries),
        optional(state.limits.max)
    )
}

fn verdict(report: &Report) -> String {
    let figures = &report.figures;
    let unknown = figures.recorded == Some(false) && figures.discrepancy.total() == 0;
    if unknown && report.backend != Backend::Counters {
        return "whether the counts matched the kernel's counters is not recorded".to_owned();
    }
    if figures.kernel.is_empty() && figures.recorded.is_none() {
        return format!(
            "{BAD}not checked{BAD:#}: conntrack's counters cannot be read here \
             (/proc/net/stat/nf_conntrack)"
        );
    }
    if figures.discrepancy.total() > 0 {
        return format!(
            "{BAD}discrepancy{BAD:#}: {}",
            discrepancy(figures.discrepancy)
        );
    }
    if report.backend == Backend::Counters {
        return "from kernel counters only; no cross-check possible".to_owned();
    }
    let except = match figures.unchecked {
        0 => String::new(),
        unchecked => format!(
            ", except for {} refused after the last reading of the counters of {}",
            counted(unchecked, "packet"),
            if unchecked == 1 {
                "its namespace"
            } else {
                "their namespaces"
            }
        ),
    };
    format!("{GOOD}reconciled{GOOD:#}: the counts match the kernel's counters{except}")
}

/// Counts that do not match.
fn discrepancy(discrepancy: Discrepancy) -> String {
    let Discrepancy {
        unconfirmed,
        unseen,
    } = discrepancy;
    let match_ = |count| if count == 1 { "matches" } else { "match" };
    let packets = format!(
        "{} {} no kernel counter",
        counted(unconfirmed, "packet"),
        match_(unconfirmed)
    );
    let increments = format!(
        "{} of kernel counters {} no packet",
        counted(unseen, "increment"),
        match_(unseen)
    );
    match (unconfirmed, unseen) {
        (_, 0) => packets,
        (0, _) => increments,
        _ => format!("{packets}, {increments}"),
    }
}

/// As `conntrack -S` calls it.
const fn counter_name(counter: Counter) -> &'static str {
    match counter {
        Counter::Drop => "drop",
        Counter::InsertFailed => "insert_failed",
        Counter::EarlyDrop => "early_drop",
        Counter::ClashResolve => "clash_resolve",
        Counter::ChainTooLong => "chaintoolong",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::{fake::Fake, options::Options, update::Update};

    async fn totals(src: Option<&str>) -> Vec<String> {
        let options = Options {
            duration: Some(Duration::from_secs(5)),
            src: src.map(|src| src.parse().unwrap()),
            ..Options::default()
        };
        let mut engine = Fake::default().engine(options, std::future::pending());
        let mut lines = Vec::new();
        while let Some(update) = engine.next().await.unwrap() {
            if let Update::Finished(finished) = &update {
                lines = summary(finished, &Services::default());
            }
        }
        lines
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_said_if_no_flow_matches() {
        const SAID: &str = "  no refused packet matches --proto, --src and --dst";
        let says = |lines: &[String]| lines.iter().any(|line| line.starts_with(SAID));
        assert!(!says(&totals(None).await));
        let lines = totals(Some("203.0.113.0/24")).await;
        assert!(says(&lines), "{lines:#?}");
    }
}
