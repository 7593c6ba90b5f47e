//! An observer that counts what a test wants.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Result, bail};
use conntrack_ebpf::{FlowCount, FlowKey, Reason, TotalCounts};

use crate::{
    engine::{Engine, captured::Captured, options::Options, source::Source},
    kernel::{limit_writers::LimitWriters, limits::Limits, netns::Namespaces},
    observe::{
        arming::Arm,
        backend::Backend,
        capture::Omitted,
        check::{counter::Counter, verdict::Verdict},
        counts::{
            health::{Faults, Missed, RunsByProgram},
            senders::Senders,
            sink::Sink as _,
            tally::Tally,
            totals::TotalsByNetns,
        },
        observer::{
            event::Event,
            snapshot::{Setup, Snapshot},
        },
    },
    say::clock,
};

/// The network namespace that packets are refused in.
pub(crate) const NETNS: u32 = 7;

/// Refuses a packet of a new flow with each drain.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    refused: u32,
    /// So many more than were drained.
    under_way: u32,
    /// Reading fails once so many were refused.
    fails_after: Option<u32>,
    /// Somebody sets a limit of 800 for one of 900 once so many were refused.
    lowered_after: Option<u32>,
}

impl Fake {
    /// One that cannot be read any more once so many packets were refused.
    pub(crate) fn failing_after(refused: u32) -> Self {
        Self {
            fails_after: Some(refused),
            ..Self::default()
        }
    }

    /// One whose limit is lowered from 900 to 800 once so many packets were refused.
    pub(crate) fn lowered_after(refused: u32) -> Self {
        Self {
            lowered_after: Some(refused),
            ..Self::default()
        }
    }

    /// An engine over it.
    pub(crate) fn engine(
        self,
        options: Options,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Engine<Self> {
        let mut fake = Some(self);
        Engine::of(
            options,
            shutdown,
            || Ok(true),
            move |_, _| Ok(fake.take().unwrap_or_default()),
        )
    }

    fn refuse(&mut self, tally: &mut Tally) {
        self.refused += 1;
        let mut src = [0; 16];
        src[..4].copy_from_slice(&self.refused.to_be_bytes());
        let key = FlowKey {
            src,
            dst: [0; 16],
            netns: NETNS,
            sport: 1,
            dport: 53,
            zone: 0,
            family: 2,
            protocol: 17,
            reason: Reason::TableFull as u32,
            sender: 0,
        };
        let count = FlowCount {
            packets: 1,
            first: 1,
            last: clock::monotonic(),
        };
        tally.flow(key, count);
    }

    fn totals(refused: u32) -> TotalsByNetns {
        let mut counts = TotalCounts::default();
        counts.slots[Reason::TableFull as usize] = refused.into();
        let mut totals = TotalsByNetns::new();
        totals.entry(NETNS).or_default().add(&counts);
        totals
    }
}

impl Source for Fake {
    fn setup(&self) -> Setup {
        Setup {
            backend: Backend::Fexit,
            not_used: Vec::new(),
            arm: Arm::Always,
            armed: true,
            warnings: Vec::new(),
        }
    }

    fn is_armed(&self) -> bool {
        true
    }

    async fn pressure(&mut self) -> Result<()> {
        if self.under_way == 0 && self.refused == 0 {
            self.under_way = 1;
            return Ok(());
        }
        std::future::pending().await
    }

    fn request_wake(&mut self) -> Result<()> {
        Ok(())
    }

    fn tick(&mut self, tally: &mut Tally) -> Result<Option<Event>> {
        self.drain(tally).map(|()| None)
    }

    fn follow_module(&mut self, _: &mut Tally) -> Result<Option<Event>> {
        Ok(None)
    }

    fn drain(&mut self, tally: &mut Tally) -> Result<()> {
        if self.fails_after.is_some_and(|most| self.refused >= most) {
            bail!("the map is gone");
        }
        self.under_way = 0;
        self.refuse(tally);
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn snapshot(&self, _: impl Fn(u32) -> bool) -> Result<Snapshot> {
        Ok(Snapshot {
            backend: Backend::Fexit,
            armed: true,
            totals: Self::totals(self.refused),
            drops_by_counters: BTreeMap::new(),
            verdict: Verdict::default(),
            growth: [(Counter::Drop, self.refused.into())].into(),
            range: None,
            unchecked: 0,
            missed: Missed::default(),
            runs: RunsByProgram::default(),
            faults: Faults::default(),
            entries: [(NETNS, u64::from(self.refused))].into(),
            logged: None,
            namespaces: Arc::new(Namespaces {
                list: Vec::new(),
                hidden: Vec::new(),
                contained: false,
                warnings: Vec::new(),
                is_whole: true,
            }),
            senders: Senders::default(),
        })
    }

    fn totals_now(&self) -> Result<TotalsByNetns> {
        Ok(Self::totals(self.refused + self.under_way))
    }

    fn captured(&mut self) -> Result<Captured> {
        Ok(Captured::default())
    }

    fn omitted(&self) -> Result<Omitted> {
        Ok(Omitted::default())
    }

    fn limit_writers(&self) -> LimitWriters {
        LimitWriters::default()
    }

    fn limits(&self) -> Limits {
        let lowered = self.lowered_after.is_some_and(|most| self.refused > most);
        Limits {
            max: Some(if lowered { 800 } else { 900 }),
            buckets: Some(1024),
            entries: Some(0),
        }
    }

    fn stop(&mut self, _: &mut Tally) -> Result<()> {
        Ok(())
    }
}
