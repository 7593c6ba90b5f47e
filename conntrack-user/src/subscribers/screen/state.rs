//! What is on the screen, and what keys make of it: no effect is in here.

use jiff::tz::TimeZone;

use crate::{
    auto::{
        background::Trigger,
        event::{Event as Fix, PlanReport},
    },
    engine::{
        by::By,
        header::Header,
        update::Update,
        view::{Sort, View, filter::Filter},
    },
    incident::Incident,
    say::port::Services,
    subscribers::{
        census::Taken,
        input::{Input, Key},
        json,
        playback::{Position, Steering},
        recording::Recording,
        screen::{
            keys::{self, Action, Move},
            observed::Observed,
            pane::{Answer, Pane, Panes},
            prompt::{Prompt, Typed},
            selection::Selection,
            times::Times,
        },
    },
};

/// What is on the screen.
#[derive(Debug)]
pub(super) struct State {
    pub(super) services: Services,
    /// Whether it is observed now: a replay has neither tables nor files.
    pub(super) live: bool,
    /// Rows of the table and lines of the pane below it that have room.
    pub(super) room: Room,
    pub(super) times: Times,
    /// What is shown.
    pub(super) shown: Observed,
    /// What has come since the screen was paused.
    behind: Option<Box<Observed>>,
    /// What is asked for.
    pub(super) view: View,
    pub(super) selection: Selection,
    pub(super) panes: Panes,
    pub(super) overlay: Option<Overlay>,
    /// The filter that is typed.
    pub(super) prompt: Option<Prompt>,
    /// What the last key has done, where that is not seen.
    pub(super) message: Option<String>,
    pub(super) census: Answer<Seen>,
    pub(super) plan: Answer<PlanReport>,
    /// Where a replay is.
    pub(super) position: Option<Position>,
    steering: Steering,
}

/// How much has room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Rows of the table.
    pub(super) rows: usize,
    /// Lines of the pane below it.
    pub(super) lines: usize,
}

/// Who was in a table.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) netns: u32,
    pub(super) taken: Taken,
    /// The diagnosis with it.
    pub(super) incident: Incident,
}

/// What covers the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlay {
    Help,
    Sight,
}

/// What somebody else is to do.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// End.
    Quit,
    /// Tell these rows.
    Look(View),
    /// Keep this text for pasting.
    Copy(String),
    /// See who is in the table of a namespace.
    Census(u32),
    /// Make a plan.
    Plan(Trigger),
    /// Steer the replay.
    Steer(Steering),
    /// Draw everything anew.
    Redraw,
}

impl State {
    /// Nothing was observed yet.
    pub(super) fn new(services: Services, zone: TimeZone, view: View, live: bool) -> Self {
        Self {
            services,
            live,
            room: Room::default(),
            times: Times::of(zone),
            shown: Observed::default(),
            behind: None,
            view,
            selection: Selection::default(),
            panes: Panes::default(),
            overlay: None,
            prompt: None,
            message: None,
            census: Answer::default(),
            plan: Answer::default(),
            position: None,
            steering: Steering::default(),
        }
    }

    /// The latest, shown or not.
    fn latest(&mut self) -> &mut Observed {
        self.behind.as_deref_mut().unwrap_or(&mut self.shown)
    }

    /// Whether the screen stands still.
    pub(super) const fn is_paused(&self) -> bool {
        self.behind.is_some()
    }

    /// Takes an update in.
    pub(super) fn update(&mut self, update: &Update) {
        self.latest().take(update);
        // Other rows than were asked for before are an answer to a key.
        if let Update::Listing(listing) = update
            && self.behind.is_some()
            && self
                .shown
                .listing
                .as_ref()
                .is_none_or(|it| it.view != listing.view)
        {
            self.shown.listing = Some((**listing).clone());
        }
    }

    /// Takes in what was done about refused packets.
    pub(super) fn fixed(&mut self, fix: &Fix) {
        self.latest().fixed(fix);
    }

    /// Takes in what the recorder reports.
    pub(super) fn recorded(&mut self, recording: &Recording) {
        self.latest().recorded(recording);
    }

    /// Where this runs.
    pub(super) const fn header(&self) -> Option<&Header> {
        self.shown.header.as_ref()
    }

    /// Fits what is scrolled into the room that there is; the pane below the table has
    /// so many lines.
    pub(super) fn fit(&mut self, room: Room, lines: usize) {
        self.room = room;
        let listing = self.shown.listing.as_ref();
        let rows = listing.map_or(0, |it| it.rows.top.len());
        let selected = self.selected();
        self.selection.fit(selected, rows, room.rows);
        self.panes.fit(lines, room.lines);
    }

    /// The place of the row that is selected.
    pub(super) fn selected(&self) -> usize {
        let listing = self.shown.listing.as_ref();
        listing.map_or(0, |it| self.selection.place(&it.rows.top))
    }

    /// Takes what has come beside updates.
    pub(super) fn input(&mut self, input: &Input) -> Option<Effect> {
        match input {
            Input::Key(key) => return self.press(*key),
            Input::Resized => return Some(Effect::Redraw),
            Input::Position(position) => self.position = Some(position.clone()),
            Input::Census(netns, outcome) => {
                self.census = match &**outcome {
                    Ok(taken) => Answer::Here(self.seen(*netns, taken)),
                    Err(error) => Answer::Failed(error.clone()),
                };
            }
            Input::Plan(outcome) => {
                self.plan = match &**outcome {
                    Ok(report) => Answer::Here(report.clone()),
                    Err(error) => Answer::Failed(error.clone()),
                };
            }
        }
        None
    }

    fn seen(&mut self, netns: u32, taken: &Taken) -> Seen {
        let census = &taken.census;
        let incident = self.shown.diagnosis.take_census(netns, census);
        if let Some(behind) = &mut self.behind {
            behind.diagnosis.take_census(netns, census);
        }
        Seen {
            netns,
            taken: taken.clone(),
            incident,
        }
    }

    fn press(&mut self, key: Key) -> Option<Effect> {
        self.message = None;
        if self.prompt.is_some() {
            return self.type_in(key);
        }
        let action = keys::action(key)?;
        if self.overlay.is_some() {
            return self.press_over(action);
        }
        self.act(action)
    }

    /// A key while a page of help covers the screen.
    fn press_over(&mut self, action: Action) -> Option<Effect> {
        let (help, sight) = (Action::Help, Action::Sight);
        match action {
            Action::Quit | Action::Redraw => return self.act(action),
            _ if action == help && self.overlay != Some(Overlay::Help) => {
                self.overlay = Some(Overlay::Help);
            }
            _ if action == sight && self.overlay != Some(Overlay::Sight) => {
                self.overlay = Some(Overlay::Sight);
            }
            _ => self.overlay = None,
        }
        None
    }

    fn act(&mut self, action: Action) -> Option<Effect> {
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Redraw => return Some(Effect::Redraw),
            Action::Copy => return self.copy(),
            Action::Census => return self.ask_census(),
            Action::Plan => return self.ask_plan(),
            Action::Sort => {
                self.view.sort = next(&Sort::ALL, self.view.sort, false);
                self.view.reversed = false;
                return Some(self.look());
            }
            Action::Reverse => {
                self.view.reversed = !self.view.reversed;
                return Some(self.look());
            }
            Action::By { back } => {
                self.view.by = next(&By::ALL, self.view.by, back);
                self.selection = Selection::default();
                return Some(self.look());
            }
            Action::Close => return self.close(),
            Action::Seek { back } => {
                self.steering = self.steering.gone(self.position.as_ref()?, back);
                return Some(Effect::Steer(self.steering));
            }
            Action::Speed { slower } => {
                self.steering = self.steering.at_speed(self.position.as_ref()?, slower);
                return Some(Effect::Steer(self.steering));
            }
            Action::Move(step) => self.step(step),
            Action::Pane { back } => self.panes.turn(back),
            Action::Filter => self.prompt = Some(Prompt::with(self.view.filter.text())),
            Action::Pause => self.pause(),
            Action::Clock => self.times.utc = !self.times.utc,
            Action::Help => self.overlay = Some(Overlay::Help),
            Action::Sight => self.overlay = Some(Overlay::Sight),
        }
        None
    }

    fn look(&self) -> Effect {
        Effect::Look(self.view.clone())
    }

    fn type_in(&mut self, key: Key) -> Option<Effect> {
        let prompt = self.prompt.as_mut()?;
        match prompt.press(key) {
            Typed::Text => None,
            Typed::Cancelled => {
                self.prompt = None;
                None
            }
            Typed::Done => {
                self.view.filter = Filter::parse(prompt.text());
                self.prompt = None;
                self.selection = Selection::default();
                Some(self.look())
            }
        }
    }

    /// Back to the table; from there, to all rows.
    fn close(&mut self) -> Option<Effect> {
        if self.panes.focus() != Pane::Table {
            self.panes.show(Pane::Table);
            return None;
        }
        if self.view.filter.is_empty() {
            return None;
        }
        self.view.filter = Filter::default();
        Some(self.look())
    }

    fn step(&mut self, step: Move) {
        if self.panes.focus() != Pane::Table {
            self.panes.step(step, self.room.lines);
            return;
        }
        let place = self.selected();
        if let Some(listing) = &self.shown.listing {
            self.selection
                .step(step, place, &listing.rows.top, self.room.rows);
        }
    }

    fn pause(&mut self) {
        match self.behind.take() {
            Some(latest) => self.shown = *latest,
            None => self.behind = Some(Box::new(self.shown.clone())),
        }
    }

    fn copy(&mut self) -> Option<Effect> {
        let listing = self.shown.listing.as_ref()?;
        let row = listing
            .rows
            .top
            .get(self.selection.place(&listing.rows.top))?;
        let json = json::row(row, &listing.names, listing.clock).to_string();
        self.message = Some("copied the row as JSON to the clipboard of the terminal".to_owned());
        Some(Effect::Copy(json))
    }

    fn ask_census(&mut self) -> Option<Effect> {
        self.panes.show(Pane::Census);
        if !self.live {
            self.census = Answer::Failed("a replay has no table to read".to_owned());
            return None;
        }
        if self.census.is_asked() {
            return None;
        }
        let Some(netns) = self.suspect() else {
            let why = if self.shown.listing.is_none() {
                "the tables are not known before the first interval has ended: press w again then"
            } else {
                "no table has entries"
            };
            self.census = Answer::Failed(why.to_owned());
            return None;
        };
        self.census = Answer::Asked;
        Some(Effect::Census(netns))
    }

    /// The namespace whose table matters most.
    fn suspect(&self) -> Option<u32> {
        let incident = self.shown.diagnosis.worst();
        let judged = incident.and_then(|it| it.remedies.netns.inode);
        let fullest = self.shown.strip.those_that_matter();
        judged
            .filter(|&netns| netns != 0)
            .or_else(|| fullest.iter().map(|it| it.netns).find(|&netns| netns != 0))
    }

    fn ask_plan(&mut self) -> Option<Effect> {
        let again = self.panes.focus() == Pane::Plan;
        self.panes.show(Pane::Plan);
        if !self.live {
            self.plan = Answer::Failed("a replay has no files to change".to_owned());
            return None;
        }
        let is_known = matches!(self.plan, Answer::Here(_)) || !self.shown.plan.is_empty();
        if self.plan.is_asked() || is_known && !again {
            return None;
        }
        let Some(trigger) = self.shown.trigger() else {
            self.plan = Answer::Failed(
                "no packet was refused here that a higher limit or more buckets would let in; \
                 ctdrop fix plans for what is known of the load"
                    .to_owned(),
            );
            return None;
        };
        self.plan = Answer::Asked;
        Some(Effect::Plan(trigger))
    }
}

/// The next of all.
fn next<T: Copy + PartialEq>(all: &[T], now: T, back: bool) -> T {
    let place = all.iter().position(|one| *one == now).unwrap_or(0);
    let step = if back { all.len() - 1 } else { 1 };
    all[(place + step) % all.len()]
}
