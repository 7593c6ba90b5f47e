//! The guard as a subscriber: it acts on refused packets, and what it does becomes
//! updates for the others.

use anyhow::Result;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    auto::{
        event::Event,
        guard::{Guard, Mode},
    },
    engine::update::Update,
    kernel::presence::Presence,
    subscribers::Subscriber,
};

/// Fixes what can be fixed.
pub struct Fixer {
    mode: Mode,
    ceiling: Option<u64>,
    /// None as long as conntrack is not loaded.
    guard: Option<Guard>,
    events: UnboundedSender<Event>,
}

impl Fixer {
    /// Gets ready, so that the first refused packet finds it so. What it does comes
    /// out of the receiver, which ends with the guard.
    pub fn prepare(mode: Mode, ceiling: Option<u64>) -> Result<(Self, UnboundedReceiver<Event>)> {
        let guard = match Presence::read()? {
            Presence::Absent => None,
            _ => Some(Guard::prepare(mode, ceiling)?),
        };
        let (events, receiver) = unbounded_channel();
        let fixer = Self {
            mode,
            ceiling,
            guard,
            events,
        };
        Ok((fixer, receiver))
    }
}

impl Subscriber for Fixer {
    fn update(&mut self, update: &Update) -> Result<()> {
        let events = match (update, &mut self.guard) {
            (Update::Started(_), guard @ None) => {
                *guard = Some(Guard::prepare(self.mode, self.ceiling)?);
                Vec::new()
            }
            (Update::Refused(refused), Some(guard)) => guard.look(refused)?,
            (Update::Finished(_), Some(guard)) => guard.finish()?,
            _ => Vec::new(),
        };
        for event in events {
            // Nobody is told any more if the command has failed.
            let _ = self.events.send(event);
        }
        Ok(())
    }
}
