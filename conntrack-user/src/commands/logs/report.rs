//! The report: the fields of the JSON output.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    commands::logs::{
        advice::{LogFacts, advise},
        incident,
        names::Names,
        values::{seconds, text, time, times},
        warnings,
        words::{self, AdviceText},
    },
    incident::Incident,
    logs::{
        account::{
            filtered_out::FilteredOut,
            moment::{MINUTE, Moment},
            sums::Loaded,
            tally::{Count, PacketBounds, Place, Tally},
        },
        read::summary::{Source, Summary, Unreadable},
        search::scanner::Skipped,
    },
};

/// Minutes without a drop that end a burst.
const QUIET: i64 = 5 * MINUTE;

/// What the logs say.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "logs")]
pub struct LogReport {
    /// Lines about a full table.
    pub lines: u64,
    /// How many of them came under the facility `user`, as which any program can write.
    pub lines_as_user: u64,
    /// Messages suppressed next to them.
    pub suppressed: u64,
    /// Packets refused.
    pub drops: PacketBounds,
    /// Time of the first line; none if no line has a time.
    pub first: Option<String>,
    /// Time of the last line.
    pub last: Option<String>,
    /// Where only the time since the kernel's start is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Uptime>,
    /// By minute, in order.
    pub by_minute: Vec<Minute>,
    /// Runs of minutes with drops, and how long it was quiet before each.
    pub bursts: Vec<Burst>,
    /// By host.
    pub by_host: Vec<Host>,
    /// By what the limit was of.
    pub by_netns: Vec<Netns>,
    /// Each time that conntrack was loaded.
    pub module_loads: Vec<Load>,
    /// Suppressed messages that are not close to a full table.
    pub suppressed_elsewhere: u64,
    /// Whether a report of suppressed messages is damaged, so that nothing says how many
    /// they were.
    pub damaged_reports: bool,
    /// Whether the log has nothing but lines about a full table, so that the reports of
    /// suppressed messages are missing.
    pub lacks_reports: bool,
    /// Reports of suppressed messages without the line that the kernel writes with
    /// each: the log is an excerpt. They are counted, however far the next line about a
    /// full table is.
    pub unfollowed_reports: u64,
    /// Lines that say that there were more expected connections than
    /// `nf_conntrack_expect_max`.
    pub expectation_lines: u64,
    /// Lines about a full table that the options filter out.
    pub filtered_out: FilteredLines,
    /// What was not counted.
    pub skipped: Uncounted,
    /// What was read.
    pub sources: Vec<Source>,
    /// What may be wrong.
    pub warnings: Vec<String>,
    /// Why packets were refused, as far as a log tells it: not what filled the
    /// table. None if none were.
    pub incident: Option<Incident>,
    /// What to do.
    pub advice: Vec<AdviceText>,
}

/// First and last line, in seconds since the kernel's start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Uptime {
    /// The first.
    pub first: f64,
    /// The last.
    pub last: f64,
}

impl Uptime {
    /// None if the times of day are known.
    fn new(span: (Moment, Moment)) -> Option<Self> {
        let (Moment::Uptime(first), Moment::Uptime(last)) = span else {
            return None;
        };
        Some(Self {
            first: seconds(first),
            last: seconds(last),
        })
    }
}

/// A minute, or all that has no time.
#[derive(Debug, Serialize)]
pub struct Minute {
    /// When it begins.
    pub minute: Option<String>,
    /// The same in seconds since the kernel's start, where only that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// Lines about a full table.
    pub lines: u64,
    /// Messages suppressed.
    pub suppressed: u64,
    /// Packets refused.
    pub drops: PacketBounds,
}

impl Minute {
    fn new(moment: Moment, count: Count) -> Self {
        Self {
            minute: time(moment),
            uptime: match moment {
                Moment::Uptime(at) => Some(at / 1_000_000),
                _ => None,
            },
            lines: count.lines,
            suppressed: count.suppressed,
            drops: count.into(),
        }
    }
}

/// Minutes with drops, none of them 5 minutes from the next.
#[derive(Debug, Serialize)]
pub struct Burst {
    /// The minute that it begins in.
    pub first: String,
    /// The minute that it ends in.
    pub last: String,
    /// Seconds between the burst before and this one.
    pub quiet_before: Option<i64>,
    /// Lines about a full table.
    pub lines: u64,
    /// Messages suppressed.
    pub suppressed: u64,
    /// Packets refused.
    pub drops: PacketBounds,
    /// How many ctdrop has recorded; none if it did not record all of that time.
    pub recorded: Option<Recorded>,
}

/// Packets that were refused for a full table, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// How many.
    pub packets: u64,
    /// When the first interval that was counted began.
    pub since: String,
    /// When the last one ended.
    pub until: String,
}

/// A host.
#[derive(Debug, Serialize)]
pub struct Host {
    /// Its name in the logs; none if they name none.
    pub host: Option<String>,
    /// Lines about a full table.
    pub lines: u64,
    /// Messages suppressed.
    pub suppressed: u64,
    /// Packets refused.
    pub drops: PacketBounds,
    /// Time of the first line.
    pub first: Option<String>,
    /// Time of the last line.
    pub last: Option<String>,
}

impl Host {
    fn new(tally: &Tally, host: usize, count: Count) -> Self {
        let (first, last) = times(tally.span(Some(host)));
        Self {
            host: tally.name(host).map(text),
            lines: count.lines,
            suppressed: count.suppressed,
            drops: count.into(),
            first,
            last,
        }
    }
}

/// A network namespace or container. Suppressed messages have none.
#[derive(Debug, Serialize)]
pub struct Netns {
    /// Inode; none: of the host, or not named, as before 6.16 or so.
    pub netns: Option<u32>,
    /// Its name, if this is the host that wrote the log and the namespace is still there.
    pub name: Option<String>,
    /// Number of an OpenVZ container; none: not in one, or not named.
    pub container: Option<u32>,
    /// Lines about a full table.
    pub lines: u64,
}

impl Netns {
    fn new(place: Place, lines: u64, names: &Names) -> Self {
        let (netns, container) = match place {
            Place::Unnamed => (None, None),
            Place::Netns(netns) => (Some(netns), None),
            Place::Container(container) => (None, Some(container)),
        };
        Self {
            name: netns
                .and_then(|inode| names.get(&inode))
                .map(|netns| netns.name.clone()),
            netns,
            container,
            lines,
        }
    }
}

/// A time that conntrack was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Load {
    /// When.
    pub time: Option<String>,
    /// Where.
    pub host: Option<String>,
    /// `ip_conntrack` or `nf_conntrack`.
    pub module: &'static str,
    /// Buckets that it began with.
    pub buckets: u64,
    /// The limit that it began with.
    pub max: u64,
    /// Whether the same kernel had loaded it before: the limit was reset.
    pub reload: bool,
}

impl Load {
    fn new(loaded: &Loaded, host: Option<&[u8]>) -> Self {
        let Loaded {
            moment,
            load,
            reload,
            ..
        } = loaded;
        Self {
            time: time(*moment),
            host: host.map(text),
            module: load.generation.module(),
            buckets: load.buckets,
            max: load.max,
            reload: *reload,
        }
    }
}

/// Lines about a full table of other hosts and times than asked for.
#[derive(Debug, Serialize)]
pub struct FilteredLines {
    /// Lines of other hosts.
    pub by_host: u64,
    /// Some of these hosts; null: not named.
    pub hosts: Vec<Option<String>>,
    /// Lines of other times.
    pub by_time: u64,
    /// Time of the first of these; none if none has a time.
    pub first: Option<String>,
    /// Time of the last of these.
    pub last: Option<String>,
}

impl From<&FilteredOut> for FilteredLines {
    fn from(lines: &FilteredOut) -> Self {
        let wall = |at| time(Moment::Wall(at));
        Self {
            by_host: lines.by_host,
            hosts: lines
                .hosts
                .iter()
                .map(|host| host.as_deref().map(text))
                .collect(),
            by_time: lines.by_time,
            first: lines.span.and_then(|(first, _)| wall(first)),
            last: lines.span.and_then(|(_, last)| wall(last)),
        }
    }
}

/// What was not counted.
#[derive(Debug, Serialize)]
pub struct Uncounted {
    /// Lines about a full table that were not counted.
    pub lines: Skipped,
    /// Records of the kernel's log overwritten before they could be read.
    pub lost: u64,
    /// What could not be read, or not to its end.
    pub sources: Vec<Unreadable>,
}

impl LogReport {
    /// Puts it together.
    pub fn new(read: &Summary, names: &Names) -> Self {
        let tally = &read.tally;
        let total = tally.total();
        let (first, last) = times(tally.span(None));
        let by_minute = tally.by_minute();
        let by_place = tally.by_place();
        Self {
            lines: total.lines,
            lines_as_user: read.traits.as_user,
            suppressed: total.suppressed,
            drops: total.into(),
            first,
            last,
            uptime: tally.span(None).and_then(Uptime::new),
            bursts: bursts(&by_minute),
            by_minute: by_minute
                .into_iter()
                .map(|(moment, count)| Minute::new(moment, count))
                .collect(),
            by_host: tally
                .by_host()
                .into_iter()
                .map(|(host, count)| Host::new(tally, host, count))
                .collect(),
            module_loads: read
                .loads
                .iter()
                .map(|(loaded, host)| Load::new(loaded, host.as_deref()))
                .collect(),
            suppressed_elsewhere: read.suppressed_elsewhere,
            damaged_reports: total.damaged,
            lacks_reports: read.lacks_reports,
            unfollowed_reports: read.unfollowed,
            expectation_lines: read.traits.expectations,
            filtered_out: (&read.filtered_out).into(),
            skipped: Uncounted {
                lines: read.skipped,
                lost: read.lost,
                sources: read.unreadable.clone(),
            },
            sources: read.sources.clone(),
            warnings: warnings::of(read),
            incident: incident::judge(&by_place, names),
            advice: advice(read, &by_place),
            by_netns: by_place
                .into_iter()
                .map(|(place, lines)| Netns::new(place, lines, names))
                .collect(),
        }
    }
}

fn advice(read: &Summary, by_place: &BTreeMap<Place, u64>) -> Vec<AdviceText> {
    let loads: Vec<Loaded> = read
        .loads
        .iter()
        .map(|(loaded, _)| loaded.clone())
        .collect();
    let mut containers: Vec<(u64, u32)> = by_place
        .iter()
        .filter_map(|(&place, &lines)| match place {
            Place::Container(container) => Some((lines, container)),
            _ => None,
        })
        .collect();
    containers.sort_by_key(|&(lines, container)| (std::cmp::Reverse(lines), container));
    let containers: Vec<u32> = containers.into_iter().map(|(_, number)| number).collect();
    let advice = advise(&LogFacts {
        drops: read.tally.total().into(),
        traits: &read.traits,
        loads: &loads,
        namespaces: by_place
            .keys()
            .filter(|place| matches!(place, Place::Netns(_)))
            .count(),
        containers: &containers,
    });
    advice.into_iter().map(words::text).collect()
}

/// Puts minutes together between which it was never quiet.
fn bursts(by_minute: &BTreeMap<Moment, Count>) -> Vec<Burst> {
    let mut bursts: Vec<(i64, i64, Count)> = Vec::new();
    for (moment, &count) in by_minute {
        let &Moment::Wall(at) = moment else {
            continue;
        };
        match bursts.last_mut() {
            Some((_, last, sum)) if at - *last <= QUIET => {
                *last = at;
                sum.add(count);
            }
            _ => bursts.push((at, at, count)),
        }
    }
    let mut before = None;
    bursts
        .into_iter()
        .filter_map(|(first, last, count)| {
            let quiet_before = before.map(|before| (first - before - MINUTE) / 1_000_000);
            before = Some(last);
            Some(Burst {
                first: time(Moment::Wall(first))?,
                last: time(Moment::Wall(last))?,
                quiet_before,
                lines: count.lines,
                suppressed: count.suppressed,
                drops: count.into(),
                recorded: None,
            })
        })
        .collect()
}
