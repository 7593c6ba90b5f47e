//! Looks who is in a table, in a thread of its own: a dump of a large table takes
//! seconds, and so does waiting for the second look.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{self, Receiver, TryRecvError},
    },
    thread,
};

use anyhow::Result;

use crate::{
    incident::lifecycle::Cause,
    subscribers::census::{self, Taken},
};

/// Looks that wait for their turn; later ones are left out.
const WAITING: usize = 8;

type Look = Arc<dyn Fn(u32) -> Result<Taken> + Send + Sync>;

/// Looks who is in tables, one after the other.
pub(super) struct Looker {
    look: Look,
    waiting: VecDeque<(i64, Cause, u32)>,
    at_work: Option<(i64, Cause, Receiver<Result<Taken>>)>,
}

impl Looker {
    /// Looks at tables of this host.
    pub(super) fn of_this_host() -> Self {
        Self::by(census::take)
    }

    /// Looks in this way.
    pub(super) fn by(look: impl Fn(u32) -> Result<Taken> + Send + Sync + 'static) -> Self {
        Self {
            look: Arc::new(look),
            waiting: VecDeque::new(),
            at_work: None,
        }
    }

    /// Asks who is in the table of a namespace, for an incident. Never waits.
    pub(super) fn ask(&mut self, incident: i64, cause: Cause, netns: u32) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back((incident, cause, netns));
        }
        self.begin_next();
    }

    /// What a look has found, if one is over. One that was not possible, as the namespace
    /// is gone, has found nothing.
    pub(super) fn taken(&mut self) -> Option<(i64, Cause, Taken)> {
        let (incident, cause, receiver) = self.at_work.as_ref()?;
        let (incident, cause) = (*incident, *cause);
        let outcome = match receiver.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => None,
            Ok(outcome) => outcome.ok(),
        };
        self.at_work = None;
        self.begin_next();
        outcome.map(|taken| (incident, cause, taken))
    }

    /// Nobody wants to know any more what was asked for.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.at_work = None;
    }

    fn begin_next(&mut self) {
        if self.at_work.is_some() {
            return;
        }
        let Some((incident, cause, netns)) = self.waiting.pop_front() else {
            return;
        };
        let (sender, receiver) = mpsc::channel();
        let look = Arc::clone(&self.look);
        let thread = thread::Builder::new().name("census".to_owned());
        // Without a thread there is no census, and the incident is judged without one.
        let started = thread.spawn(move || {
            let _ = sender.send(look(netns));
        });
        if started.is_ok() {
            self.at_work = Some((incident, cause, receiver));
        }
    }
}
