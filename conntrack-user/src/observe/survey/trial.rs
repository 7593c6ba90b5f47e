//! Tries backends by attaching their programs.

use std::path::Path;

use conntrack_ebpf::capture::CaptureOrder;

use crate::{
    kernel::{counters::Counters, presence::Presence, surroundings::Surroundings},
    observe::{
        arming::Attach,
        backend::Backend,
        failure::{Cause, LoadFailure, Step},
        programs::attachment::{Attached, Attachment, Prepared},
    },
};

/// Attaches the programs of one backend after another. They count nothing yet.
pub(crate) struct Trial<'a> {
    around: &'a Surroundings,
    begin: Attach,
    /// Which packets are copied.
    capture: Option<CaptureOrder>,
    /// What all backends with programs need, once one was tried.
    prepared: Option<Result<Prepared, LoadFailure>>,
}

/// What makes a backend work.
#[derive(Debug)]
pub(crate) enum Works {
    /// Its programs are attached.
    Programs(Attached),
    /// Conntrack's counters can be read.
    Counters,
}

impl<'a> Trial<'a> {
    /// Attaches the programs of a backend to begin with. They copy packets if there is an
    /// order.
    pub(crate) const fn new(
        around: &'a Surroundings,
        begin: Attach,
        capture: Option<CaptureOrder>,
    ) -> Self {
        Self {
            around,
            begin,
            capture,
            prepared: None,
        }
    }

    /// Whether packets are to be copied.
    pub(super) const fn captures(&self) -> bool {
        self.capture.is_some()
    }

    /// Tries a backend.
    pub(crate) fn attempt(&mut self, backend: Backend) -> Result<Works, LoadFailure> {
        find_conntrack()?;
        if backend == Backend::Counters {
            return find_counters().map(|()| Works::Counters);
        }
        let capture = self.capture.as_ref();
        match self.prepared.get_or_insert_with(|| Prepared::new(capture)) {
            Ok(prepared) => prepared
                .attach(backend, self.begin, self.around)
                .map(Works::Programs),
            Err(failure) => Err(failure.clone()),
        }
    }

    /// Lets the programs count that an attempt has attached.
    pub(crate) fn begin(self, attached: Attached) -> anyhow::Result<Attachment> {
        let prepared = self
            .prepared
            .and_then(Result::ok)
            .ok_or_else(|| anyhow::anyhow!("no programs were attached"))?;
        Attachment::begin(prepared, attached)
    }
}

/// Demands that there is something to observe.
pub(crate) fn find_conntrack() -> Result<(), LoadFailure> {
    match Presence::read() {
        Ok(Presence::Absent) => Err(LoadFailure::new(
            Step::FindConntrack,
            Cause::ConntrackNotLoaded,
        )),
        Ok(_) => Ok(()),
        Err(error) => Err(LoadFailure::of(Step::FindConntrack, &error)),
    }
}

/// Demands that there are counters to follow, by those of the own namespace.
pub(super) fn find_counters() -> Result<(), LoadFailure> {
    let failed = |cause| LoadFailure::new(Step::ReadCounters, cause);
    match Counters::read(Path::new("/proc/self/net/stat")) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(failed(Cause::NoCounters)),
        Err(error) => Err(failed(Cause::of(&error))),
    }
}
