//! The excess of one kernel counter in one namespace over what the programs counted,
//! as far as readings bound it.

use std::mem;

use crate::observe::check::counter::Counter;

/// Which refusals the programs see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// All: the excess must not change.
    #[default]
    Full,
    /// All except refused confirmations that are not clashes.
    Allocations,
    /// At rest: only a full table and clashes.
    AtRest,
    /// None: no program is attached.
    None,
}

impl Coverage {
    /// The coverage for one counter. Refused confirmations that no program sees move two
    /// counters. For these counters the coverage is then as at rest.
    pub(crate) const fn of(self, counter: Counter) -> Self {
        match (self, counter) {
            (Self::Allocations, Counter::InsertFailed | Counter::ChainTooLong) => Self::AtRest,
            (Self::Allocations, _) => Self::Full,
            (coverage, _) => coverage,
        }
    }
}

/// What the kernel counted and no program did: the bounds that all readings of one
/// counter in one namespace give together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excess {
    /// It has been at least this; while it may grow, at the last reading.
    at_least: i64,
    /// It has been at most this; while it may grow, at the last reading.
    at_most: i64,
    /// How far it has surely grown while it must not: counted by the kernel, by
    /// no program.
    unseen: u64,
    /// The same in earlier periods.
    unseen_before: u64,
    /// How far it has surely shrunk: counted by a program, not by the kernel.
    unconfirmed: u64,
    /// The same in namespaces of the same number before.
    unconfirmed_before: u64,
    /// The most it can have been when it last began to grow.
    start_at_most: i64,
    /// How far it has surely grown at rest, and with no program attached, in
    /// earlier periods.
    grown: [u64; 2],
    /// What the kernel can have counted before it was watched, if no later
    /// reading can say more about that.
    before: Option<u64>,
}

impl Excess {
    /// Before the programs were attached, the kernel alone counted.
    pub(crate) const START: Self = Self {
        at_least: 0,
        at_most: i64::MAX,
        unseen: 0,
        unseen_before: 0,
        unconfirmed: 0,
        unconfirmed_before: 0,
        start_at_most: i64::MAX,
        grown: [0; 2],
        before: None,
    };

    /// It is taken as it comes from here on: as the next reading has it.
    pub(crate) fn reopen(&mut self, last: Coverage) {
        self.before = Some(self.before());
        self.settle(last);
        self.unconfirmed_before += mem::take(&mut self.unconfirmed);
        self.at_least = i64::MIN;
        self.at_most = i64::MAX;
        self.start_at_most = i64::MAX;
    }

    /// The same of a namespace whose counters were watched from zero on.
    pub(crate) fn reopen_at_zero(&mut self, last: Coverage) {
        self.reopen(last);
        self.before = Some(0);
    }

    /// It is exactly this at the moment.
    pub(crate) const fn set(&mut self, now: i64) {
        self.at_least = now;
        self.at_most = now;
        self.start_at_most = now;
    }

    /// Takes in a reading while it must not change.
    pub(crate) fn narrow(&mut self, (low, high): (i64, i64)) {
        self.unseen = self.unseen.max(positive(low.saturating_sub(self.at_most)));
        self.unconfirmed = self
            .unconfirmed
            .max(positive(self.at_least.saturating_sub(high)));
        self.at_least = self.at_least.max(low);
        self.at_most = self.at_most.min(high);
    }

    /// Takes in a reading while it may grow.
    pub(crate) fn rise(&mut self, (low, high): (i64, i64)) {
        self.unconfirmed = self
            .unconfirmed
            .max(positive(self.at_least.saturating_sub(high)));
        self.at_least = self.at_least.max(low);
        self.at_most = high.max(self.at_least);
        // The first reading ever has nothing to be compared with.
        self.start_at_most = self.start_at_most.min(self.at_most);
    }

    /// How far it has surely grown since it last began to. Every reading after
    /// that bounds it, also when it may not grow any more; what it has grown then
    /// all the same is unseen.
    fn growing(&self) -> u64 {
        let now = self.at_least.min(self.at_most);
        positive(now.saturating_sub(self.start_at_most))
    }

    /// Keeps what the last period of growth has come to, and begins another.
    pub(crate) fn settle(&mut self, last: Coverage) {
        if let Some(place) = place(last) {
            self.grown[place] += self.growing();
        }
        self.unseen_before += mem::take(&mut self.unseen);
        // Where it has grown though it must not, the bounds have crossed.
        self.at_most = self.at_most.max(self.at_least);
        self.start_at_most = self.at_most;
    }

    /// How far it has surely grown, in all, in periods of that coverage, if the
    /// last one was `last`.
    pub(crate) fn grown(&self, of: Coverage, last: Coverage) -> u64 {
        let Some(place) = place(of) else { return 0 };
        self.grown[place] + if of == last { self.growing() } else { 0 }
    }

    /// How far it has surely grown while it must not, ever.
    pub(crate) const fn unseen(&self) -> u64 {
        self.unseen_before + self.unseen
    }

    /// How far it has surely shrunk, ever.
    pub(crate) const fn unconfirmed(&self) -> u64 {
        self.unconfirmed_before + self.unconfirmed
    }

    /// Of what the kernel can have counted before it was watched, how much may
    /// have been counted later as well.
    pub(crate) fn doubt(&self) -> u64 {
        match self.before {
            None => positive(self.at_most).saturating_sub(positive(self.at_least)),
            Some(_) => 0,
        }
    }

    /// What the kernel can have counted before it was watched.
    pub(crate) fn before(&self) -> u64 {
        self.before.unwrap_or_else(|| {
            let since = self.grown.iter().sum::<u64>() + self.growing() + self.unseen_before;
            positive(self.at_most).saturating_sub(since)
        })
    }
}

pub(crate) fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Where growth is kept; none where there must not be any.
const fn place(coverage: Coverage) -> Option<usize> {
    match coverage {
        Coverage::Full | Coverage::Allocations => None,
        Coverage::AtRest => Some(0),
        Coverage::None => Some(1),
    }
}
