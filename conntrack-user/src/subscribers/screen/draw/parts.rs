//! Titles and lines.

use ratatui::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget as _};

use crate::subscribers::screen::content::dim;

/// The first line, and the others; none if there is no line.
pub(super) const fn split(area: Rect) -> Option<(Rect, Rect)> {
    if area.height == 0 {
        return None;
    }
    let title = Rect { height: 1, ..area };
    let rest = Rect {
        y: area.y + 1,
        height: area.height - 1,
        ..area
    };
    Some((title, rest))
}

/// A title on a line of its own.
pub(super) fn rule(buffer: &mut Buffer, area: Rect, title: Line<'_>) {
    for x in area.left()..area.right() {
        buffer[(x, area.y)].set_char('─').set_style(dim());
    }
    title.render(area, buffer);
}

pub(super) fn draw_lines<'a>(
    buffer: &mut Buffer,
    area: Rect,
    lines: impl Iterator<Item = &'a Line<'a>>,
) {
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        let line_area = Rect {
            y,
            height: 1,
            ..area
        };
        line.render(line_area, buffer);
    }
}
