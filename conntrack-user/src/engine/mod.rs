//! What is observed, apart from any screen: [`Engine::next`] says what has happened
//! since the last time, as plain data.
//!
//! `session` owns the observer and turns what it counts into [`update`]s: a
//! [`header`], a [`report`] after each interval, with [`figures`], [`rows`] and
//! [`names`], and the totals. [`options`] say what is asked for.

mod alert;
pub mod by;
pub mod captured;
pub mod figures;
pub mod header;
pub mod ineffective;
pub mod limit;
pub mod names;
pub mod options;
pub mod refusals;
pub mod refused_flows;
pub mod report;
pub mod rows;
pub mod select;
mod session;
pub mod source;
pub mod update;
pub mod view;
pub mod watched_netns;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::{future, mem, pin::Pin, time::Duration};

use anyhow::Result;
use conntrack_ebpf::capture::CaptureOrder;
use tokio::time;

use crate::{
    engine::{options::Options, session::Session, source::Source, update::Update},
    kernel::presence::Presence,
    observe::observer::{Observer, options::Wanted},
};

/// How often it is tried whether conntrack is loaded.
const PRESENCE: Duration = Duration::from_millis(50);

/// Observes, and says what has happened. Dropping it ends the observation.
pub struct Engine<S = Observer> {
    options: Options,
    /// When to end.
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whether there is something to observe.
    is_loaded: fn() -> Result<bool>,
    /// Makes the observer.
    open: Open<S>,
    state: State<S>,
}

type Open<S> = Box<dyn FnMut(&Options, Option<CaptureOrder>) -> Result<S> + Send>;

enum State<S> {
    /// Conntrack was not loaded when that was last tried, if it was.
    Waiting { said: bool },
    /// It observes.
    Observing(Box<Session<S>>),
    /// An error has ended that: the totals are still to be taken.
    Failed(Box<Session<S>>),
    /// The totals were taken.
    Finished(Box<Session<S>>),
    /// Nothing more comes.
    Over,
}

impl Engine {
    /// Observes as `options` say, until they or `shutdown` end it. Nothing happens
    /// before the first call of [`Self::next`].
    pub fn new(options: Options, shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::of(
            options,
            shutdown,
            || Ok(Presence::read()? != Presence::Absent),
            |options, capture| {
                Observer::start(Wanted {
                    backend: options.backend,
                    arm: options.arm,
                    release_module: options.release_module,
                    capture,
                })
            },
        )
    }
}

impl<S: Source> Engine<S> {
    fn of(
        options: Options,
        shutdown: impl Future<Output = ()> + Send + 'static,
        is_loaded: fn() -> Result<bool>,
        open: impl FnMut(&Options, Option<CaptureOrder>) -> Result<S> + Send + 'static,
    ) -> Self {
        let duration = options.duration;
        Self {
            options,
            end: Box::pin(async move {
                tokio::select! {
                    () = shutdown => {}
                    () = over(duration) => {}
                }
            }),
            is_loaded,
            open: Box::new(open),
            state: State::Waiting { said: false },
        }
    }

    /// Waits for the next update; none comes after [`Update::Finished`].
    ///
    /// It may be dropped before it has ended, without a loss.
    ///
    /// # Errors
    ///
    /// What cannot be observed, and why. If the observation has begun, the totals of
    /// what was counted until then come with the next call.
    pub async fn next(&mut self) -> Result<Option<Update>> {
        loop {
            match &mut self.state {
                State::Waiting { said } => {
                    let said = mem::replace(said, true);
                    if self.begin()? {
                        continue;
                    }
                    if !said {
                        return Ok(Some(Update::waiting()));
                    }
                    tokio::select! {
                        biased;
                        () = &mut self.end => self.state = State::Over,
                        () = time::sleep(PRESENCE) => {}
                    }
                }
                State::Observing(session) => {
                    if let Some(update) = session.take() {
                        return Ok(Some(update));
                    }
                    let step = tokio::select! {
                        biased;
                        () = &mut self.end => None,
                        step = session.step() => Some(step),
                    };
                    match step {
                        Some(Ok(())) => {}
                        Some(Err(error)) => {
                            self.fail();
                            return Err(error);
                        }
                        None => self.finish()?,
                    }
                }
                State::Failed(_) => self.finish()?,
                State::Finished(session) => match session.take() {
                    Some(update) => return Ok(Some(update)),
                    None => self.state = State::Over,
                },
                State::Over => return Ok(None),
            }
        }
    }

    /// Begins to observe, if there is something to observe. Whether it has begun.
    fn begin(&mut self) -> Result<bool> {
        match self.session() {
            Ok(Some(session)) => self.state = State::Observing(Box::new(session)),
            Ok(None) => return Ok(false),
            Err(error) => {
                self.state = State::Over;
                return Err(error);
            }
        }
        Ok(true)
    }

    fn session(&mut self) -> Result<Option<Session<S>>> {
        if !(self.is_loaded)()? {
            return Ok(None);
        }
        Session::begin(self.options.clone(), &mut self.open).map(Some)
    }

    fn fail(&mut self) {
        if let State::Observing(session) = mem::replace(&mut self.state, State::Over) {
            self.state = State::Failed(session);
        }
    }

    /// Takes the totals.
    fn finish(&mut self) -> Result<()> {
        if let State::Observing(mut session) | State::Failed(mut session) =
            mem::replace(&mut self.state, State::Over)
        {
            session.finish()?;
            self.state = State::Finished(session);
        }
        Ok(())
    }
}

async fn over(duration: Option<Duration>) {
    match duration {
        Some(duration) => time::sleep(duration).await,
        None => future::pending().await,
    }
}
