//! The rows.

use console::{measure_text_width, truncate_str};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::Widget as _,
};

use crate::{
    engine::{
        rows::{Row, Subject},
        view::{View, listing::Listing},
    },
    observe::backend::Backend,
    say::{number::number, text::plain},
    subscribers::{
        screen::{
            clip::clipped,
            content::{bold, dim},
            draw::parts::{rule, split},
            pane::Pane,
            state::State,
        },
        text::table::{cells, columns, sender, sent_by, subjects},
    },
};

/// Columns that are left out where there is no room for them, the first one first.
const OPTIONAL: [&str; 7] = [
    "FIRST", "PROTO", "SENT BY", "NETNS", "LAST", "REASON", "TOTAL",
];

/// Between two columns.
const GAP: usize = 2;

/// The table, with its title.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, state: &State) {
    let Some((line, rest)) = split(area) else {
        return;
    };
    rule(
        buffer,
        line,
        title(state, rest.height.saturating_sub(1).into()),
    );
    let Some((names, rows)) = split(rest) else {
        return;
    };
    let listing = state.shown.listing.as_ref();
    if let Some(listing) = listing.filter(|it| !it.rows.top.is_empty()) {
        Columns::of(listing, state, rows).draw(buffer, names, rows, state);
    } else {
        let text = clipped(nothing(state), area.width.into()).into_owned();
        Line::styled(text, dim()).render(names, buffer);
    }
}

/// `flows by rate  filter: 10.0.0.0/8  1–8 of 3,044`
fn title(state: &State, room: usize) -> Line<'static> {
    let View {
        by,
        sort,
        reversed,
        filter,
        ..
    } = &state.view;
    let style = if state.panes.focus() == Pane::Table {
        bold().add_modifier(Modifier::REVERSED)
    } else {
        dim()
    };
    let order = if *reversed { ", reversed" } else { "" };
    let mut parts = vec![Span::styled(
        format!(" {} by {}{order} ", subjects(*by), sort.name()),
        style,
    )];
    if !filter.is_empty() {
        parts.push(Span::styled(
            format!(" filter: {} ", plain(filter.text())),
            bold(),
        ));
    }
    let listing = state.shown.listing.as_ref();
    let is_old = listing.is_none_or(|listing| listing.view != state.view);
    if is_old && state.live {
        parts.push(Span::styled(" … ", dim()));
    } else if let Some(Listing { rows, .. }) = listing {
        let all = rows.top.len() + rows.more;
        let top = state.selection.top;
        let last = (top + room).min(rows.top.len());
        if last > 0 {
            let place = format!(" {}–{last} of {} ", top + 1, number(all as u64));
            parts.push(Span::styled(place, dim()));
        }
    }
    Line::from(parts)
}

/// Why there are no rows.
fn nothing(state: &State) -> &'static str {
    let counters = state
        .header()
        .is_some_and(|header| header.backend == Backend::Counters);
    if !state.view.filter.is_empty() {
        "no row matches the filter (Esc shows all)"
    } else if counters {
        "the backend counters knows no flow (i says why no better one is used); b shows namespaces"
    } else {
        "no packet was refused"
    }
}

/// What has room of the rows.
struct Columns {
    /// Names, with the width of each and whether its cells stand to the right.
    heads: Vec<(&'static str, usize, bool)>,
    /// Cells of each row.
    rows: Vec<Vec<String>>,
    /// The column that says what a row is about.
    subject: &'static str,
}

impl Columns {
    fn of(listing: &Listing, state: &State, area: Rect) -> Self {
        let top = listing.rows.top.iter().skip(state.selection.top);
        let shown: Vec<&Row> = top.take(area.height.into()).collect();
        let first = listing.rows.top.first().map(|row| row.subject);
        let by_sender = matches!(first, Some(Subject::Sender(_)));
        let any_sender = by_sender || listing.rows.top.iter().any(|row| sender(row) != 0);
        let mut names = vec!["RATE", "TOTAL"];
        names.extend(first.iter().flat_map(|subject| columns(subject)));
        names.extend(any_sender.then_some("SENT BY"));
        names.extend(["LAST", "FIRST"]);
        let rows = shown
            .iter()
            .map(|row| row_cells(row, listing, state, any_sender))
            .collect();
        let about = first.and_then(|subject| columns(&subject).last().copied());
        let mut all = Self {
            subject: about.unwrap_or("SENT BY"),
            heads: names.iter().map(|&name| (name, 0, false)).collect(),
            rows,
        };
        for _ in 0..state.selection.shift {
            if all.heads.len() > 3 {
                all.remove(2);
            }
        }
        all.measure();
        all.shrink(area.width.into());
        all
    }

    fn measure(&mut self) {
        for (place, (name, width, right)) in self.heads.iter_mut().enumerate() {
            let cells = self.rows.iter().map(|row| measure_text_width(&row[place]));
            *width = cells.max().unwrap_or(0).max(name.len());
            *right = matches!(*name, "RATE" | "TOTAL");
        }
    }

    fn width(&self) -> usize {
        let gaps = GAP * self.heads.len().saturating_sub(1);
        self.heads.iter().map(|(_, width, _)| width).sum::<usize>() + gaps
    }

    /// Leaves columns out until the others have room; the last one is cut otherwise.
    fn shrink(&mut self, room: usize) {
        for optional in OPTIONAL {
            if optional == self.subject {
                continue;
            }
            if self.width() <= room {
                return;
            }
            let place = self.heads.iter().position(|(name, ..)| *name == optional);
            if let Some(place) = place.filter(|_| self.heads.len() > 2) {
                if optional == "REASON" && !self.begins_within(room) {
                    self.keep_reason(room);
                    return;
                }
                self.remove(place);
            }
        }
    }

    /// Whether the first word of each flow has room beside its rate: the beginning of an
    /// address reads like another address.
    fn begins_within(&self, room: usize) -> bool {
        let rate = self.heads.first().map_or(0, |(_, width, _)| *width);
        let first = |row: &Vec<String>| {
            let word = row.last().and_then(|cell| cell.split_whitespace().next());
            word.map_or(0, measure_text_width)
        };
        let longest = self.rows.iter().map(first).max().unwrap_or(0);
        // Behind it there is a mark that more was left out.
        rate + GAP + longest + GAP <= room
    }

    /// Says why where there is no room to say whose packets they are.
    fn keep_reason(&mut self, room: usize) {
        let place = |all: &Self, leaves: &dyn Fn(&str) -> bool| {
            all.heads.iter().position(|(name, ..)| leaves(name))
        };
        let others = |name: &str| !["RATE", "TOTAL", "REASON"].contains(&name);
        while let Some(place) = place(self, &others) {
            self.remove(place);
        }
        if self.width() > room
            && let Some(place) = place(self, &|name| name == "TOTAL")
        {
            self.remove(place);
        }
    }

    fn remove(&mut self, place: usize) {
        self.heads.remove(place);
        for row in &mut self.rows {
            row.remove(place);
        }
    }

    fn draw(&self, buffer: &mut Buffer, names: Rect, area: Rect, state: &State) {
        let room = usize::from(area.width);
        let header: Vec<String> = self
            .heads
            .iter()
            .map(|(name, ..)| (*name).to_owned())
            .collect();
        Span::styled(self.line(&header, room), bold()).render(names, buffer);
        let selected = state.selected().checked_sub(state.selection.top);
        for (place, (y, row)) in (area.y..area.bottom()).zip(&self.rows).enumerate() {
            let style = if selected == Some(place) && state.panes.focus() == Pane::Table {
                Style::new().add_modifier(Modifier::REVERSED)
            } else {
                Style::new()
            };
            let mut text = self.line(row, room);
            let missing = room.saturating_sub(measure_text_width(&text));
            text.push_str(&" ".repeat(missing));
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            Span::styled(text, style).render(line, buffer);
        }
    }

    fn line(&self, cells: &[String], room: usize) -> String {
        let mut line = String::new();
        for ((_, width, right), cell) in self.heads.iter().zip(cells) {
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            let missing = " ".repeat(width.saturating_sub(measure_text_width(cell)));
            if *right {
                line.push_str(&missing);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&missing);
            }
        }
        let line = line.trim_end();
        if measure_text_width(line) <= room {
            line.to_owned()
        } else {
            truncate_str(&clipped(line, room), room, "").into_owned()
        }
    }
}

fn row_cells(row: &Row, listing: &Listing, state: &State, any_sender: bool) -> Vec<String> {
    let time = |nanoseconds| {
        let time = listing.clock.text(nanoseconds);
        time.map_or_else(|| "-".to_owned(), |time| state.times.hour(&time))
    };
    let mut line = vec![rate(row.count.packets, listing), number(row.total)];
    line.extend(cells(row, &listing.names, &state.services));
    line.extend(any_sender.then(|| sent_by(sender(row), &listing.names)));
    line.extend([time(row.count.last), time(row.count.first)]);
    line
}

/// Packets a second, as whole ones; a little is not nothing.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "packets a second, below 2⁵²"
)]
fn rate(packets: u64, listing: &Listing) -> String {
    let seconds = listing.length.as_secs_f64();
    if packets == 0 || seconds <= 0.0 {
        return "-".to_owned();
    }
    let rate = packets as f64 / seconds;
    if rate < 1.0 {
        return "<1/s".to_owned();
    }
    format!("{}/s", number(rate.round() as u64))
}
