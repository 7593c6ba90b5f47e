//! The live screen of `ctdrop watch`.
//!
//! `state` is what is on it: updates and keys go in, effects come out. `layout`,
//! `content` and `draw` turn it into a frame. `terminal` and `keyboard` are the only ones
//! that touch the terminal. The totals are printed when it is left.

mod clip;
mod content;
mod decode;
mod diagnosis;
mod draw;
mod events;
mod history;
mod keyboard;
mod keys;
mod layout;
mod observed;
mod pane;
mod prompt;
mod selection;
mod state;
mod strip;
mod terminal;
#[cfg(test)]
mod tests;
mod times;

use std::{sync::Arc, thread};

use anyhow::{Context as _, Result};
use tokio::sync::{Notify, watch};

pub use self::{keyboard::listen, terminal::give_back};
use crate::{
    auto::{
        background::{self, Trigger},
        event::{self, Event as Fix, Kept, What as Fixed},
    },
    engine::{
        update::{Summary, Update},
        view::View,
    },
    say::{clock, port::Services, stdout},
    subscribers::{
        Subscriber, census,
        input::Input,
        playback::Steering,
        recording::Recording,
        screen::{
            state::{Effect, State},
            terminal::Terminal,
        },
        text,
        worker::Inbox,
    },
};

/// What the screen can ask others for.
#[derive(Debug)]
pub struct Controls {
    /// That it ends.
    pub quit: Arc<Notify>,
    /// The rows that it shows.
    pub view: watch::Sender<View>,
    /// The replay that it shows; none if it is observed now.
    pub replay: Option<watch::Sender<Steering>>,
    /// The highest limit of a plan.
    pub ceiling: Option<u64>,
}

/// Draws a screen.
pub struct Screen {
    state: State,
    controls: Controls,
    inbox: Inbox,
    coloured: bool,
    /// None before the start, and after the end.
    terminal: Option<Terminal>,
    /// Whether the process is about to be stopped: nothing is drawn until it goes on.
    suspended: bool,
    /// What was said of fixes and evidence, for after the screen.
    said: Vec<String>,
    /// Fixes that were made.
    fixes: Vec<Kept>,
}

impl Screen {
    /// Whether standard output can show it.
    pub fn is_possible() -> bool {
        Terminal::is_possible()
    }

    /// Draws a screen, with ports by these names.
    pub fn new(services: Services, controls: Controls, inbox: Inbox) -> Result<Self> {
        let view = controls.view.borrow().clone();
        let mut state = State::new(services, clock::local(), view, controls.replay.is_none());
        state.times.utc = clock::is_utc();
        Ok(Self {
            state,
            controls,
            inbox,
            coloured: Terminal::is_coloured(),
            terminal: None,
            suspended: false,
            said: Vec::new(),
            fixes: Vec::new(),
        })
    }

    fn draw(&mut self) -> Result<()> {
        let Some(terminal) = self.terminal.as_mut().filter(|_| !self.suspended) else {
            return Ok(());
        };
        let (state, coloured) = (&mut self.state, self.coloured);
        terminal
            .draw(|frame| draw::screen(frame, state, coloured))
            .context(stdout::CANNOT_WRITE)
    }

    fn perform(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Quit => self.controls.quit.notify_one(),
            Effect::Look(view) => {
                self.controls.view.send_replace(view);
            }
            Effect::Steer(steering) => {
                if let Some(replay) = &self.controls.replay {
                    replay.send_replace(steering);
                }
            }
            Effect::Copy(text) => Terminal::copy(&text).context(stdout::CANNOT_WRITE)?,
            Effect::Redraw => {
                if let Some(terminal) = &mut self.terminal {
                    terminal.redraw();
                }
            }
            Effect::Census(netns) => self.answer("census", move || {
                let taken = census::take(netns).map_err(|error| format!("{error:#}"));
                Input::Census(netns, Box::new(taken))
            })?,
            Effect::Plan(trigger) => {
                let ceiling = self.controls.ceiling;
                self.answer("plan", move || {
                    Input::Plan(Box::new(plan(&trigger, ceiling)))
                })?;
            }
        }
        Ok(())
    }

    /// Answers in a thread of its own: it takes some time.
    fn answer(&self, name: &str, answer: impl FnOnce() -> Input + Send + 'static) -> Result<()> {
        let inbox = self.inbox.clone();
        let thread = thread::Builder::new().name(name.to_owned());
        thread
            .spawn(move || inbox.put(answer()))
            .with_context(|| format!("cannot start a thread for the {name}"))?;
        Ok(())
    }

    fn finish(&mut self, summary: &Summary) -> Result<()> {
        self.terminal = None;
        let header = self.state.header().map(text::header::about);
        let mut totals = text::report::summary(summary, &self.state.services);
        totals.extend(event::summary(&self.fixes));
        let header = header.unwrap_or_default();
        stdout::lines(header.iter().chain(&self.said).chain(&totals))
    }
}

/// What `ctdrop fix` would do.
fn plan(trigger: &Trigger, ceiling: Option<u64>) -> Result<event::PlanReport, String> {
    match background::plan_only(trigger, ceiling) {
        Fixed::Planned(report) => Ok(*report),
        Fixed::Failed(error) => Err(error),
        _ => Err("there is no plan".to_owned()),
    }
}

impl Subscriber for Screen {
    fn update(&mut self, update: &Update) -> Result<()> {
        match update {
            Update::Waiting { .. } => text::say_waiting(),
            Update::Started(_) if self.terminal.is_none() => {
                self.terminal = Some(Terminal::new());
            }
            Update::Finished(summary) => return self.finish(summary),
            _ => {}
        }
        self.state.update(update);
        Ok(())
    }

    fn input(&mut self, input: &Input) -> Result<()> {
        match self.state.input(input) {
            Some(effect) => self.perform(effect),
            None => Ok(()),
        }
    }

    fn caught_up(&mut self) -> Result<()> {
        self.draw()
    }

    fn suspend(&mut self) -> Result<()> {
        self.suspended = true;
        match &mut self.terminal {
            Some(terminal) => terminal.leave().context(stdout::CANNOT_WRITE),
            None => Ok(()),
        }
    }

    fn resume(&mut self) -> Result<()> {
        self.suspended = false;
        if let Some(terminal) = &mut self.terminal {
            terminal.forget();
        }
        Ok(())
    }

    fn fix(&mut self, fix: &Fix) -> Result<()> {
        self.state.fixed(fix);
        self.said.extend(fix.lines());
        self.fixes.extend(fix.kept().cloned());
        Ok(())
    }

    fn recording(&mut self, recording: &Recording) -> Result<()> {
        self.state.recorded(recording);
        self.said.extend(recording.lines());
        Ok(())
    }
}
