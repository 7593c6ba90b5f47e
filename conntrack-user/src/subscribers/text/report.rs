//! Reports: an interval, and the totals.

use std::ops::Range;

use crate::{
    engine::{
        report::{NamespaceState, Report},
        update::Summary,
    },
    observe::{
        backend::Backend,
        check::{counter::Counter, discrepancy::Discrepancy, proof::PacketRange},
        observer::log::Logged,
    },
    say::{
        number::{counted, number, optional, share},
        port::Services,
        text::plain,
    },
    subscribers::text::{BAD, BOLD, GOOD, limit, note, table::TableText},
};

/// An interval, in its parts.
#[derive(Clone, Debug)]
pub(in crate::subscribers) struct Interval {
    /// When it was over: RFC 3339.
    time: String,
    /// How many packets were refused, and why.
    refused: String,
    /// That it is about several, if it is.
    added_up: Option<String>,
    /// The namespaces in which most packets were lost.
    pub(in crate::subscribers) namespaces: Vec<String>,
    /// The rows.
    pub(in crate::subscribers) table: Option<TableText>,
    /// The limit in force.
    pub(in crate::subscribers) limit: Option<String>,
    /// Whether somebody has changed it.
    limit_has_changed: bool,
    /// What does not match.
    pub(in crate::subscribers) verdict: Option<String>,
}

impl Interval {
    /// That of a report.
    pub(in crate::subscribers) fn of(report: &Report, services: &Services) -> Self {
        let figures = &report.figures;
        let total = figures.total();
        let style = if total == 0 { BOLD } else { BAD };
        Self {
            time: report.time.clone(),
            refused: format!(
                "{style}{} refused{style:#} in {:.1} s{}",
                counted(total, "packet"),
                report.length.as_secs_f64(),
                reasons(report)
            ),
            added_up: (report.intervals > 1).then(|| {
                format!(
                    "  {} intervals added up: the output was not read in time",
                    number(report.intervals)
                )
            }),
            namespaces: report.namespaces.iter().map(namespace).collect(),
            table: TableText::of(report, services),
            limit: limit::in_force(report),
            limit_has_changed: report
                .limit
                .as_ref()
                .is_some_and(|limit| limit.changed.is_some()),
            // Of what was recorded this is known at the end.
            verdict: (!figures.reconciled() && figures.recorded.is_none()).then(|| verdict(report)),
        }
    }

    /// How many lines [`Self::headline_within`] has.
    pub(in crate::subscribers) fn headlines(&self) -> usize {
        1 + self.added_up.iter().len()
    }

    /// What comes first; with as much of the time as has room.
    pub(in crate::subscribers) fn headline_within(&self, columns: usize) -> Vec<String> {
        /// Columns of the hour in a time, to the second.
        const HOUR: Range<usize> = 11..19;
        /// Columns for the number of packets.
        const REFUSED: usize = 30;
        let refused = &self.refused;
        let first = match (&self.time, self.time.get(HOUR)) {
            (time, _) if columns >= time.len() + REFUSED => format!("{time}  {refused}"),
            (_, Some(hour)) if columns >= hour.len() + REFUSED => format!("{hour}  {refused}"),
            _ => refused.clone(),
        };
        std::iter::once(first)
            .chain(self.added_up.clone())
            .collect()
    }

    /// All of it.
    pub(in crate::subscribers) fn lines(self) -> Vec<String> {
        let mut lines = self.headline_within(usize::MAX);
        lines.extend(self.namespaces);
        lines.extend(self.table.map(TableText::lines).into_iter().flatten());
        lines.extend(self.limit.filter(|_| self.limit_has_changed));
        lines.extend(self.verdict);
        lines
    }
}

/// An interval.
pub(in crate::subscribers) fn interval(report: &Report, services: &Services) -> Vec<String> {
    Interval::of(report, services).lines()
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
    lines.extend(
        TableText::of(report, services)
            .map(TableText::lines)
            .into_iter()
            .flatten(),
    );
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
    let besides = [
        ("evicted", figures.evicted),
        ("clashes resolved", figures.clash_resolved),
        ("refused entries without a packet", figures.non_packet),
        (
            "dropped by a rule or refused (unknown which)",
            figures.rule_or_refused,
        ),
    ];
    let besides = besides
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(what, count)| format!("; {what}: {}", number(count)));
    losses + &besides.collect::<String>()
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
