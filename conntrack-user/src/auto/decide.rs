//! When the limit is raised by itself, how far, and when no more: decisions
//! over plain data, so that each can be tried without a kernel.
//!
//! A step is made when packets were refused for want of room or of buckets, and
//! goes where `ctdrop fix` would go: never above the ceiling, never within the
//! cool-down of the step before, never before that one's cause is known, and never
//! again once somebody else has put the limit back [`PUT_BACKS`] times.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{engine::refusals::Need, incident::Kind, kernel::defaults::Table};

/// Time between two steps: what the one before has changed is seen by then.
pub const COOL_DOWN: Duration = Duration::from_secs(2);

/// How often somebody else may put the limit back before it is left to them.
pub const PUT_BACKS: u32 = 3;

/// A value that has held for so long was not put back in answer to a step.
const HELD: Duration = Duration::from_mins(10);

/// Time between two looks at who fills the table, while that forbids a step.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// How things stand.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When.
    pub now: Instant,
    /// What is in force.
    pub table: Table,
    /// What packets lacked that were refused since the look before.
    pub refused: Option<Need>,
    /// Whether somebody owns the limit who takes back at once what others set.
    pub owned: bool,
}

/// Why no step is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The limit is as high as it may become.
    Ceiling,
    /// There is a bucket for each entry that the ceiling allows.
    BucketsAtCeiling,
    /// A leak fills the table: it fills any.
    Leak,
    /// A flood does.
    Flood,
    /// Somebody owns the limit, and takes back at once what others set.
    Owner,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write this.
    Raise {
        /// Why.
        need: Need,
        /// What to write; neither number is less than what is in force.
        to: Table,
    },
    /// Say, once, that it stays as it is.
    Hold(Held),
    /// Look once more at who fills the table: what forbids a step may be over.
    Diagnose(Need),
    /// Say that somebody else has put it back, for the `times`th time.
    PutBack {
        /// What was written.
        wrote: Table,
        /// How often that has happened.
        times: u32,
        /// Whether it is left to them from now on.
        last: bool,
    },
}

/// Decides, and remembers what it has led to.
#[derive(Clone, Debug)]
pub struct Automatic {
    ceiling: u64,
    wrote: Option<Table>,
    stepped: Option<Instant>,
    put_back: u32,
    /// A step, or a look, whose cause is not known yet.
    awaiting: bool,
    /// What forbids a step, how high is honest nevertheless, and when that was
    /// found.
    forbidden: Option<(Held, u64, Instant)>,
    said: Option<Held>,
    over: bool,
}

impl Automatic {
    /// Nothing was done yet. Nothing will be above `ceiling`.
    pub const fn new(ceiling: u64) -> Self {
        Self {
            ceiling,
            wrote: None,
            stepped: None,
            put_back: 0,
            awaiting: false,
            forbidden: None,
            said: None,
            over: false,
        }
    }

    /// The ceiling has changed, with the memory.
    pub const fn set_ceiling(&mut self, ceiling: u64) {
        self.ceiling = ceiling;
    }

    /// Decides. `wanted` says where a plan would go for that need.
    pub fn decide(&mut self, look: Look, wanted: impl FnOnce(Need) -> Table) -> Option<Decision> {
        if self.over {
            return None;
        }
        if let Some(put_back) = self.notice(look) {
            return Some(put_back);
        }
        let need = look.refused?;
        // 0 is no limit, so it is not what refuses.
        if look.table.max == 0 || self.awaiting {
            return None;
        }
        let since = |then| look.now.saturating_duration_since(then);
        if self.stepped.is_some_and(|then| since(then) < COOL_DOWN) {
            return None;
        }
        if look.owned {
            return self.hold(Held::Owner);
        }
        let to = self.bounded(look.table, wanted(need));
        let more = match need {
            Need::Room => to.max > look.table.max,
            Need::Buckets => to.buckets > look.table.buckets,
        };
        if more {
            return Some(Decision::Raise { need, to });
        }
        match self.forbidden {
            Some((_, _, found)) if since(found) >= LOOK_AGAIN => {
                self.awaiting = true;
                Some(Decision::Diagnose(need))
            }
            Some((held, honest, _)) if need == Need::Room && honest < self.ceiling => {
                self.hold(held)
            }
            _ => self.hold(match need {
                Need::Room => Held::Ceiling,
                Need::Buckets => Held::BucketsAtCeiling,
            }),
        }
    }

    /// Notices that somebody has put back what was written.
    fn notice(&mut self, look: Look) -> Option<Decision> {
        let wrote = self.wrote?;
        let Table { buckets, max } = look.table;
        if (max == 0 || max >= wrote.max) && buckets >= wrote.buckets {
            let held = |then| look.now.saturating_duration_since(then) >= HELD;
            if self.stepped.is_some_and(held) {
                self.put_back = 0;
            }
            return None;
        }
        self.wrote = None;
        self.put_back += 1;
        self.over = self.put_back >= PUT_BACKS;
        Some(Decision::PutBack {
            wrote,
            times: self.put_back,
            last: self.over,
        })
    }

    /// No more than is allowed, no less than there is.
    fn bounded(&self, now: Table, wanted: Table) -> Table {
        let honest = self.forbidden.map_or(u64::MAX, |(_, honest, _)| honest);
        Table {
            max: wanted.max.min(self.ceiling).min(honest).max(now.max),
            // A bucket for each entry is the most that helps.
            buckets: wanted.buckets.min(self.ceiling).max(now.buckets),
        }
    }

    fn hold(&mut self, held: Held) -> Option<Decision> {
        (self.said.replace(held) != Some(held)).then_some(Decision::Hold(held))
    }

    /// A step was made; this is in force now. Its cause is not known yet.
    pub const fn raised(&mut self, now: Instant, table: Table) {
        self.wrote = Some(table);
        self.stepped = Some(now);
        self.awaiting = true;
        self.said = None;
    }

    /// It is known what fills the table, and how high a limit is honest; or
    /// nothing could be found out.
    pub fn judged(&mut self, now: Instant, kind: Option<Kind>, honest: u64) {
        self.awaiting = false;
        let held = match kind {
            Some(Kind::Leak) => Held::Leak,
            Some(Kind::Flood | Kind::SpoofedFlood) => Held::Flood,
            Some(_) => {
                self.forbidden = None;
                return;
            }
            None => {
                // What was found before holds until somebody can look again.
                if let Some((_, _, found)) = &mut self.forbidden {
                    *found = now;
                }
                return;
            }
        };
        self.forbidden = Some((held, honest, now));
    }

    /// Writing has failed, or the user has taken it back: nothing more is tried.
    pub const fn end(&mut self) {
        self.over = true;
    }

    /// Whether something was written that somebody could put back.
    pub const fn has_written(&self) -> bool {
        self.wrote.is_some()
    }

    /// Whether nothing more is done.
    pub const fn is_over(&self) -> bool {
        self.over
    }
}
