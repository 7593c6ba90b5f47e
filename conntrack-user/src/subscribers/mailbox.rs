//! What a subscriber has not taken yet, in bounded memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

use crate::{
    auto::event::Event as Fix,
    engine::update::Update,
    subscribers::{input::Input, recording::Recording},
};

/// How many updates wait. When more come, the oldest intervals are added up.
const ROOM: usize = 16;

/// How many keys and the like wait beside them: more than anybody pastes.
const INPUTS: usize = 512;

/// What a subscriber is told.
#[derive(Clone, Debug)]
pub(super) enum Notice {
    Update(Arc<Update>),
    Fix(Arc<Fix>),
    Recording(Arc<Recording>),
    Input(Arc<Input>),
    /// The process is about to be stopped; dropped when the terminal was left.
    Suspend(mpsc::Sender<()>),
    /// The process goes on.
    Resume,
    /// Dropped when all that came before was taken.
    Reached(mpsc::Sender<()>),
}

impl Notice {
    /// This and something later in one, if that can be.
    fn merged(&self, later: &Self) -> Option<Self> {
        match (self, later) {
            (Self::Update(earlier), Self::Update(later)) => {
                Some(Self::Update(Arc::new(earlier.merged(later)?)))
            }
            (Self::Input(earlier), Self::Input(later)) => {
                let sizes =
                    matches!(**earlier, Input::Resized) && matches!(**later, Input::Resized);
                sizes.then(|| Self::Input(Arc::clone(later)))
            }
            _ => None,
        }
    }

    /// Whether it may be left out.
    fn is_kept(&self) -> bool {
        match self {
            Self::Update(update) => update.is_kept(),
            Self::Fix(_) | Self::Recording(_) => false,
            Self::Input(_) | Self::Suspend(_) | Self::Resume | Self::Reached(_) => true,
        }
    }
}

/// Updates on their way to one subscriber.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Notice>,
    /// Whether no more come.
    closed: bool,
    /// Updates that found no room.
    lost: u64,
}

impl Mailbox {
    /// Adds an update. Never waits.
    pub(super) fn put(&self, notice: Notice) {
        self.state().put(notice);
        self.changed.notify_one();
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Whether something waits, or nothing more comes.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.closed || !state.waiting.is_empty()
    }

    /// Waits for the next update; none if no more come.
    pub(super) fn take(&self) -> Option<Notice> {
        let mut state = self.state();
        loop {
            if let Some(notice) = state.waiting.pop_front() {
                return Some(notice);
            }
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many updates found no room.
    pub(super) fn lost(&self) -> u64 {
        self.state().lost
    }

    /// Nothing that is done with it can leave it half done, so that a panic of
    /// another thread does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, notice: Notice) {
        self.waiting.push_back(notice);
        let is_input = |notice: &Notice| matches!(notice, Notice::Input(_));
        let inputs = self.waiting.iter().filter(|it| is_input(it)).count();
        if inputs > INPUTS
            && let Some(oldest) = self.waiting.iter().position(is_input)
        {
            // Keys for a terminal that takes no output: that they are gone is no loss.
            self.waiting.remove(oldest);
        }
        if self.waiting.len() - inputs.min(INPUTS) > ROOM && !self.merge() {
            let oldest = self.waiting.iter().position(|notice| !notice.is_kept());
            if let Some(oldest) = oldest {
                self.waiting.remove(oldest);
                self.lost += 1;
            }
        }
    }

    /// Makes one of the oldest two that can be. Whether there are such.
    fn merge(&mut self) -> bool {
        for early in 0..self.waiting.len() {
            let earlier = self.waiting[early].clone();
            for later in self.waiting.range_mut(early + 1..) {
                if let Some(merged) = earlier.merged(later) {
                    *later = merged;
                    self.waiting.remove(early);
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::refusals::Refusals, observe::observer::event::Event, subscribers::input::Key,
    };

    fn refused(packets: u64) -> Notice {
        Notice::Update(Arc::new(Update::Refused(Refusals {
            room: [(1, packets)].into(),
            ..Refusals::default()
        })))
    }

    fn event() -> Notice {
        Notice::Update(Arc::new(Update::Observer {
            time: String::new(),
            event: Event::Armed,
        }))
    }

    fn taken(mailbox: &Mailbox) -> Vec<Update> {
        mailbox.close();
        std::iter::from_fn(|| mailbox.take())
            .map(|notice| match notice {
                Notice::Update(update) => (*update).clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_has_room_comes_out_in_order() {
        let mailbox = Mailbox::default();
        for packets in 0..16 {
            mailbox.put(refused(packets));
        }
        let packets: Vec<u64> = taken(&mailbox)
            .iter()
            .map(|update| match update {
                Update::Refused(refused) => refused.room[&1],
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(packets, (0..16).collect::<Vec<_>>());
        assert_eq!(mailbox.lost(), 0);
    }

    #[test]
    fn what_can_be_merged_is_never_lost() {
        let mailbox = Mailbox::default();
        for packets in 0..1000 {
            mailbox.put(refused(packets));
        }
        let taken = taken(&mailbox);
        assert_eq!((taken.len(), mailbox.lost()), (ROOM, 0));
        assert!(matches!(taken.last(), Some(Update::Refused(last)) if last.room[&1] == 999));
    }

    #[test]
    fn keys_wait_beside_updates_and_have_a_bound() {
        let mailbox = Mailbox::default();
        let key = || Notice::Input(Arc::new(Input::Key(Key::Tab)));
        for _ in 0..100 {
            mailbox.put(key());
        }
        for packets in 0..ROOM as u64 {
            mailbox.put(refused(packets));
        }
        let waiting = |mailbox: &Mailbox| mailbox.state().waiting.len();
        assert_eq!((waiting(&mailbox), mailbox.lost()), (100 + ROOM, 0));
        for _ in 0..2 * INPUTS {
            mailbox.put(key());
        }
        assert_eq!((waiting(&mailbox), mailbox.lost()), (INPUTS + ROOM, 0));
    }

    #[test]
    fn what_cannot_be_merged_is_counted() {
        let mailbox = Mailbox::default();
        mailbox.put(Notice::Update(Arc::new(Update::Waiting {
            time: String::new(),
        })));
        for _ in 0..20 {
            mailbox.put(event());
        }
        mailbox.put(refused(1));
        let taken = taken(&mailbox);
        assert_eq!((taken.len(), mailbox.lost()), (ROOM, 6));
        assert!(matches!(taken[0], Update::Waiting { .. }));
        assert!(matches!(taken.last(), Some(Update::Refused(_))));
    }
}
