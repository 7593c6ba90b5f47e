//! What the engine needs of an observer.

use anyhow::Result;

use crate::{
    engine::captured::Captured,
    kernel::{limit_writers::LimitWriters, limits::Limits},
    observe::{
        capture::Omitted,
        counts::{tally::Tally, totals::TotalsByNetns},
        observer::{
            Observer,
            event::Event,
            snapshot::{Setup, Snapshot},
        },
    },
    say::clock::Clock,
};

/// Where the engine has its counts from: an [`Observer`], or in tests a script.
pub trait Source {
    /// See [`Observer::setup`].
    fn setup(&self) -> Setup;

    /// See [`Observer::is_armed`].
    fn is_armed(&self) -> bool;

    /// See [`Observer::pressure`]. It may be dropped before it has ended.
    fn pressure(&mut self) -> impl Future<Output = Result<()>>;

    /// See [`Observer::request_wake`].
    fn request_wake(&mut self) -> Result<()>;

    /// See [`Observer::tick`].
    fn tick(&mut self, tally: &mut Tally) -> Result<Option<Event>>;

    /// See [`Observer::follow_module`].
    fn follow_module(&mut self, tally: &mut Tally) -> Result<Option<Event>>;

    /// See [`Observer::drain`].
    fn drain(&mut self, tally: &mut Tally) -> Result<()>;

    /// See [`Observer::check`].
    fn check(&mut self) -> Result<()>;

    /// See [`Observer::snapshot`].
    fn snapshot(&self, of: impl Fn(u32) -> bool) -> Result<Snapshot>;

    /// See [`Observer::totals_now`].
    fn totals_now(&self) -> Result<TotalsByNetns>;

    /// The refused packets that were copied since the last time.
    fn captured(&mut self) -> Result<Captured>;

    /// See [`Observer::omitted`].
    fn omitted(&self) -> Result<Omitted>;

    /// The limit in force, the same in every namespace, and the buckets; nothing while
    /// they cannot be read.
    fn limits(&self) -> Limits;

    /// Who changes the limit from now on, where that can be known.
    fn limit_writers(&self) -> LimitWriters;

    /// See [`Observer::stop`].
    fn stop(&mut self, tally: &mut Tally) -> Result<()>;
}

impl Source for Observer {
    fn setup(&self) -> Setup {
        self.setup()
    }

    fn is_armed(&self) -> bool {
        self.is_armed()
    }

    fn pressure(&mut self) -> impl Future<Output = Result<()>> {
        self.pressure()
    }

    fn request_wake(&mut self) -> Result<()> {
        self.request_wake()
    }

    fn tick(&mut self, tally: &mut Tally) -> Result<Option<Event>> {
        self.tick(tally)
    }

    fn follow_module(&mut self, tally: &mut Tally) -> Result<Option<Event>> {
        self.follow_module(tally)
    }

    fn drain(&mut self, tally: &mut Tally) -> Result<()> {
        self.drain(tally)
    }

    fn check(&mut self) -> Result<()> {
        self.check()
    }

    fn snapshot(&self, of: impl Fn(u32) -> bool) -> Result<Snapshot> {
        self.snapshot(of)
    }

    fn totals_now(&self) -> Result<TotalsByNetns> {
        self.totals_now()
    }

    fn captured(&mut self) -> Result<Captured> {
        let packets = self.take_packets()?;
        Ok(Captured::of(&packets, &self.namespaces(), Clock::now()))
    }

    fn omitted(&self) -> Result<Omitted> {
        self.omitted()
    }

    fn limits(&self) -> Limits {
        Limits::read().unwrap_or_default()
    }

    fn limit_writers(&self) -> LimitWriters {
        LimitWriters::watch()
    }

    fn stop(&mut self, tally: &mut Tally) -> Result<()> {
        self.stop(tally)
    }
}
