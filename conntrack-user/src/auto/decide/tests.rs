//! Decisions, tried without a kernel.

use proptest::prelude::*;

use super::*;

const TABLE: Table = Table {
    max: 1000,
    buckets: 512,
};

fn double(table: Table) -> impl Fn(Need) -> Table {
    move |need| match need {
        Need::Room => Table {
            max: 2 * table.max,
            buckets: table.buckets.max(table.max / 2),
        },
        Need::Buckets => Table {
            max: table.max,
            buckets: 2 * table.buckets,
        },
    }
}

fn look(now: Instant, table: Table, refused: Option<Need>) -> Look {
    Look {
        now,
        table,
        refused,
        owned: false,
    }
}

/// Decides, and makes the step that is decided on.
fn act(automatic: &mut Automatic, now: Instant, table: &mut Table, need: Need) -> Option<Decision> {
    let decision = automatic.decide(look(now, *table, Some(need)), double(*table));
    if let Some(Decision::Raise { to, .. }) = decision {
        *table = to;
        automatic.raised(now, to);
    }
    decision
}

#[test]
fn the_first_refused_packet_raises_at_once() {
    let mut automatic = Automatic::new(100_000);
    let begin = Instant::now();
    assert_eq!(
        automatic.decide(look(begin, TABLE, None), double(TABLE)),
        None
    );
    let decision = automatic.decide(look(begin, TABLE, Some(Need::Room)), double(TABLE));
    let to = Table {
        max: 2000,
        buckets: 512,
    };
    assert_eq!(
        decision,
        Some(Decision::Raise {
            need: Need::Room,
            to
        })
    );
}

#[test]
fn the_next_step_waits_for_the_cause_and_the_cool_down() {
    let mut automatic = Automatic::new(100_000);
    let (begin, mut table) = (Instant::now(), TABLE);
    assert!(act(&mut automatic, begin, &mut table, Need::Room).is_some());
    let later = begin + COOL_DOWN;
    assert_eq!(act(&mut automatic, later, &mut table, Need::Room), None);
    automatic.judged(later, Some(Kind::Undersized), 2000);
    let early = begin + COOL_DOWN / 2;
    assert_eq!(act(&mut automatic, early, &mut table, Need::Room), None);
    assert!(act(&mut automatic, later, &mut table, Need::Room).is_some());
    assert_eq!(table.max, 4000);
}

#[test]
fn the_ceiling_is_reached_and_said_once() {
    let mut automatic = Automatic::new(1500);
    let (mut now, mut table) = (Instant::now(), TABLE);
    assert!(act(&mut automatic, now, &mut table, Need::Room).is_some());
    assert_eq!(table.max, 1500);
    automatic.judged(now, None, 0);
    now += COOL_DOWN;
    let held = act(&mut automatic, now, &mut table, Need::Room);
    assert_eq!(held, Some(Decision::Hold(Held::Ceiling)));
    assert_eq!(act(&mut automatic, now, &mut table, Need::Room), None);
}

#[test]
fn long_chains_get_buckets_up_to_one_for_each_entry() {
    let mut automatic = Automatic::new(700);
    let (mut now, mut table) = (Instant::now(), TABLE);
    act(&mut automatic, now, &mut table, Need::Buckets);
    assert_eq!((table.max, table.buckets), (1000, 700));
    automatic.judged(now, None, 0);
    now += COOL_DOWN;
    let held = act(&mut automatic, now, &mut table, Need::Buckets);
    assert_eq!(held, Some(Decision::Hold(Held::BucketsAtCeiling)));
}

#[test]
fn a_flood_gets_one_step_until_it_is_over() {
    let mut automatic = Automatic::new(100_000);
    let (mut now, mut table) = (Instant::now(), TABLE);
    act(&mut automatic, now, &mut table, Need::Room);
    automatic.judged(now, Some(Kind::Flood), 1000);
    now += COOL_DOWN;
    let held = act(&mut automatic, now, &mut table, Need::Room);
    assert_eq!(held, Some(Decision::Hold(Held::Flood)));
    now += LOOK_AGAIN;
    let again = act(&mut automatic, now, &mut table, Need::Room);
    assert_eq!(again, Some(Decision::Diagnose(Need::Room)));
    assert_eq!(act(&mut automatic, now, &mut table, Need::Room), None);
    automatic.judged(now, Some(Kind::Undersized), 0);
    assert!(matches!(
        act(&mut automatic, now, &mut table, Need::Room),
        Some(Decision::Raise { .. })
    ));
}

#[test]
fn who_cannot_look_lifts_no_ban() {
    let mut automatic = Automatic::new(100_000);
    let (mut now, mut table) = (Instant::now(), TABLE);
    act(&mut automatic, now, &mut table, Need::Room);
    automatic.judged(now, Some(Kind::Flood), 1000);
    now += LOOK_AGAIN;
    let again = act(&mut automatic, now, &mut table, Need::Room);
    assert_eq!(again, Some(Decision::Diagnose(Need::Room)));
    automatic.judged(now, None, 0);
    let held = act(&mut automatic, now, &mut table, Need::Room);
    assert_eq!(held, Some(Decision::Hold(Held::Flood)));
}

#[test]
fn what_is_honest_is_given_even_in_a_leak() {
    let mut automatic = Automatic::new(100_000);
    let (mut now, mut table) = (Instant::now(), TABLE);
    act(&mut automatic, now, &mut table, Need::Room);
    automatic.judged(now, Some(Kind::Leak), 3000);
    now += COOL_DOWN;
    act(&mut automatic, now, &mut table, Need::Room);
    assert_eq!(table.max, 3000);
}

#[test]
fn a_limit_that_is_put_back_is_left_to_the_other_in_the_end() {
    let mut automatic = Automatic::new(100_000);
    let mut now = Instant::now();
    for times in 1..=PUT_BACKS {
        let mut table = TABLE;
        let raised = act(&mut automatic, now, &mut table, Need::Room);
        assert!(matches!(raised, Some(Decision::Raise { .. })), "{times}");
        automatic.judged(now, Some(Kind::Undersized), 0);
        let noticed = automatic.decide(look(now, TABLE, None), double(TABLE));
        let expected = Decision::PutBack {
            wrote: table,
            times,
            last: times == PUT_BACKS,
        };
        assert_eq!(noticed, Some(expected));
        now += COOL_DOWN;
    }
    assert!(automatic.is_over());
    assert_eq!(
        act(&mut automatic, now, &mut TABLE.clone(), Need::Room),
        None
    );
}

#[test]
fn a_value_that_has_held_forgives() {
    let mut automatic = Automatic::new(100_000);
    let mut now = Instant::now();
    for _ in 0..2 * PUT_BACKS {
        let mut table = TABLE;
        act(&mut automatic, now, &mut table, Need::Room);
        automatic.judged(now, None, 0);
        now += HELD;
        assert_eq!(
            automatic.decide(look(now, table, None), double(table)),
            None
        );
        automatic.decide(look(now, TABLE, None), double(TABLE));
    }
    assert!(!automatic.is_over());
}

#[test]
fn who_owns_the_limit_is_not_fought() {
    let mut automatic = Automatic::new(100_000);
    let owned = Look {
        owned: true,
        ..look(Instant::now(), TABLE, Some(Need::Room))
    };
    let held = automatic.decide(owned, double(TABLE));
    assert_eq!(held, Some(Decision::Hold(Held::Owner)));
    assert_eq!(automatic.decide(owned, double(TABLE)), None);
}

#[test]
fn no_limit_is_none_to_raise() {
    let mut automatic = Automatic::new(100_000);
    let none = Table { max: 0, ..TABLE };
    let look = look(Instant::now(), none, Some(Need::Room));
    assert_eq!(automatic.decide(look, double(none)), None);
}

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Refused(Need),
    Passes(u16),
    Written { max: u64, buckets: u64 },
    Judged(u8, u64),
    Fails,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        50 => Just(Happens::Refused(Need::Room)),
        20 => Just(Happens::Refused(Need::Buckets)),
        40 => (0..4000_u16).prop_map(Happens::Passes),
        20 => (0..20_000_u64, 0..20_000_u64)
            .prop_map(|(max, buckets)| Happens::Written { max, buckets }),
        40 => (0..4_u8, 0..20_000_u64).prop_map(|(cause, honest)| Happens::Judged(cause, honest)),
        1 => Just(Happens::Fails),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_hold(
        ceiling in 0..50_000_u64,
        story in prop::collection::vec((happens(), 0..60_000_u64, 0..60_000_u64), 1..200),
    ) {
        let mut automatic = Automatic::new(ceiling);
        let (mut now, mut table) = (Instant::now(), TABLE);
        let (mut stepped, mut steps_after_end) = (None::<Instant>, 0);
        let mut ended = false;
        for (event, max, buckets) in story {
            let mut need = None;
            match event {
                Happens::Refused(what) => need = Some(what),
                Happens::Passes(time) => now += Duration::from_millis(time.into()),
                Happens::Written { max, buckets } => table = Table { buckets, max },
                Happens::Judged(cause, honest) => {
                    let causes = [Kind::Undersized, Kind::Leak, Kind::Flood];
                    automatic.judged(now, causes.get(usize::from(cause)).copied(), honest);
                }
                Happens::Fails => {
                    automatic.end();
                    ended = true;
                }
            }
            let wanted = Table { buckets, max };
            let decision = automatic.decide(look(now, table, need), |_| wanted);
            match decision {
                Some(Decision::Raise { need: why, to }) => {
                    prop_assert_eq!(Some(why), need, "only what was refused");
                    prop_assert!(to.max <= ceiling.max(table.max), "above the ceiling");
                    prop_assert!(to.buckets <= ceiling.max(table.buckets));
                    prop_assert!(to.max >= table.max && to.buckets >= table.buckets);
                    prop_assert!(to != table, "a step that is none");
                    prop_assert!(stepped.is_none_or(|then| now - then >= COOL_DOWN));
                    steps_after_end += u32::from(ended);
                    stepped = Some(now);
                    table = to;
                    automatic.raised(now, to);
                    // The same look once more changes nothing.
                    prop_assert_eq!(automatic.decide(look(now, table, need), |_| wanted), None);
                }
                Some(Decision::PutBack { last, .. }) => ended |= last,
                _ => {}
            }
        }
        prop_assert_eq!(steps_after_end, 0, "a step after the end");
    }
}
