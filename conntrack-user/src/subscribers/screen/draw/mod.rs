//! Draws what is on the screen.

mod bands;
mod parts;
mod table;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Clear, Widget as _},
};

use crate::subscribers::screen::{
    content::{self, bold, dim},
    draw::parts::{draw_lines, rule, split},
    layout::Layout,
    pane::Pane,
    state::{Overlay, State},
};

/// Fits what is scrolled into the frame, and draws.
pub(super) fn screen(frame: &mut Frame<'_>, state: &mut State, coloured: bool) {
    let area = frame.area();
    let layout = Layout::of(state, area.as_size());
    let below = content::lines(state.panes.shown(), state, area.width);
    state.fit(layout.room(), below.len());
    let buffer = frame.buffer_mut();
    bands::header(buffer, layout.header, state);
    bands::slider(buffer, layout.slider, state);
    bands::strip(buffer, layout.strip, state);
    bands::reasons(buffer, layout.reasons, state);
    bands::doubts(buffer, layout.doubts, state);
    bands::verdict(buffer, layout.verdict, state);
    table::draw(buffer, layout.table, state);
    pane(buffer, layout.pane, state, &below);
    let cursor = bands::footer(buffer, layout.footer, state);
    if let Some(overlay) = state.overlay {
        page(buffer, area, overlay, state);
    }
    if !coloured {
        without_colours(buffer);
    }
    if let Some(cursor) = cursor.filter(|_| state.overlay.is_none()) {
        frame.set_cursor_position(cursor);
    }
}

fn pane(buffer: &mut Buffer, area: Rect, state: &State, lines: &[Line<'static>]) {
    let Some((title, rest)) = split(area) else {
        return;
    };
    let shown = state.panes.shown();
    let mut names = Vec::new();
    for pane in Pane::BELOW {
        let style = if pane == shown { bold() } else { dim() };
        let style = if pane == state.panes.focus() {
            style.add_modifier(Modifier::REVERSED)
        } else {
            style
        };
        names.push(Span::styled(format!(" {} ", pane.name()), style));
    }
    let hidden = lines.len().saturating_sub(rest.height.into());
    if hidden > 0 {
        let place = format!(
            "  {}–{} of {} lines",
            state.panes.top() + 1,
            state.panes.top() + usize::from(rest.height),
            lines.len()
        );
        names.push(Span::styled(place, dim()));
    }
    rule(buffer, title, Line::from(names));
    draw_lines(buffer, rest, lines.iter().skip(state.panes.top()));
}

/// A page that covers all but the last line.
fn page(buffer: &mut Buffer, area: Rect, overlay: Overlay, state: &State) {
    Clear.render(area, buffer);
    let Some((title, rest)) = split(area) else {
        return;
    };
    let name = match overlay {
        Overlay::Help => "keys",
        Overlay::Sight => "what is seen here",
    };
    let name = format!(" {name} (Esc closes) ");
    rule(buffer, title, Line::styled(name, bold()));
    let lines = content::page(overlay, state, area.width);
    draw_lines(buffer, rest, lines.iter());
}

/// Keeps what is bold or reversed.
fn without_colours(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        cell.set_style(Style::new().fg(Color::Reset).bg(Color::Reset));
    }
}
