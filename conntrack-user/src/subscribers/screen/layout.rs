//! How many lines each part of the screen has: of little room, what matters most.

use ratatui::layout::{Rect, Size};

use crate::subscribers::screen::{
    pane::Pane,
    state::{Room, State},
};

/// The fewest lines of a terminal that shows namespaces and the diagnosis.
const MIDDLE: u16 = 12;

/// The fewest lines of one that shows a pane below the table.
const LARGE: u16 = 20;

/// Where each part is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    pub(super) header: Rect,
    /// Where a replay is.
    pub(super) slider: Rect,
    /// Namespaces, a line each.
    pub(super) strip: Rect,
    /// Packets refused, and a line for each reason.
    pub(super) reasons: Rect,
    pub(super) doubts: Rect,
    /// Why packets are refused, in a line.
    pub(super) verdict: Rect,
    /// A title, the names of the columns, and rows.
    pub(super) table: Rect,
    /// A title and lines.
    pub(super) pane: Rect,
    pub(super) footer: Rect,
}

/// Lines of each part.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    left: u16,
    header: u16,
    slider: u16,
    strip: u16,
    reasons: u16,
    doubts: u16,
    verdict: u16,
    table: u16,
    pane: u16,
    footer: u16,
}

impl Lines {
    fn take(&mut self, wanted: usize) -> u16 {
        let taken = u16::try_from(wanted).unwrap_or(u16::MAX).min(self.left);
        self.left -= taken;
        taken
    }

    fn of(state: &State, height: u16) -> Self {
        let mut lines = Self {
            left: height,
            ..Self::default()
        };
        let shown = &state.shown;
        let part = |of: u16| usize::from((height / of).max(1));
        lines.reasons = lines.take(1 + shown.history.kinds.len().min(part(5)));
        lines.footer = lines.take(usize::from(height > 3));
        lines.header = lines.take(usize::from(height > 4));
        let replays = state.position.is_some() && height > 8;
        lines.slider = lines.take(usize::from(replays));
        lines.doubts = lines.take(shown.doubts.len().min(part(12)));
        if height >= MIDDLE {
            let verdict = shown.diagnosis.worst().is_some();
            lines.verdict = lines.take(usize::from(verdict));
            let matter = shown.strip.those_that_matter().len();
            lines.strip = lines.take(matter.min(part(12)));
        }
        let is_large = height >= LARGE;
        let (table, pane) = match (state.panes.focus(), is_large) {
            (Pane::Table, true) => (lines.left, height / 5),
            (Pane::Table, false) => (lines.left, 0),
            (_, true) => (5, lines.left),
            (_, false) => (0, lines.left),
        };
        if state.panes.focus() == Pane::Table {
            lines.pane = lines.take(pane.into());
            lines.table = lines.take(table.into());
        } else {
            lines.table = lines.take(table.into());
            lines.pane = lines.take(pane.into());
        }
        lines
    }
}

impl Layout {
    /// The parts of a terminal of that size.
    pub(super) fn of(state: &State, size: Size) -> Self {
        let lines = Lines::of(state, size.height);
        let mut y = 0;
        let mut next = |height| {
            let area = Rect::new(0, y, size.width, height);
            y += height;
            area
        };
        Self {
            header: next(lines.header),
            slider: next(lines.slider),
            strip: next(lines.strip),
            reasons: next(lines.reasons),
            doubts: next(lines.doubts),
            verdict: next(lines.verdict),
            table: next(lines.table),
            pane: next(lines.pane),
            footer: next(lines.footer),
        }
    }

    /// What can be scrolled has so much room.
    pub(super) const fn room(&self) -> Room {
        Room {
            rows: self.table.height.saturating_sub(2) as usize,
            lines: self.pane.height.saturating_sub(1) as usize,
        }
    }
}
