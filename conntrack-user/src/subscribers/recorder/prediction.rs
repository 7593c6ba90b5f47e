//! Which limit would be in force after a boot and the like, as it becomes known.

use crate::{
    store::moment::Moment,
    subscribers::{recorder::Recorder, recording::What},
};

impl Recorder {
    /// Tells and keeps what was predicted anew.
    pub(super) fn take_prediction(&mut self, at: Moment) {
        if let Some(survival) = self.surveyor.taken(at) {
            self.tell(What::Predicted(survival.clone()));
            self.pending.record.survivals.push(survival);
        }
    }
}
