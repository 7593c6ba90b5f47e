//! The conntrack module comes and goes under the programs.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, bail};
use conntrack_ebpf::capture::CaptureOrder;

use crate::{
    kernel::{presence::Presence, surroundings::Surroundings},
    observe::{
        arming::Attach,
        backend::Backend,
        counts::{health::add_runs, sink::Sink},
        observer::{
            by_programs::{Detached, ProgramObserver, with},
            event::Event,
        },
        programs::attachment::{self, Attachment},
        survey::{
            trial::{Trial, Works},
            unusable::Unusable,
        },
    },
};

impl ProgramObserver {
    /// Lets go of a module that was unloaded or that nobody else needs, and
    /// comes back when it is needed.
    pub(crate) fn follow_module(&mut self, sink: &mut impl Sink) -> Result<Option<Event>> {
        let instance = attachment::instance();
        if instance != self.instance {
            let was_attached = self.attachment.is_some();
            self.detach(sink)?;
            self.restart();
            self.failing.begin_anew();
            self.instance = instance;
            return Ok(was_attached.then_some(Event::Unloaded));
        }
        // Only trampolines hold the module.
        let release = self.wanted.release_module && self.backend == Backend::Fexit;
        if let Some(attachment) = &self.attachment {
            if release && attachment.is_all_that_holds() {
                self.check()?;
                self.detach(sink)?;
                return Ok(Some(Event::Released));
            }
            return Ok(None);
        }
        let loaded = matches!(Presence::read()?, Presence::Module { .. });
        if !loaded || (release && attachment::is_idle()) {
            return Ok(None);
        }
        self.try_to_attach_again()
    }

    /// It can fail because the module goes away again, so a failure must last
    /// before it is one.
    fn try_to_attach_again(&mut self) -> Result<Option<Event>> {
        match self.attach_again() {
            Ok(()) => {
                self.failing.begin_anew();
                Ok(Some(Event::Attached))
            }
            Err(error) if self.failing.fails(Instant::now()) => {
                Err(error.context("cannot attach again to module nf_conntrack"))
            }
            Err(_) => Ok(None),
        }
    }

    /// Detaches all programs for good; the counters go on alone.
    pub(crate) fn detach(&mut self, sink: &mut impl Sink) -> Result<()> {
        let Some(mut attachment) = self.attachment.take() else {
            return Ok(());
        };
        let Detached {
            totals,
            missed,
            runs,
            faults,
            left,
        } = &mut self.detached;
        *totals = with(totals, attachment.end(sink)?);
        attachment.leave_packets(left)?;
        attachment.learn(&mut self.senders)?;
        missed.add(&attachment.missed()?);
        add_runs(runs, &attachment.runs()?);
        faults.add(&attachment.faults()?);
        self.counted = totals.clone();
        self.cover();
        Ok(())
    }

    /// The module is gone, and with it its counters, which begin at zero when
    /// it comes back.
    fn restart(&mut self) {
        for netns in self.followed.restart() {
            let counted = self.counted.get(&netns).copied().unwrap_or_default();
            self.ledger.restart(netns, &counted);
        }
    }

    fn attach_again(&mut self) -> Result<()> {
        let begin = self.arming.begins(self.followed.fill());
        let attachment = attach(self.backend, begin, self.wanted.capture)?;
        // Else its counters are not the ones that are followed.
        if attachment::instance() != self.instance {
            bail!("the module was loaded anew meanwhile");
        }
        self.warnings = attachment.warnings(self.backend);
        self.attachment = Some(attachment);
        self.check()?;
        self.cover();
        Ok(())
    }
}

/// Attaches the programs of the same backend as before, so that the report stays about
/// one.
fn attach(backend: Backend, begin: Attach, capture: Option<CaptureOrder>) -> Result<Attachment> {
    let around = Arc::new(Surroundings::read());
    let mut trial = Trial::new(&around, begin, capture);
    match trial.attempt(backend) {
        Ok(Works::Programs(attached)) => trial.begin(attached),
        Ok(Works::Counters) => bail!("backend {backend} has no programs"),
        Err(failure) => Err(Unusable::error(&[Unusable::new(backend, failure, &around)])),
    }
}
