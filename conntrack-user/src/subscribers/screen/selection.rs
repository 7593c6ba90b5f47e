//! The row that is selected, and the rows that have room.

use crate::{
    engine::rows::{Row, Subject},
    subscribers::screen::keys::Move,
};

/// Columns that can be left out on the left.
const COLUMNS: usize = 6;

/// The row that is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// What it is about: its place changes. None is the first row, whatever it is about.
    subject: Option<Subject>,
    /// Its place when it was last seen.
    place: usize,
    /// The first row that has room.
    pub(super) top: usize,
    /// Columns that are left out on the left.
    pub(super) shift: usize,
}

impl Selection {
    /// The place of the selected row.
    pub(super) fn place(&self, rows: &[Row]) -> usize {
        let last = rows.len().saturating_sub(1);
        let Some(subject) = self.subject else {
            return 0;
        };
        let found = rows.iter().position(|row| row.subject == subject);
        found.unwrap_or(self.place).min(last)
    }

    /// Goes to another row, with so many rows on a page.
    pub(super) fn step(&mut self, step: Move, place: usize, rows: &[Row], page: usize) {
        let last = rows.len().saturating_sub(1);
        let page = page.max(1);
        let place = match step {
            Move::Up => place.saturating_sub(1),
            Move::Down => (place + 1).min(last),
            Move::PageUp => place.saturating_sub(page),
            Move::PageDown => (place + page).min(last),
            Move::First => 0,
            Move::Last => last,
            Move::Left => {
                self.shift = self.shift.saturating_sub(1);
                return;
            }
            Move::Right => {
                self.shift = (self.shift + 1).min(COLUMNS);
                return;
            }
        };
        self.place = place;
        self.subject = rows.get(place).filter(|_| place > 0).map(|row| row.subject);
    }

    /// Keeps the selected row, which is at `place` now, among those that have room.
    pub(super) fn fit(&mut self, place: usize, rows: usize, room: usize) {
        self.place = place;
        let lowest = (place + 1).saturating_sub(room);
        self.top = self.top.clamp(lowest, place.max(lowest));
        self.top = self.top.min(rows.saturating_sub(room));
    }
}
