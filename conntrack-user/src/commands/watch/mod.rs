//! `ctdrop watch`: observe now, and say what is seen.
//!
//! [`crate::engine`] observes, [`crate::subscribers`] say it.

mod job_control;
pub mod options;
mod replay;
mod said;
#[cfg(test)]
mod tests;

use std::{future, sync::Arc};

use anyhow::Result;
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch as latest},
    time::{self, Interval},
};

use crate::{
    auto::{event::Event as Fix, guard::Mode},
    commands::watch::{
        options::{Options, Record},
        said::output,
    },
    engine::{self, Engine, source::Source, update::Update},
    store::keep::Bounds,
    subscribers::{
        Printed, Subscriber, guard::Fixer, hook::Hook, pcap::Pcap, recorder::Recorder,
        recording::Recording, service::Manager, worker::Worker,
    },
};

/// What is there beside the output and what acts: for a service.
#[derive(Default)]
pub(crate) struct Beside {
    /// How much evidence is kept, where that can change.
    pub(crate) bounds: Option<latest::Receiver<Bounds>>,
    /// Others who are told everything.
    pub(crate) others: Vec<Worker>,
    /// The service manager.
    pub(crate) manager: Manager,
}

/// Observes until `shutdown`, or for the time asked for; or plays back what was recorded.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    run_beside(options, Beside::default(), shutdown).await
}

/// The same, for a service.
pub(crate) async fn run_beside(
    options: Options,
    beside: Beside,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    if let Some(replay) = &options.replay {
        return replay::run(replay, &options, || output(&options), shutdown).await;
    }
    let hooks = match &options.hook {
        None => None,
        Some(command) => {
            let (hook, events) = Hook::prepare(command)?;
            Some(Acting::start("the hook", hook, events)?)
        }
    };
    let recording = match &options.record {
        None => None,
        Some(Record { file, bounds }) => {
            let (mut recorder, events) = Recorder::prepare(file.clone(), *bounds)?;
            if let Some(bounds) = beside.bounds.clone() {
                recorder.follow(bounds);
            }
            Some(Acting::start("the recorder", recorder, events)?)
        }
    };
    let capturing = match &options.pcap {
        None => None,
        Some(pcap) => {
            let (pcap, events) = Pcap::prepare(pcap.file.clone(), pcap.most)?;
            Some(Acting::start("--pcap", pcap, events)?)
        }
    };
    let fixing = match options.fix {
        Mode::Off => None,
        mode => {
            let (fixer, events) = Fixer::prepare(mode, options.ceiling)?;
            Some(Acting::start("--fix", fixer, events)?)
        }
    };
    let said = output(&options)?;
    let ended = said.ended();
    let options = engine::options::Options {
        intervals: options.printed == Printed::All || recording.is_some(),
        refusals: fixing.is_some(),
        view: said.view,
        ..options.engine
    };
    let engine = Engine::new(options, async {
        tokio::select! {
            () = shutdown => {}
            () = ended => {}
        }
    });
    let watch = Watch {
        output: said.worker,
        recording,
        hooks,
        capturing,
        fixing,
        others: beside.others,
        pulse: Pulse::of(beside.manager),
    };
    watch.follow(engine).await
}

/// Who is told what the engine observes.
struct Watch {
    output: Worker,
    /// Where evidence is written.
    recording: Option<Acting<Recording>>,
    /// Who runs a command for incidents.
    hooks: Option<Acting<Recording>>,
    /// Where refused packets are written.
    capturing: Option<Acting<Recording>>,
    /// With `--fix`.
    fixing: Option<Acting<Fix>>,
    /// Others who are told everything.
    others: Vec<Worker>,
    pulse: Pulse,
}

/// Tells the service manager that this thread lives.
struct Pulse {
    manager: Manager,
    ticks: Option<Interval>,
}

impl Pulse {
    fn of(manager: Manager) -> Self {
        let ticks = manager.period().map(time::interval);
        Self { manager, ticks }
    }

    /// Waits until it is time, and tells.
    async fn beat(&mut self) {
        match &mut self.ticks {
            Some(ticks) => {
                ticks.tick().await;
                self.manager.ping();
            }
            None => future::pending().await,
        }
    }
}

/// A subscriber that acts, and what it does, which others are told.
struct Acting<E> {
    worker: Worker,
    events: UnboundedReceiver<E>,
}

/// What has happened.
enum News {
    Observed(Result<Option<Update>>),
    Fixed(Fix),
    Recorded(Recording),
    /// Nothing: it was told that this thread lives.
    Beat,
}

impl Watch {
    /// Passes on what happens until the end.
    async fn follow<S: Source>(mut self, mut engine: Engine<S>) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            let news = tokio::select! {
                biased;
                () = self.pulse.beat() => News::Beat,
                fix = next(self.fixing.as_mut()) => News::Fixed(fix),
                recording = next(self.recording.as_mut()) => News::Recorded(recording),
                hooked = next(self.hooks.as_mut()) => News::Recorded(hooked),
                captured = next(self.capturing.as_mut()) => News::Recorded(captured),
                update = engine.next() => News::Observed(update),
            };
            match news {
                News::Fixed(fix) => self.tell_fix(fix),
                News::Recorded(recording) => self.tell_recording(recording),
                News::Beat => {}
                News::Observed(Ok(Some(update))) => {
                    outcome = outcome.and(self.tell(update).await);
                }
                News::Observed(Ok(None)) => break,
                // Whatever has gone wrong: what was counted until then still comes.
                News::Observed(Err(error)) => outcome = outcome.and(Err(error)),
            }
        }
        outcome = outcome.and(self.finish_fixing().await);
        outcome = outcome.and(self.finish_recording().await);
        outcome = outcome.and(self.finish_hooks().await);
        outcome = outcome.and(self.finish_capturing().await);
        for other in std::mem::take(&mut self.others) {
            outcome = outcome.and(other.finish().await);
        }
        // Nothing stays loaded, however long the output waits for a reader.
        drop(engine);
        outcome.and(self.output.finish().await)
    }

    /// Passes an update to all subscribers, but captured packets only to the one that writes
    /// them. The totals come after the last messages of the guard, the recorder, the hook and
    /// the capture.
    async fn tell(&mut self, update: Update) -> Result<()> {
        let update = Arc::new(update);
        if let Some(capturing) = &self.capturing {
            capturing.worker.tell(&update);
        }
        if matches!(*update, Update::Captured(_)) {
            return Ok(());
        }
        if let Some(fixing) = &self.fixing {
            fixing.worker.tell(&update);
        }
        let mut outcome = Ok(());
        let is_end = matches!(*update, Update::Finished(_));
        if is_end {
            outcome = self.finish_fixing().await;
        }
        if let Some(recording) = &self.recording {
            recording.worker.tell(&update);
        }
        if is_end {
            outcome = outcome.and(self.finish_recording().await);
            outcome = outcome.and(self.finish_hooks().await);
            outcome = outcome.and(self.finish_capturing().await);
        }
        for other in &self.others {
            other.tell(&update);
        }
        self.output.tell(&update);
        outcome
    }

    /// Tells what the recorder reports.
    fn tell_recording(&self, recording: Recording) {
        let recording = Arc::new(recording);
        if let Some(hooks) = &self.hooks {
            hooks.worker.tell_recording(&recording);
        }
        for other in &self.others {
            other.tell_recording(&recording);
        }
        self.output.tell_recording(&recording);
    }

    /// Tells what was done about refused packets.
    fn tell_fix(&self, fix: Fix) {
        let fix = Arc::new(fix);
        if let Some(recording) = &self.recording {
            recording.worker.tell_fix(&fix);
        }
        for other in &self.others {
            other.tell_fix(&fix);
        }
        self.output.tell_fix(&fix);
    }

    async fn finish_fixing(&mut self) -> Result<()> {
        match self.fixing.take() {
            Some(fixing) => fixing.finish(|fix| self.tell_fix(fix)).await,
            None => Ok(()),
        }
    }

    /// Waits for the remaining runs, which have a time limit.
    async fn finish_hooks(&mut self) -> Result<()> {
        match self.hooks.take() {
            Some(hooks) => hooks.finish(|hooked| self.tell_recording(hooked)).await,
            None => Ok(()),
        }
    }

    async fn finish_recording(&mut self) -> Result<()> {
        let recording = self.recording.take();
        self.finish_one(recording).await
    }

    async fn finish_capturing(&mut self) -> Result<()> {
        let capturing = self.capturing.take();
        self.finish_one(capturing).await
    }

    async fn finish_one(&self, acting: Option<Acting<Recording>>) -> Result<()> {
        match acting {
            Some(acting) => {
                acting
                    .finish(|recording| self.tell_recording(recording))
                    .await
            }
            None => Ok(()),
        }
    }
}

impl<E> Acting<E> {
    fn start(
        name: &'static str,
        subscriber: impl Subscriber,
        events: UnboundedReceiver<E>,
    ) -> Result<Self> {
        let worker = Worker::start(name, subscriber)?;
        Ok(Self { worker, events })
    }

    /// Waits until it has done what it is about, and passes that on.
    async fn finish(mut self, mut tell: impl FnMut(E)) -> Result<()> {
        self.worker.close();
        // None come once it has ended.
        while let Some(event) = self.events.recv().await {
            tell(event);
        }
        self.worker.finish().await
    }
}

/// The next thing that was done; none comes from who is not there.
async fn next<E>(acting: Option<&mut Acting<E>>) -> E {
    if let Some(acting) = acting
        && let Some(event) = acting.events.recv().await
    {
        return event;
    }
    future::pending().await
}
