//! The timeline as SVG: a strip for each reason, one for the entries, and lanes with
//! events below each other, all over the same time. Each is told by its words and its
//! place, none by its colour alone.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::{
    report::{
        model::{Event, Lane, Point, Report, Timeline},
        outline::{self, each, shown},
        sentences::{moment, most_first, reason},
    },
    say::number::{counted, limit, number, optional},
};

/// Width and height of a strip; it is stretched to the width of the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// The height of a lane.
const LANE: f64 = 12.0;

/// All strips and lanes.
pub(super) fn charts(report: &Report) -> Markup {
    let timeline = &report.timeline;
    html! {
        div.charts {
            @for (place, (name, packets)) in most_first(&timeline.drops).into_iter().enumerate() {
                (refused(timeline, place, name, packets))
            }
            @if timeline.drops.is_empty() { p { "Nothing was refused in this time." } }
            @if timeline.has_table() { (entries(timeline)) }
            (lanes(timeline))
            (axis(report))
        }
    }
}

/// Where a moment is.
#[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
fn x(timeline: &Timeline, wall: i64) -> f64 {
    let (from, to) = timeline.wall;
    let length = to.saturating_sub(from).max(1) as f64;
    (wall.saturating_sub(from) as f64 / length * WIDTH).clamp(0.0, WIDTH)
}

/// How high a number of so many is.
#[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
fn y(number: u64, most: u64) -> f64 {
    HEIGHT - number as f64 / most.max(1) as f64 * HEIGHT
}

/// Begin and end of a point on the screen.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a length of time in milliseconds"
)]
fn ends(timeline: &Timeline, point: &Point) -> (f64, f64) {
    let width = (timeline.point_seconds * 1000.0) as i64;
    (
        x(timeline, point.wall),
        x(timeline, point.wall.saturating_add(width)),
    )
}

/// Bars of these heights, one for each point.
fn bars(timeline: &Timeline, of: impl Fn(&Point) -> u64, most: u64) -> String {
    let mut path = String::new();
    for point in &timeline.points {
        let value = of(point);
        if value > 0 {
            let (left, right) = ends(timeline, point);
            // What is there is seen, however little it is.
            let top = y(value, most).min(HEIGHT - 1.0);
            let right = right.max(left + 1.0);
            // Writing to a string cannot fail.
            let _ = write!(path, "M{left:.1} {HEIGHT}V{top:.1}H{right:.1}V{HEIGHT}Z");
        }
    }
    path
}

fn refused(timeline: &Timeline, place: usize, name: &str, packets: u64) -> Markup {
    let of = |point: &Point| point.drops.get(name).copied().unwrap_or(0);
    let most = timeline.points.iter().map(of).max().unwrap_or(0);
    let each = each(timeline);
    let caption = format!(
        "Refused, {}: {}; at most {} in {each}",
        reason(name),
        counted(packets, "packet"),
        number(most)
    );
    let points = timeline.points.iter().filter(|point| of(point) > 0).count();
    let description = format!(
        "Bars over time. {points} of {} points have refused packets, together {}.",
        timeline.points.len(),
        number(packets)
    );
    let path = bars(timeline, of, most);
    strip(
        &format!("refused-{place}"),
        &shown(&caption),
        &description,
        &html! {
            path.refused d=(path) {}
        },
    )
}

fn entries(timeline: &Timeline) -> Markup {
    let points = &timeline.points;
    let peak = points.iter().filter_map(|point| point.entries).max();
    let highest = points.iter().filter_map(|point| point.max).max();
    let most = peak.max(highest).unwrap_or(0);
    let mut line = String::new();
    let mut last = None;
    for point in points {
        // 0 is no limit, and has no line.
        let Some(max) = point.max.filter(|max| *max > 0) else {
            last = None;
            continue;
        };
        let (left, right) = ends(timeline, point);
        let (begin, top) = (if last.is_some() { 'L' } else { 'M' }, y(max, most));
        let _ = write!(line, "{begin}{left:.1} {top:.1}H{right:.1}");
        last = Some(max);
    }
    let of = timeline.netns_name.as_deref().unwrap_or("unknown");
    let end = points.iter().rev().find_map(|point| point.max);
    let caption = format!(
        "Entries of network namespace {of} (area) and the limit (dashed line): at most {} \
         entries, limit {} at the end",
        optional(peak),
        limit(end)
    );
    let description = format!(
        "Entries over time, the highest number in each {}; the upper edge of the chart is {}.",
        each(timeline),
        number(most)
    );
    let area = bars(timeline, |point| point.entries.unwrap_or(0), most);
    strip(
        "entries",
        &shown(&caption),
        &description,
        &html! {
            path.entries d=(area) {}
            path.limit d=(line) {}
        },
    )
}

fn strip(id: &str, caption: &str, description: &str, inside: &Markup) -> Markup {
    let (title, text) = (format!("{id}-title"), format!("{id}-text"));
    html! {
        figure.strip {
            figcaption { (caption) }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-labelledby=(title) aria-describedby=(text) {
                title id=(title) { (caption) }
                desc id=(text) { (description) }
                (inside)
            }
        }
    }
}

/// Events, those of a kind side by side.
fn lanes(timeline: &Timeline) -> Markup {
    let all = [
        Lane::Incident,
        Lane::Limit,
        Lane::Fix,
        Lane::Module,
        Lane::Census,
        Lane::Gap,
    ];
    html! {
        @for lane in all {
            @let events: Vec<&Event> = timeline.events.iter().filter(|it| it.kind == lane).collect();
            @if !events.is_empty() { (self::lane(timeline, lane, &events)) }
        }
    }
}

fn lane(timeline: &Timeline, lane: Lane, events: &[&Event]) -> Markup {
    let mut path = String::new();
    for event in events {
        let left = x(timeline, event.wall.0);
        let right = x(timeline, event.wall.1).max(left + 3.0).min(WIDTH);
        let left = left.min(right - 3.0);
        let _ = write!(path, "M{left:.1} 0H{right:.1}V{LANE}H{left:.1}Z");
    }
    let name = outline::lane(lane);
    let id = name.replace(' ', "-");
    let (title, text) = (format!("{id}-title"), format!("{id}-text"));
    let several = u64::try_from(events.len()).unwrap_or(u64::MAX);
    let caption = format!("Events, {name}: {}", number(several));
    html! {
        figure.lane {
            figcaption { (caption) }
            svg viewBox={ "0 0 " (WIDTH) " " (LANE) } preserveAspectRatio="none" role="img"
                aria-labelledby=(title) aria-describedby=(text) {
                title id=(title) { (caption) }
                desc id=(text) { "Marks on the same time axis as the charts; the events are listed below." }
                path.mark d=(path) {}
            }
        }
    }
}

/// Begin and end of the time.
fn axis(report: &Report) -> Markup {
    html! {
        p.axis {
            span { (moment(&report.since)) }
            " "
            span { (moment(&report.until)) }
        }
    }
}
