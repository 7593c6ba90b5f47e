//! The thread that runs a hook, one run after the other.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::process::geteuid;

use crate::subscribers::{
    capabilities::renounce,
    hook::{command::Program, process},
    hook_outcome::{End, Moment, Outcome},
};

/// Time limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Of one run.
    pub(super) run: Duration,
    /// Of all remaining runs together, when ctdrop ends.
    pub(super) last: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            run: Duration::from_secs(30),
            last: Duration::from_secs(10),
        }
    }
}

/// A run that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) incident: i64,
    pub(super) moment: Moment,
    pub(super) input: Vec<u8>,
}

/// The thread. If this is dropped, it ends after the remaining runs.
#[derive(Debug)]
pub(super) struct Runner {
    shared: Arc<Shared>,
    last: Duration,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    /// The deadline of all remaining runs, once ctdrop ends.
    end: Option<Instant>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next run; none at the end.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if state.end.is_some() {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Runner {
    /// Starts the thread. It tells what became of each run.
    pub(super) fn start(
        program: Program,
        times: Times,
        tell: impl Fn(Outcome) + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("hook-runner".to_owned());
        let thread = thread
            .spawn(move || {
                // A program that root executes gets the capabilities again.
                if !geteuid().is_root() {
                    renounce("runs the hook");
                }
                while let Some(job) = of_thread.next() {
                    tell(run(&program, &job, times, &of_thread));
                }
            })
            .context("cannot start the thread that runs the hook")?;
        Ok(Self {
            shared,
            last: times.last,
            thread: Some(thread),
        })
    }

    /// Puts a run at the end of the queue.
    pub(super) fn put(&self, job: Job) {
        self.shared.state().waiting.push_back(job);
        self.shared.changed.notify_one();
    }

    /// How many runs wait.
    pub(super) fn waiting(&self) -> usize {
        self.shared.state().waiting.len()
    }
}

fn run(program: &Program, job: &Job, times: Times, shared: &Shared) -> Outcome {
    let own = Instant::now() + times.run;
    let deadline = || shared.state().end.map_or(own, |end| end.min(own));
    let outcome = |end| Outcome {
        incident: job.incident,
        moment: job.moment,
        end,
        took: Duration::ZERO,
        output: Vec::new(),
        cut: 0,
    };
    if deadline() <= Instant::now() {
        return outcome(End::Skipped(
            "ctdrop ended, and earlier runs took all the time that was left",
        ));
    }
    let ran = process::run(program, &job.input, &deadline);
    Outcome {
        took: ran.took,
        output: ran.output,
        cut: ran.cut,
        ..outcome(ran.end)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.shared.state().end = Some(Instant::now() + self.last);
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic was printed.
            let _ = thread.join();
        }
    }
}
