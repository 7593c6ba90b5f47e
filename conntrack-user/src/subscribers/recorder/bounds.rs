//! How much evidence is kept, which can change while it is recorded.

use tokio::sync::watch;

use crate::{store::keep::Bounds, subscribers::recorder::Recorder};

impl Recorder {
    /// Keeps as much as this says, from now on.
    pub fn follow(&mut self, bounds: watch::Receiver<Bounds>) {
        self.latest_bounds = Some(bounds);
    }

    /// Takes in how much is to be kept, if that has changed.
    pub(super) fn take_bounds(&mut self) {
        let Some(latest) = &mut self.latest_bounds else {
            return;
        };
        let bounds = *latest.borrow_and_update();
        if bounds != self.bounds {
            self.bounds = bounds;
            if let Some(store) = &mut self.store {
                store.keep(bounds);
            }
        }
    }
}
