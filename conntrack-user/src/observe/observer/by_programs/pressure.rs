//! Attaches programs under pressure, and detaches them in calm.

use std::time::{Duration, Instant};

use anyhow::Result;
use conntrack_ebpf::Reason;

use crate::observe::{
    arming::{Change, TableState},
    backend::Backend,
    check::{counter::Counter, excess::Coverage},
    counts::totals::{Totals, TotalsByNetns},
    observer::{
        by_programs::{ProgramObserver, rare_refusals::RareRefusals},
        event::Event,
    },
};

/// How often the counters are looked at when arming depends on it.
const LOOK: Duration = Duration::from_secs(1);

impl ProgramObserver {
    /// Arms, or comes to rest.
    pub(super) fn follow_pressure(&mut self) -> Result<Option<Event>> {
        if !self.arming.is_automatic() || !self.backend.can_rest() {
            return Ok(None);
        }
        if self.looked.elapsed() >= LOOK {
            self.check()?;
        }
        let event = self.follow_allocations()?;
        self.follow_rare()?;
        Ok(event)
    }

    fn follow_allocations(&mut self) -> Result<Option<Event>> {
        let refusals = self.followed.refusals() + sum_of_all(&self.counted);
        let state = TableState {
            fill: self.followed.fill(),
            refusing: refusals != self.refusals,
        };
        self.refusals = refusals;
        let Some(attachment) = &mut self.attachment else {
            return Ok(None);
        };
        let armed = attachment.is_armed();
        match self.arming.decide(armed, state, Instant::now()) {
            Some(Change::Arm) if !armed => {
                attachment.arm()?;
                self.check()?;
                self.cover();
                Ok(Some(Event::Armed))
            }
            Some(Change::Rest) => {
                self.check()?;
                self.ledger.cover(Coverage::AtRest);
                if let Some(attachment) = &mut self.attachment {
                    attachment.rest()?;
                }
                Ok(Some(Event::AtRest))
            }
            _ => Ok(None),
        }
    }

    /// Attaches and detaches the programs that see refused confirmations, and with kprobes
    /// allocations without memory. They are attached separately because they run for each new
    /// flow, too, and most full tables refuse nothing else.
    fn follow_rare(&mut self) -> Result<()> {
        let rare = RareRefusals {
            confirmations: self.refused_confirmations(),
            allocations: self.refused_for_no_full_table(),
        };
        let state = TableState {
            fill: 0.0,
            refusing: self.rare.grow(rare),
        };
        let Some(attachment) = &mut self.attachment else {
            return Ok(());
        };
        if !attachment.is_armed() {
            return Ok(());
        }
        let confirming = attachment.is_confirming();
        match self.confirming.decide(confirming, state, Instant::now()) {
            Some(Change::Arm) if !confirming => {
                attachment.confirm()?;
                self.check()?;
                self.cover();
            }
            Some(Change::Rest) => {
                self.check()?;
                self.ledger.cover(Coverage::Allocations);
                if let Some(attachment) = &mut self.attachment {
                    attachment.end_confirming()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The refused confirmations that the counters have shown so far, without clashes, which
    /// another program sees.
    fn refused_confirmations(&self) -> u64 {
        let counters = [Counter::InsertFailed, Counter::ChainTooLong];
        let clashes = |totals: &Totals| totals.of(Reason::Clash) + totals.of(Reason::NatExhausted);
        let clashes: u64 = self.counted.values().map(clashes).sum();
        self.followed.grown(&counters).saturating_sub(clashes)
    }

    /// The refused allocations for which no full table was seen: what the counter `drop` has
    /// certainly shown and no program saw, beyond the runs that the kernel has skipped, and with
    /// kprobes what the program that is attached for it has counted.
    fn refused_for_no_full_table(&self) -> u64 {
        let skipped = self.missed.allocations + self.missed.clashes;
        let unseen = self.ledger.unseen_of(Counter::Drop).saturating_sub(skipped);
        let no_memory = match self.backend {
            Backend::Kprobe => self
                .counted
                .values()
                .map(|it| it.of(Reason::NoMemory))
                .sum(),
            Backend::Fexit | Backend::Tracepoint | Backend::Counters => 0,
        };
        unseen + no_memory
    }
}

/// Everything that programs counted, whatever it was.
fn sum_of_all(totals: &TotalsByNetns) -> u64 {
    totals.values().map(Totals::drops).sum()
}
