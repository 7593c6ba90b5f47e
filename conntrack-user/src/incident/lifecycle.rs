//! When an incident begins and when it is over, by hysteresis: a pure state machine over
//! what each interval has shown of each namespace.
//!
//! It begins with refused packets, or with a table that stays full. It is over after
//! [`thresholds::QUIET`]. Meanwhile it is judged anew with all that is known.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    incident::{
        census::Census,
        evidence::Evidence,
        judge::{Incident, judge},
        thresholds,
    },
    kernel::counters::Totals,
};

/// How many incidents can be open at the same time. What else is refused has none.
const OPEN: usize = 64;

/// What there is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This incident has begun.
    Opened(i64),
    /// More is known of this one.
    Revised(i64),
    /// The table of this one is to be looked at.
    Look(i64, Cause),
    /// This one is over.
    Closed(i64, Box<Case>, End),
}

/// Why a table is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The incident has begun.
    Opened,
    /// Packets are refused twice as fast as at any look before.
    Peak,
    /// Twice as many were refused as at the last look.
    Doubled,
}

/// Why an incident is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing was refused for long enough.
    Quiet,
    /// Its namespace is gone.
    NetnsGone,
    /// Nobody watches any more.
    Stopped,
}

/// An incident that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// All that was seen since it has begun.
    pub evidence: Evidence,
    /// The diagnosis by that.
    pub incident: Incident,
    /// The census with the most entries.
    census: Option<Census>,
    /// When something was refused, or the table full, for the last time.
    last: Duration,
    look: LastLook,
}

/// What was known when the table was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LastLook {
    /// When.
    at: Duration,
    /// How often by then.
    times: u32,
    /// Packets refused by then.
    refused: u64,
    /// Packets refused per second, the most of all looks.
    rate: u64,
}

/// What may become an incident.
#[derive(Clone, Debug, Default)]
struct Suspicion {
    /// Since when it is added up.
    since: Duration,
    evidence: Evidence,
    /// Since when the table is full.
    full_since: Option<Duration>,
}

/// The incidents of a host, one at a time for each network namespace.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    next: i64,
    open: BTreeMap<u32, (i64, Case)>,
    suspicions: BTreeMap<u32, Suspicion>,
}

impl Lifecycle {
    /// None yet; the first one gets this number.
    pub const fn starting_with(next: i64) -> Self {
        Self {
            next,
            open: BTreeMap::new(),
            suspicions: BTreeMap::new(),
        }
    }

    /// Whether any are open.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// An incident that is open.
    pub fn case(&self, id: i64) -> Option<&Case> {
        let mut open = self.open.values();
        open.find(|(open, _)| *open == id).map(|(_, case)| case)
    }

    /// Takes in what an interval of that length has shown of each namespace that matters,
    /// at its end. `now` only runs forward.
    pub fn look(&mut self, now: Duration, length: Duration, seen: &[Evidence]) -> Vec<Change> {
        let mut changes = Vec::new();
        for evidence in seen {
            let netns = evidence.netns.inode.unwrap_or(0);
            if let Some((id, case)) = self.open.get_mut(&netns) {
                if evidence.matters() {
                    case.take(now, evidence);
                    changes.push(Change::Revised(*id));
                }
                let cause = case.wants_look(now, length, evidence);
                changes.extend(cause.map(|cause| Change::Look(*id, cause)));
            } else if self.begins(netns, now, evidence) {
                changes.extend(self.begin(netns, now, length));
            }
        }
        self.suspicions
            .retain(|_, it| now.saturating_sub(it.since) <= thresholds::RARE_WITHIN);
        let quiet = |(id, case): &(i64, Case)| {
            (now.saturating_sub(case.last) >= thresholds::QUIET).then_some(*id)
        };
        let over: Vec<i64> = self.open.values().filter_map(quiet).collect();
        changes.extend(over.into_iter().filter_map(|id| self.close(id, End::Quiet)));
        changes
    }

    /// Whether what is known of a namespace by now is an incident.
    fn begins(&mut self, netns: u32, now: Duration, evidence: &Evidence) -> bool {
        if !evidence.matters() {
            if let Some(suspicion) = self.suspicions.get_mut(&netns) {
                suspicion.full_since = None;
            }
            return false;
        }
        let suspicion = self.suspicions.entry(netns).or_insert_with(|| Suspicion {
            since: now,
            ..Suspicion::default()
        });
        if now.saturating_sub(suspicion.since) > thresholds::RARE_WITHIN {
            suspicion.since = now;
            suspicion.evidence = Evidence::default();
        }
        suspicion.full_since = match suspicion.full_since {
            _ if !evidence.is_full() => None,
            None => Some(now),
            since => since,
        };
        add(&mut suspicion.evidence, evidence);
        let stays_full = suspicion
            .full_since
            .is_some_and(|since| now.saturating_sub(since) >= thresholds::FULL_FOR);
        let refused = suspicion.evidence.refused_by_lack();
        let rare = refused.clash + refused.unknown;
        let telling = refused.total() > rare || rare >= thresholds::RARE;
        (stays_full || telling) && self.open.len() < OPEN
    }

    fn begin(&mut self, netns: u32, now: Duration, length: Duration) -> Option<Change> {
        let evidence = self.suspicions.remove(&netns)?.evidence;
        let id = self.next;
        self.next += 1;
        let case = Case {
            incident: judge(&evidence, None),
            census: None,
            last: now,
            look: LastLook {
                at: now,
                times: 1,
                refused: evidence.refused_now(),
                rate: per_second(evidence.refused_now(), length),
            },
            evidence,
        };
        self.open.insert(netns, (id, case));
        Some(Change::Opened(id))
    }

    /// Takes in who is in the table of an incident.
    pub fn take_census(&mut self, id: i64, census: Census) -> Option<Change> {
        let mut open = self.open.values_mut();
        let (_, case) = open.find(|(open, _)| *open == id)?;
        let fuller = |known: &Census| census.entries >= known.entries;
        if case.census.as_ref().is_none_or(fuller) {
            case.census = Some(census);
        }
        case.judge();
        Some(Change::Revised(id))
    }

    /// A namespace is gone.
    pub fn gone(&mut self, netns: u32) -> Option<Change> {
        self.suspicions.remove(&netns);
        let (id, _) = self.open.get(&netns)?;
        self.close(*id, End::NetnsGone)
    }

    /// Nobody watches any more.
    pub fn stop(&mut self) -> Vec<Change> {
        let open: Vec<i64> = self.open.values().map(|(id, _)| *id).collect();
        open.into_iter()
            .filter_map(|id| self.close(id, End::Stopped))
            .collect()
    }

    fn close(&mut self, id: i64, end: End) -> Option<Change> {
        let mut open = self.open.iter();
        let (&netns, _) = open.find(|(_, (open, _))| *open == id)?;
        let (id, case) = self.open.remove(&netns)?;
        Some(Change::Closed(id, Box::new(case), end))
    }
}

impl Case {
    fn take(&mut self, now: Duration, evidence: &Evidence) {
        self.last = now;
        add(&mut self.evidence, evidence);
        self.judge();
    }

    fn judge(&mut self) {
        self.incident = judge(&self.evidence, self.census.as_ref());
    }

    /// Whether the table is to be looked at again; the more often it was, the later.
    fn wants_look(&mut self, now: Duration, length: Duration, seen: &Evidence) -> Option<Cause> {
        /// From this look on the time to the next one doubles.
        const MANY: u32 = 4;
        let LastLook {
            at,
            times,
            refused,
            rate,
        } = self.look;
        let wait =
            thresholds::LOOK_AGAIN * 2_u32.saturating_pow(times.saturating_sub(MANY).min(20));
        if now.saturating_sub(at) < wait {
            return None;
        }
        let now_refused = self.evidence.refused_now();
        let now_rate = per_second(seen.refused_now(), length);
        let cause = if now_rate >= rate.saturating_mul(2).max(1) {
            Cause::Peak
        } else if now_refused >= refused.saturating_mul(2).max(1) {
            Cause::Doubled
        } else {
            return None;
        };
        self.look = LastLook {
            at: now,
            times: times + 1,
            refused: now_refused,
            rate: rate.max(now_rate),
        };
        Some(cause)
    }
}

fn per_second(packets: u64, length: Duration) -> u64 {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1);
    packets.saturating_mul(1000) / millis
}

/// Adds what an interval has shown to what those before have.
fn add(sum: &mut Evidence, more: &Evidence) {
    sum.netns = more.netns.clone();
    sum.entries = sum.entries.max(more.entries);
    sum.max = more.max.or(sum.max);
    for (&reason, packets) in &more.refused {
        *sum.refused.entry(reason).or_default() += packets;
    }
    sum.growth = match (sum.growth, more.growth) {
        (Some(sum), Some(more)) => Some(Totals::plus(&sum, &more)),
        (sum, more) => sum.or(more),
    };
}

#[cfg(test)]
mod tests {
    use conntrack_ebpf::Reason;

    use super::*;
    use crate::incident::kind::Kind;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen(reason: Reason, packets: u64, entries: u64) -> Evidence {
        let mut evidence = Evidence {
            entries: Some(entries),
            max: Some(1000),
            ..Evidence::default()
        };
        evidence.netns.inode = Some(7);
        if packets > 0 {
            evidence.refused.insert(reason, packets);
        }
        evidence
    }

    /// Looks once a second from that second on; the changes with their seconds.
    fn follow(
        incidents: &mut Lifecycle,
        seconds: std::ops::Range<u64>,
        evidence: &Evidence,
    ) -> Vec<(u64, Change)> {
        let each = seconds.flat_map(|second| {
            let now = Duration::from_secs(second);
            let changes = incidents.look(now, SECOND, std::slice::from_ref(evidence));
            changes.into_iter().map(move |change| (second, change))
        });
        each.filter(|(_, change)| !matches!(change, Change::Revised(_)))
            .collect()
    }

    #[test]
    fn the_first_packet_of_a_full_table_is_one_and_five_quiet_minutes_end_it() {
        let mut incidents = Lifecycle::starting_with(5);
        let full = seen(Reason::TableFull, 3, 1000);
        assert_eq!(
            follow(&mut incidents, 100..101, &full),
            [(100, Change::Opened(5))]
        );
        assert_eq!(
            incidents.case(5).unwrap().incident.kind,
            Kind::NoisyNamespace
        );
        // It comes and goes, and stays one incident.
        let calm = seen(Reason::TableFull, 0, 10);
        assert_eq!(follow(&mut incidents, 101..390, &calm), []);
        assert_eq!(follow(&mut incidents, 390..391, &full).len(), 1, "a look");
        let changes = follow(&mut incidents, 391..1000, &calm);
        let [(690, Change::Closed(5, case, End::Quiet))] = &changes[..] else {
            panic!("{changes:?}");
        };
        assert_eq!(case.evidence.refused[&Reason::TableFull], 6);
        assert_eq!(case.evidence.entries, Some(1000), "the most");
        assert!(!incidents.is_open());
    }

    #[test]
    fn single_lost_races_are_none_but_ten_within_a_minute_are() {
        let mut incidents = Lifecycle::starting_with(1);
        let race = seen(Reason::Clash, 1, 10);
        for minute in 0..60 {
            let second = minute * 61;
            assert_eq!(follow(&mut incidents, second..second + 1, &race), []);
        }
        // One every other second.
        let mut others = Lifecycle::starting_with(1);
        let calm = seen(Reason::Clash, 0, 10);
        let opened: Vec<u64> = (0..30)
            .flat_map(|second| {
                let evidence = if second % 2 == 0 { &race } else { &calm };
                follow(&mut others, second..second + 1, evidence)
            })
            .map(|(second, _)| second)
            .collect();
        assert_eq!(opened, [18], "the tenth");
        let changes = follow(&mut incidents, 10_000..10_020, &race);
        assert_eq!(changes, [(10_009, Change::Opened(1))]);
        let case = incidents.case(1).unwrap();
        assert_eq!(case.incident.kind, Kind::Clash);
        assert_eq!(case.evidence.refused_now(), 20, "none is forgotten");
    }

    #[test]
    fn a_table_that_stays_full_is_one_though_nothing_is_refused() {
        let mut incidents = Lifecycle::starting_with(1);
        let full = seen(Reason::TableFull, 0, 990);
        assert_eq!(follow(&mut incidents, 0..9, &full), []);
        let calm = seen(Reason::TableFull, 0, 500);
        assert_eq!(follow(&mut incidents, 9..10, &calm), []);
        let changes = follow(&mut incidents, 10..30, &full);
        assert_eq!(changes, [(20, Change::Opened(1))]);
    }

    #[test]
    fn looks_are_few_however_long_it_takes() {
        let mut incidents = Lifecycle::starting_with(1);
        let full = seen(Reason::TableFull, 100, 1000);
        let changes = follow(&mut incidents, 0..86_400, &full);
        let looks = changes
            .iter()
            .filter(|(_, change)| matches!(change, Change::Look(..)));
        let looks = looks.count();
        assert!((8..20).contains(&looks), "{looks}");
        assert!(changes[1..].iter().all(|(second, _)| *second >= 30));
        // Twice as fast as ever.
        let storm = seen(Reason::TableFull, 1_000_000, 1000);
        let changes = follow(&mut incidents, 200_000..200_001, &storm);
        assert_eq!(changes, [(200_000, Change::Look(1, Cause::Peak))]);
    }

    #[test]
    fn the_census_of_the_fullest_table_counts() {
        let mut incidents = Lifecycle::starting_with(1);
        follow(&mut incidents, 0..1, &seen(Reason::TableFull, 1, 1000));
        let leak = Census {
            entries: 1000,
            established: 900,
            idle: 900,
            ..Census::default()
        };
        assert_eq!(incidents.take_census(1, leak), Some(Change::Revised(1)));
        assert_eq!(incidents.case(1).unwrap().incident.kind, Kind::Leak);
        let later = Census {
            entries: 300,
            ..Census::default()
        };
        incidents.take_census(1, later);
        assert_eq!(incidents.case(1).unwrap().incident.kind, Kind::Leak);
        assert_eq!(incidents.take_census(9, Census::default()), None, "is over");
    }

    #[test]
    fn a_namespace_that_is_gone_ends_its_incident() {
        let mut incidents = Lifecycle::starting_with(1);
        follow(&mut incidents, 0..1, &seen(Reason::TableFull, 1, 1000));
        assert_eq!(incidents.gone(8), None);
        let change = incidents.gone(7);
        assert!(matches!(change, Some(Change::Closed(1, _, End::NetnsGone))));
        assert_eq!(incidents.stop(), []);
    }
}
