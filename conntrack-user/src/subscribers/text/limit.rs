//! The limit in force, when it was changed, and who comes closest to it.

use crate::{
    engine::{
        header::Header,
        limit::{Fullest, LimitChange},
        report::Report,
    },
    kernel::defaults::Table,
    say::{
        clock,
        number::{counted_entries, number, optional, share},
        text::plain,
    },
    subscribers::filling::Filling,
};

/// As it was at the start.
pub(in crate::subscribers) fn at_start(header: &Header) -> String {
    let limits = &header.limits;
    let entries = limits
        .entries
        .map_or_else(|| "unknown entries".to_owned(), counted_entries);
    let used = match &header.only {
        Some(only) => format!("{entries} in {} now", plain(&only.netns_name)),
        None if header.fullest.is_empty() => {
            format!("{entries} in the network namespace of ctdrop")
        }
        None => most(&header.fullest, limits.max),
    };
    format!(
        "limit    {} entries in each network namespace, {} buckets; {used}",
        optional(limits.max),
        optional(limits.buckets)
    )
}

/// As it is at the end of a period; none if conntrack is not loaded.
pub(in crate::subscribers) fn in_force(report: &Report) -> Option<String> {
    let limit = report.limit.as_ref()?;
    let Table { max, buckets } = limit.table;
    let changed = limit.changed.as_ref().map_or_else(String::new, |change| {
        format!(
            " (changed {} at {})",
            from(change),
            clock::shown(&change.time)
        )
    });
    let used = match &report.fullest[..] {
        [] => String::new(),
        fullest => format!("; {}", most(fullest, Some(max))),
    };
    Some(format!(
        "limit    {} entries in each network namespace, {} buckets{changed}{used}",
        number(max),
        number(buckets)
    ))
}

/// Tables that fill, as many as are named.
pub(in crate::subscribers) fn filling(tables: &[Filling]) -> Vec<String> {
    const NAMED: usize = 3;
    let tables = tables.iter().take(NAMED);
    tables
        .map(|table| format!("filling  {}", table.sentence()))
        .collect()
}

/// That somebody has changed it.
pub(in crate::subscribers) fn change(change: &LimitChange) -> String {
    let LimitChange {
        time,
        before,
        after,
        made_by,
    } = change;
    let changes = [
        ("limit", before.max, after.max),
        ("buckets", before.buckets, after.buckets),
    ];
    let changes: Vec<String> = changes
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(what, before, after)| {
            format!(
                "{what} changed from {} to {}",
                number(before),
                number(after)
            )
        })
        .collect();
    let by = made_by.as_ref().map_or_else(String::new, |maker| {
        format!(" by {}", plain(&maker.label()))
    });
    format!("{}  {}{by}", clock::shown(time), changes.join(", "))
}

/// `from 900 entries`, and buckets, as far as they were others.
fn from(change: &LimitChange) -> String {
    let LimitChange { before, after, .. } = change;
    let max = (before.max != after.max).then(|| counted_entries(before.max));
    let buckets =
        (before.buckets != after.buckets).then(|| format!("{} buckets", number(before.buckets)));
    let parts: Vec<String> = max.into_iter().chain(buckets).collect();
    format!("from {}", parts.join(" and "))
}

/// `most entries: blue 1,000 (111 %), the host 40 (4 %)`
fn most(fullest: &[Fullest], max: Option<u64>) -> String {
    let each: Vec<String> = fullest
        .iter()
        .map(|one| {
            let of_max = max
                .filter(|&max| max > 0)
                .map(|max| format!(" ({})", share(one.entries, max)));
            format!(
                "{} {}{}",
                plain(&one.name),
                number(one.entries),
                of_max.unwrap_or_default()
            )
        })
        .collect();
    format!("most entries: {}", each.join(", "))
}

#[cfg(test)]
mod tests {
    use std::{future, time::Duration};

    use super::*;
    use crate::{
        engine::{fake::Fake, limit::Maker, options::Options, update::Update},
        kernel::{
            limits::Limits,
            process::{Noted, Process},
        },
    };

    async fn updates(fake: Fake) -> Vec<Update> {
        let options = Options {
            duration: Some(Duration::from_millis(2500)),
            ..Options::default()
        };
        let mut engine = fake.engine(options, future::pending());
        let mut updates = Vec::new();
        while let Some(update) = engine.next().await.unwrap() {
            updates.push(update);
        }
        updates
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_somebody_lowers_is_not_shown_as_it_was() {
        let updates = updates(Fake::lowered_after(7)).await;
        let place = |wanted: fn(&Update) -> bool| updates.iter().position(wanted).unwrap();
        let Update::Limit(told) = &updates[place(|it| matches!(it, Update::Limit(_)))] else {
            unreachable!()
        };
        assert!(change(told).ends_with("limit changed from 900 to 800"));
        let by_somebody = LimitChange {
            made_by: Some(Maker::Process(Process::of(u32::MAX, Noted::default()))),
            ..told.clone()
        };
        let by = format!(" to 800 by process[{}]", u32::MAX);
        assert!(change(&by_somebody).ends_with(&by));
        let lines: Vec<String> = updates
            .iter()
            .filter_map(|update| match update {
                Update::Interval(report) => in_force(report),
                Update::Finished(summary) => in_force(&summary.report),
                _ => None,
            })
            .collect();
        let begins = |line: &String, with: &str| {
            line.starts_with(&format!(
                "limit    {with} entries in each network namespace, 1,024 buckets"
            ))
        };
        assert!(begins(&lines[0], "900") && !lines[0].contains("changed"));
        for line in &lines[1..] {
            assert!(begins(line, "800"), "{line}");
            let since = format!("(changed from 900 entries at {})", told.time);
            assert!(line.contains(&since), "{line}");
        }
        assert_eq!(lines.len(), 3);
        assert!(lines[2].contains("; most entries: net:[7] 1"), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_header_names_the_fullest_namespaces() {
        let updates = updates(Fake::default()).await;
        let Update::Started(header) = &updates[0] else {
            panic!("{:?}", updates[0])
        };
        let mut header = header.clone();
        header.limits = Limits {
            max: Some(900),
            buckets: Some(1024),
            entries: Some(0),
        };
        header.fullest = [("blue", 1000), ("host", 40)]
            .map(|(name, entries)| Fullest {
                netns: 1,
                name: name.to_owned(),
                entries,
            })
            .into();
        assert_eq!(
            at_start(&header),
            "limit    900 entries in each network namespace, 1,024 buckets; most entries: blue 1,000 \
             (111 %), host 40 (4 %)"
        );
    }
}
