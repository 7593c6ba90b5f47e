//! When the programs that run for each new flow are attached: by pressure, or
//! always.

use std::time::{Duration, Instant};

use serde::Serialize;

/// From this share of the limit on a namespace is under pressure.
pub const ARM_AT: f64 = 0.90;

/// Below this share of the limit it is calm.
pub const REST_BELOW: f64 = 0.80;

/// How long calm must last before the programs are detached.
pub const CALM: Duration = Duration::from_secs(10);

/// When to attach what runs for each new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// While there is pressure: a table is 90 % full, or a packet was refused or an
    /// entry evicted.
    Auto,
    /// From the start: every refused packet is counted by flow.
    Always,
}

impl Arm {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Auto, Self::Always];
}

/// What a look at the tables has found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TableState {
    /// The largest share of the limit that a namespace uses.
    pub fill: f64,
    /// Whether anything was refused or evicted since the last look.
    pub refusing: bool,
}

/// Which of the programs that run for each new flow are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// None.
    AtRest,
    /// The programs that see refused allocations.
    Armed,
    /// Also the programs that see refused confirmations.
    All,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Attach.
    Arm,
    /// Detach.
    Rest,
}

/// Decides, and remembers since when it is calm.
#[derive(Clone, Debug)]
pub(crate) struct Arming {
    arm: Arm,
    calm_since: Option<Instant>,
}

impl Arming {
    pub(crate) const fn new(arm: Arm) -> Self {
        Self {
            arm,
            calm_since: None,
        }
    }

    /// Whether there is anything to decide.
    pub(crate) const fn is_automatic(&self) -> bool {
        matches!(self.arm, Arm::Auto)
    }

    /// The programs to begin with, if the fullest namespace uses this share of its limit.
    pub(crate) fn begins(&self, fill: f64) -> Attach {
        match self.arm {
            Arm::Always => Attach::All,
            Arm::Auto if fill >= ARM_AT => Attach::Armed,
            Arm::Auto => Attach::AtRest,
        }
    }

    /// What is to be done now.
    pub(crate) fn decide(
        &mut self,
        armed: bool,
        state: TableState,
        now: Instant,
    ) -> Option<Change> {
        if !self.is_automatic() {
            return (!armed).then_some(Change::Arm);
        }
        if !armed {
            self.calm_since = None;
            return (state.refusing || state.fill >= ARM_AT).then_some(Change::Arm);
        }
        if state.refusing || state.fill >= REST_BELOW {
            self.calm_since = None;
            return None;
        }
        let since = *self.calm_since.get_or_insert(now);
        (now.saturating_duration_since(since) >= CALM).then_some(Change::Rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(fill: f64) -> TableState {
        TableState {
            fill,
            refusing: false,
        }
    }

    const REFUSING: TableState = TableState {
        fill: 0.0,
        refusing: true,
    };

    #[test]
    fn where_it_is_full_already_it_begins_armed() {
        assert_eq!(Arming::new(Arm::Auto).begins(0.95), Attach::Armed);
        assert_eq!(Arming::new(Arm::Auto).begins(0.5), Attach::AtRest);
        assert_eq!(Arming::new(Arm::Always).begins(0.0), Attach::All);
    }

    #[test]
    fn pressure_arms_at_once() {
        let now = Instant::now();
        let mut arming = Arming::new(Arm::Auto);
        assert_eq!(arming.decide(false, fill(0.89), now), None);
        assert_eq!(arming.decide(false, fill(0.90), now), Some(Change::Arm));
        assert_eq!(arming.decide(false, REFUSING, now), Some(Change::Arm));
    }

    #[test]
    fn calm_must_last_and_be_calmer_than_what_armed() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut arming = Arming::new(Arm::Auto);
        // Between the two thresholds nothing changes, either way.
        assert_eq!(arming.decide(true, fill(0.85), at(0)), None);
        assert_eq!(arming.decide(true, fill(0.85), at(60)), None);
        assert_eq!(arming.decide(true, fill(0.5), at(61)), None);
        assert_eq!(arming.decide(true, fill(0.5), at(70)), None);
        // Whatever comes between begins the wait anew.
        assert_eq!(arming.decide(true, REFUSING, at(71)), None);
        assert_eq!(arming.decide(true, fill(0.5), at(72)), None);
        assert_eq!(arming.decide(true, fill(0.5), at(81)), None);
        assert_eq!(arming.decide(true, fill(0.5), at(82)), Some(Change::Rest));
    }

    #[test]
    fn always_is_always() {
        let now = Instant::now();
        let mut arming = Arming::new(Arm::Always);
        assert_eq!(arming.decide(false, fill(0.0), now), Some(Change::Arm));
        let later = now + 2 * CALM;
        assert_eq!(arming.decide(true, fill(0.0), now), None);
        assert_eq!(arming.decide(true, fill(0.0), later), None);
    }
}
