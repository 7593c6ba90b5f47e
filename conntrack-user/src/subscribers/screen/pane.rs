//! The panes, and how far each is scrolled.

use crate::subscribers::screen::keys::Move;

/// A pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    /// The rows.
    #[default]
    Table,
    /// What has happened.
    Events,
    /// Why packets are refused, and what helps.
    Incident,
    /// Who fills the table.
    Census,
    /// What `ctdrop fix` would do.
    Plan,
}

impl Pane {
    /// Each of them.
    pub(super) const ALL: [Self; 5] = [
        Self::Table,
        Self::Events,
        Self::Incident,
        Self::Census,
        Self::Plan,
    ];

    /// Those below the table.
    pub(super) const BELOW: [Self; 4] = [Self::Events, Self::Incident, Self::Census, Self::Plan];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Events => "events",
            Self::Incident => "incident",
            Self::Census => "who",
            Self::Plan => "fix",
        }
    }
}

/// Which pane has the keys, and which one is shown below the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Panes {
    focus: Pane,
    below: Below,
}

/// The pane below the table.
#[derive(Clone, Copy, Debug)]
struct Below {
    pane: Pane,
    /// Lines above those that are shown; none is the end, also when more lines come.
    top: Option<usize>,
    /// How many there can be.
    most: usize,
}

impl Default for Below {
    fn default() -> Self {
        Self::of(Pane::Events)
    }
}

impl Below {
    const fn of(pane: Pane) -> Self {
        let top = match pane {
            Pane::Events => None,
            _ => Some(0),
        };
        Self { pane, top, most: 0 }
    }
}

impl Panes {
    /// The pane that has the keys.
    pub(super) const fn focus(&self) -> Pane {
        self.focus
    }

    /// The pane below the table.
    pub(super) const fn shown(&self) -> Pane {
        self.below.pane
    }

    /// The first line of it that is shown.
    pub(super) fn top(&self) -> usize {
        self.below.top.unwrap_or(self.below.most)
    }

    /// Gives the keys to a pane.
    pub(super) fn show(&mut self, pane: Pane) {
        self.focus = pane;
        if pane != Pane::Table && self.below.pane != pane {
            self.below = Below::of(pane);
        }
    }

    /// Gives them to the next one, or the one before.
    pub(super) fn turn(&mut self, back: bool) {
        let all = Pane::ALL;
        let place = all.iter().position(|it| *it == self.focus).unwrap_or(0);
        let step = if back { all.len() - 1 } else { 1 };
        self.show(all[(place + step) % all.len()]);
    }

    /// Scrolls, with so many lines on a page.
    pub(super) fn step(&mut self, step: Move, page: usize) {
        let (top, most, page) = (self.top(), self.below.most, page.max(1));
        let top = match step {
            Move::Up => top.saturating_sub(1),
            Move::Down => top + 1,
            Move::PageUp => top.saturating_sub(page),
            Move::PageDown => top + page,
            Move::First => 0,
            Move::Last => most,
            Move::Left | Move::Right => return,
        };
        let at_end = self.below.pane == Pane::Events && top >= most;
        self.below.top = (!at_end).then_some(top.min(most));
    }

    /// The pane has so many lines, and room for some of them.
    pub(super) fn fit(&mut self, lines: usize, room: usize) {
        self.below.most = lines.saturating_sub(room);
        let most = self.below.most;
        self.below.top = self.below.top.map(|top| top.min(most));
    }
}

/// An answer to what somebody has asked for.
#[derive(Debug, Default)]
pub(super) enum Answer<T> {
    /// Nobody has asked.
    #[default]
    Unasked,
    /// It takes some time.
    Asked,
    /// It is here.
    Here(T),
    /// There is none, and why.
    Failed(String),
}

impl<T> Answer<T> {
    /// Whether it is waited for.
    pub(super) const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked)
    }
}
