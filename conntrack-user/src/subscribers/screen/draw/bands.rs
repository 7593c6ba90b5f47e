//! The lines above the table, and the last one.

use console::{measure_text_width, truncate_str};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Gauge, Sparkline, Widget as _},
};

use crate::{
    incident::words,
    observe::backend::Backend,
    say::{
        number::{number, share},
        text::plain,
    },
    subscribers::screen::{
        clip::clipped,
        content::{bad, bold, dim, good},
        history::Course,
        pane::Pane,
        state::State,
        strip::{Namespace, Strip},
    },
};

/// The columns of a gauge.
const GAUGE: u16 = 12;

/// Where this runs.
pub(super) fn header(buffer: &mut Buffer, area: Rect, state: &State) {
    let Some(header) = state.header() else {
        return Line::styled("ctdrop", bold()).render(area, buffer);
    };
    let best = header.backend == Backend::Fexit;
    let (mark, style) = if best {
        ("", good())
    } else {
        ("! (i says why)", bold().fg(Color::Yellow))
    };
    let mut parts = vec![
        Span::styled(concat!("ctdrop ", env!("CARGO_PKG_VERSION")), bold()),
        Span::raw(format!("  {}", plain(&header.host))),
        Span::raw(format!("  Linux {}", plain(&header.release))),
        Span::styled(format!("  {}{mark}", header.backend), style),
    ];
    let time = state.times.hour_with_offset(&state.shown.time);
    let right = if state.is_paused() {
        Span::styled(format!("PAUSED {time}"), bad())
    } else {
        Span::raw(time)
    };
    let width = usize::from(area.width);
    let mut room = width.saturating_sub(right.width() + 2);
    if room < parts[3].width() {
        room = width;
    } else {
        let right_area = Rect {
            x: area.right() - u16::try_from(right.width()).unwrap_or(0),
            width: u16::try_from(right.width()).unwrap_or(0),
            ..area
        };
        if area.height > 0 {
            right.render(right_area, buffer);
        }
    }
    // What the user knows best goes first.
    for place in [2, 0, 0] {
        let wide: usize = parts.iter().map(Span::width).sum();
        if wide > room && parts.len() > 1 {
            parts.remove(place.min(parts.len() - 1));
        }
    }
    let room = u16::try_from(room).unwrap_or(area.width);
    Line::from(parts).render(
        Rect {
            width: room,
            ..area
        },
        buffer,
    );
}

/// `11:00:00 ━━━━━━━──────── 12:00:00 10×`
pub(super) fn slider(buffer: &mut Buffer, area: Rect, state: &State) {
    let Some(position) = state.position.as_ref().filter(|_| area.height > 0) else {
        return;
    };
    let speed = if position.speed.is_finite() {
        format!("{}×", position.speed)
    } else {
        "max".to_owned()
    };
    let (first, last) = (&position.first, &position.last);
    let begin = format!("{} ", state.times.hour(first));
    let end = format!(" {} {speed}", state.times.hour(last));
    let taken = measure_text_width(&begin) + measure_text_width(&end);
    let room = usize::from(area.width).saturating_sub(taken);
    let done = room * position.place.min(position.all) / position.all.max(1);
    let parts = vec![
        Span::raw(begin),
        Span::styled("━".repeat(done), good()),
        Span::styled("─".repeat(room - done), dim()),
        Span::raw(end),
    ];
    Line::from(parts).render(area, buffer);
}

/// The namespaces that matter, a line each.
pub(super) fn strip(buffer: &mut Buffer, area: Rect, state: &State) {
    let strip = &state.shown.strip;
    let all = strip.those_that_matter();
    let names = all.iter().map(|it| measure_text_width(&plain(&it.name)));
    let names = names.max().unwrap_or(0).clamp(4, 16);
    for (y, it) in (area.y..area.bottom()).zip(&all) {
        let line = Rect {
            y,
            height: 1,
            ..area
        };
        let more = all.len() - usize::from(area.height).min(all.len());
        let more = if y + 1 == area.bottom() { more } else { 0 };
        namespace(buffer, line, it, strip, names, more);
    }
}

fn namespace(
    buffer: &mut Buffer,
    area: Rect,
    it: &Namespace,
    strip: &Strip,
    names: usize,
    more: usize,
) {
    let name = plain(&it.name);
    let name = truncate_str(&name, names, "…");
    let mut x = area.x;
    let wide = u16::try_from(names).unwrap_or(16) + 1;
    Span::styled(name.into_owned(), bold()).render(area, buffer);
    x += wide;
    let (entries, max) = (it.entries, strip.max.filter(|&max| max > 0));
    if let (Some(entries), Some(max)) = (entries, max)
        && area.width > wide + GAUGE
    {
        gauge(entries, max).render(
            Rect {
                x,
                width: GAUGE,
                ..area
            },
            buffer,
        );
        x += GAUGE + 1;
    }
    let rest = Rect {
        x,
        width: area.right().saturating_sub(x),
        ..area
    };
    let text = numbers(it, max, more);
    let text = clipped(&text, rest.width.into()).into_owned();
    let style = if it.refused > 0 { bad() } else { Style::new() };
    Span::styled(text, style).render(rest, buffer);
}

/// `900 of 1,000  refused 12  full in about 3 min`
fn numbers(it: &Namespace, max: Option<u64>, more: usize) -> String {
    let used = match (it.entries, max) {
        (Some(entries), Some(max)) => format!("{} of {}", number(entries), number(max)),
        (Some(entries), None) => number(entries),
        (None, _) => "entries unknown".to_owned(),
    };
    let mut parts = vec![used];
    if it.refused > 0 {
        parts.push(format!("refused {}", number(it.refused)));
    }
    if let Some(filling) = &it.filling {
        parts.push(words::time_to_full(&filling.time));
    }
    if more > 0 {
        parts.push(format!("and {} more", number(more as u64)));
    }
    parts.join("  ")
}

#[expect(clippy::cast_precision_loss, reason = "a share, of numbers below 2⁵²")]
fn gauge(entries: u64, max: u64) -> Gauge<'static> {
    let ratio = (entries as f64 / max as f64).min(1.0);
    let style = match ratio {
        0.95.. => bad(),
        0.75.. => Style::new().fg(Color::Yellow),
        _ => good(),
    };
    Gauge::default()
        .ratio(ratio)
        .label(share(entries, max))
        .use_unicode(true)
        .gauge_style(style)
}

/// Packets refused, and why.
pub(super) fn reasons(buffer: &mut Buffer, area: Rect, state: &State) {
    let history = &state.shown.history;
    let first = ("refused", &history.all);
    let kinds = history.kinds.iter().map(|(name, course)| (*name, course));
    for (y, (name, course)) in (area.y..area.bottom()).zip(std::iter::once(first).chain(kinds)) {
        let line = Rect {
            y,
            height: 1,
            ..area
        };
        course_line(buffer, line, name, course, y == area.y);
    }
}

/// `table_full   1,234   56/s  peak 99/s  ▁▂▃`
fn course_line(buffer: &mut Buffer, area: Rect, name: &str, course: &Course, all: bool) {
    /// Columns of a name where there is room, of a total, and of a rate.
    const NAME: usize = 26;
    const TOTAL: usize = 13;
    const RATE: usize = 11;
    let width = usize::from(area.width);
    let name_width = match width {
        100.. => NAME,
        50.. => 17,
        _ => width.saturating_sub(10).clamp(8, 16),
    };
    let total_width = if width < 50 { 10 } else { TOTAL };
    let name = truncate_str(name, name_width, "…").into_owned();
    let style = match (all, course.rate() > 0.0) {
        (_, true) => bad(),
        (true, false) => bold(),
        (false, false) => Style::new(),
    };
    let total_width = total_width.min(width.saturating_sub(name_width));
    let mut cells = vec![format!(
        "{name:name_width$}{:>total_width$}",
        number(course.total)
    )];
    if width >= 40 {
        cells.push(format!("{:>RATE$}", rate(course.rate())));
    }
    if width >= 70 {
        let peak = format!("peak {}", rate(course.peak));
        cells.push(format!("{peak:>16}"));
    }
    let text = cells.concat();
    let used = u16::try_from(measure_text_width(&text) + 2).unwrap_or(area.width);
    Span::styled(text, style).render(area, buffer);
    if area.width > used + 8 {
        let graph = Rect {
            x: area.x + used,
            width: area.width - used,
            ..area
        };
        let last = course.last(graph.width.into());
        let missing = usize::from(graph.width) - last.len();
        let all: Vec<u64> = std::iter::repeat_n(0, missing).chain(last).collect();
        Sparkline::default()
            .data(&all)
            .style(style)
            .render(graph, buffer);
    }
}

/// `12.3/s`, `1,234/s`
fn rate(rate: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is neither negative nor above 2⁶³"
    )]
    match rate {
        0.0 => "0/s".to_owned(),
        ..0.05 => "<0.1/s".to_owned(),
        ..9.95 => format!("{rate:.1}/s"),
        _ => format!("{}/s", number(rate.round() as u64)),
    }
}

/// What may be wrong with the numbers.
pub(super) fn doubts(buffer: &mut Buffer, area: Rect, state: &State) {
    for (y, doubt) in (area.y..area.bottom()).zip(&state.shown.doubts) {
        let line = Rect {
            y,
            height: 1,
            ..area
        };
        let text = clipped(&plain(doubt), area.width.into()).into_owned();
        Span::styled(text, bad()).render(line, buffer);
    }
}

/// Why packets are refused.
pub(super) fn verdict(buffer: &mut Buffer, area: Rect, state: &State) {
    if area.height == 0 {
        return;
    }
    if let Some(incident) = state.shown.diagnosis.worst() {
        let netns = plain(&incident.remedies.netns.name);
        let text = format!("{netns}: {}", plain(&incident.headline()));
        let text = clipped(&text, area.width.into()).into_owned();
        Span::styled(text, bold()).render(area, buffer);
    }
}

/// The last line: what is typed, what a key has done, or the keys. Where the cursor is.
pub(super) fn footer(buffer: &mut Buffer, area: Rect, state: &State) -> Option<Position> {
    if area.height == 0 {
        return None;
    }
    if let Some(prompt) = &state.prompt {
        let text = format!("/{}", plain(prompt.text()));
        let wide = measure_text_width(&text);
        let hint = "   Enter: show, Esc: cancel";
        Line::from(vec![Span::styled(text, bold()), Span::styled(hint, dim())])
            .render(area, buffer);
        let x = area
            .x
            .saturating_add(u16::try_from(wide).unwrap_or(u16::MAX));
        return Some(Position::new(x.min(area.right().saturating_sub(1)), area.y));
    }
    if let Some(message) = &state.message {
        Span::styled(clipped(message, area.width.into()).into_owned(), bold()).render(area, buffer);
        return None;
    }
    keys(buffer, area, state);
    None
}

/// The keys, as many as have room; how to end and how to get help come first.
fn keys(buffer: &mut Buffer, area: Rect, state: &State) {
    let pause = if state.is_paused() { "go on" } else { "pause" };
    let back = state.panes.focus() != Pane::Table;
    let mut all = vec![("q", "quit"), ("?", "help")];
    if back {
        all.push(("Esc", "back"));
    }
    all.extend([
        ("/", "filter"),
        ("s", "sort"),
        ("b", "by"),
        ("Tab", "pane"),
        ("space", pause),
        ("w", "who"),
        ("f", "fix"),
        ("t", "UTC"),
        ("c", "copy"),
        ("i", "sight"),
    ]);
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, what) in all {
        let wide = key.len() + what.len() + 3;
        if used + wide > usize::from(area.width) + 2 {
            break;
        }
        used += wide;
        spans.push(Span::styled(
            key,
            Style::new().add_modifier(Modifier::REVERSED),
        ));
        spans.push(Span::raw(format!(" {what} ")));
    }
    Line::from(spans).render(area, buffer);
}
