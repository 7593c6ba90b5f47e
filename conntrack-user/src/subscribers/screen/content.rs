//! What is in the panes below the table, and on the pages that cover the screen.

use anstream::adapter::strip_str;
use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

use crate::{
    incident::{Kind, words},
    say::{
        number::{counted_entries, number},
        text::plain,
    },
    store::incident::CensusRow,
    subscribers::{
        screen::{
            clip::wrapped,
            keys::HELP,
            pane::{Answer, Pane},
            state::{Overlay, Seen, State},
        },
        text,
    },
};

/// Columns of the hour of an event.
const HOUR: usize = 10;

/// The lines of a pane.
pub(super) fn lines(pane: Pane, state: &State, width: u16) -> Vec<Line<'static>> {
    let width = width.into();
    match pane {
        Pane::Table => Vec::new(),
        Pane::Events => events(state, width),
        Pane::Incident => incident(state, width),
        Pane::Census => census(state, width),
        Pane::Plan => plan(state, width),
    }
}

/// The lines of a page.
pub(super) fn page(overlay: Overlay, state: &State, width: u16) -> Vec<Line<'static>> {
    match overlay {
        Overlay::Help => help(width.into()),
        Overlay::Sight => sight(state, width.into()),
    }
}

fn events(state: &State, width: usize) -> Vec<Line<'static>> {
    let mut all = Vec::new();
    for event in state.shown.events.iter() {
        let wide = width.saturating_sub(HOUR);
        let lines = event.lines.iter().flat_map(|line| wrapped(line, wide));
        for (place, line) in lines.enumerate() {
            // The time stands on the first line of an event.
            let time = match event.time.as_str() {
                time if place == 0 && !time.is_empty() => state.times.hour(time),
                _ => String::new(),
            };
            let time = Span::styled(format!("{time:HOUR$}"), dim());
            all.push(Line::from(vec![time, Span::raw(line)]));
        }
    }
    if all.is_empty() {
        all.push(quiet("nothing has happened yet"));
    }
    all
}

fn incident(state: &State, width: usize) -> Vec<Line<'static>> {
    let shown = &state.shown;
    let limit = shown
        .limit
        .iter()
        .flat_map(|limit| plain_lines(limit, width));
    let Some(incident) = shown.diagnosis.worst() else {
        let mut lines = vec![quiet(words::kind(Kind::None))];
        lines.extend(limit);
        return lines;
    };
    let mut lines = Vec::new();
    let mut sentences = incident.sentences().into_iter();
    let head = sentences.next().into_iter();
    lines.extend(head.flat_map(|head| styled(&head, width, bad())));
    let culprit = incident.culprit.as_ref().map(words::culprit);
    lines.extend(culprit.iter().flat_map(|it| styled(it, width, bad())));
    lines.extend(sentences.flat_map(|sign| plain_lines(&format!("  {sign}"), width)));
    let advice = incident.advice();
    lines.extend(advice.iter().flat_map(|it| styled(it, width, good())));
    lines.extend(limit);
    lines
}

fn census(state: &State, width: usize) -> Vec<Line<'static>> {
    match &state.census {
        Answer::Unasked => vec![quiet("w reads the table once and shows who fills it")],
        Answer::Asked => vec![quiet("reading the table …")],
        Answer::Failed(error) => styled(error, width, bad()),
        Answer::Here(seen) => seen_lines(seen, state, width),
    }
}

fn seen_lines(seen: &Seen, state: &State, width: usize) -> Vec<Line<'static>> {
    let name = state.shown.strip.name(seen.netns);
    let name = name.map_or_else(|| format!("net:[{}]", seen.netns), plain);
    let census = &seen.taken.census;
    let filling = words::filling(seen.incident.filling.kind);
    let head = format!("{name}: {}; {filling}", counted_entries(census.entries));
    let mut lines = styled(&head, width, bold());
    let culprit = seen.incident.culprit.as_ref().map(words::culprit);
    lines.extend(culprit.iter().flat_map(|it| styled(it, width, bad())));
    let columns = format!(
        "{:>9} {:>9} {:>9}  FILLED BY",
        "ENTRIES", "UNREPLIED", "IDLE"
    );
    lines.push(Line::styled(columns, dim()));
    for row in &seen.taken.rows {
        lines.push(Line::raw(census_row(row)));
    }
    lines
}

fn census_row(row: &CensusRow) -> String {
    let owner = row.owner.as_ref();
    let owner = owner.map_or_else(String::new, |owner| format!(" ({})", plain(owner)));
    format!(
        "{:>9} {:>9} {:>9}  {} {}{owner}",
        number(row.entries),
        number(row.unreplied),
        number(row.idle),
        row.by,
        plain(&row.key)
    )
}

fn plan(state: &State, width: usize) -> Vec<Line<'static>> {
    let made = match &state.plan {
        Answer::Here(report) => &report.lines,
        Answer::Asked => return vec![quiet("planning …")],
        Answer::Failed(error) if state.shown.plan.is_empty() => return styled(error, width, bad()),
        Answer::Unasked | Answer::Failed(_) => &state.shown.plan,
    };
    if made.is_empty() {
        return vec![quiet(
            "f shows what ctdrop fix would do, and changes nothing",
        )];
    }
    let lines = made.iter().map(|line| strip_str(line).to_string());
    lines
        .flat_map(|line| styled(&line, width, of_diff(&line)))
        .collect()
}

/// How a line of a diff is shown.
fn of_diff(line: &str) -> Style {
    match line.trim_start().as_bytes() {
        [b'+', ..] => good(),
        [b'-', ..] => bad(),
        _ => Style::new(),
    }
}

fn help(width: usize) -> Vec<Line<'static>> {
    const KEYS: usize = 15;
    let mut lines = Vec::new();
    for (keys, what) in HELP {
        for (place, part) in wrapped(what, width.saturating_sub(KEYS))
            .into_iter()
            .enumerate()
        {
            let keys = if place == 0 { keys } else { "" };
            let keys = Span::styled(format!("{keys:KEYS$}"), bold());
            lines.push(Line::from(vec![keys, Span::raw(part)]));
        }
    }
    lines
}

fn sight(state: &State, width: usize) -> Vec<Line<'static>> {
    let Some(header) = state.header() else {
        return vec![quiet("ctdrop has not begun to observe")];
    };
    let about = text::header::about(header);
    let mut lines: Vec<Line<'static>> = about
        .iter()
        .flat_map(|line| plain_lines(&strip_str(line).to_string(), width))
        .collect();
    let began = format!("since    {}", state.times.whole(&header.time));
    lines.push(Line::raw(began));
    let limit = state.shown.limit.iter();
    lines.extend(limit.flat_map(|limit| plain_lines(limit, width)));
    lines
}

fn plain_lines(text: &str, width: usize) -> Vec<Line<'static>> {
    styled(text, width, Style::new())
}

fn styled(text: &str, width: usize, style: Style) -> Vec<Line<'static>> {
    let lines = wrapped(&plain(text), width).into_iter();
    lines.map(|line| Line::styled(line, style)).collect()
}

fn quiet(text: &str) -> Line<'static> {
    Line::styled(text.to_owned(), dim())
}

/// Something that is wrong.
pub(super) const fn bad() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

/// Something that helps.
pub(super) const fn good() -> Style {
    Style::new().fg(Color::Green)
}

/// Something to look at.
pub(super) const fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// What is always there.
pub(super) const fn dim() -> Style {
    Style::new().fg(Color::Cyan)
}
