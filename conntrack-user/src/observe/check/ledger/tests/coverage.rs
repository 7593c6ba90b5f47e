//! The ledger in periods in which not all programs are attached.

use super::*;

fn kernel(drop: u64, failed: u64, chains: u64) -> Growth {
    [
        (Counter::Drop, drop),
        (Counter::InsertFailed, failed),
        (Counter::ChainTooLong, chains),
    ]
    .into()
}

fn full(packets: u64) -> Totals {
    totals(&[(Reason::TableFull, packets)])
}

#[test]
fn what_only_counters_show_at_rest_is_explained_and_exact_at_the_next_quiet_moment() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &full(0), &kernel(40, 2, 2));
    ledger.cover(Coverage::AtRest);
    quiet(&mut ledger, &full(3), &kernel(43, 9, 9));
    // The flood goes on while the programs are attached.
    let reading = Reading {
        before: &full(5),
        kernel: &kernel(46, 9, 9),
        after: &full(9),
        in_flight: 4,
    };
    ledger.read(1, &reading);
    ledger.cover(Coverage::Full);
    quiet(&mut ledger, &full(20), &kernel(60, 9, 9));
    let verdict = ledger.verdict(Backend::Fexit, &Missed::default(), |_| true);
    let proved: Vec<_> = verdict.from_counters.into_iter().collect();
    assert_eq!(proved, [(Reason::ChainTooLong, 7)]);
    assert_eq!((verdict.other, verdict.discrepancy.total()), (0, 0));
    let growth = ledger.growth(|_| true);
    assert_eq!(
        (growth[&Counter::Drop], growth[&Counter::ChainTooLong]),
        (20, 7)
    );
    // A second period at rest keeps the numbers of the first.
    ledger.cover(Coverage::AtRest);
    quiet(&mut ledger, &full(20), &kernel(61, 10, 10));
    let verdict = ledger.verdict(Backend::Fexit, &Missed::default(), |_| true);
    assert_eq!(verdict.from_counters[&Reason::ChainTooLong], 8);
    assert_eq!((verdict.other, verdict.discrepancy.total()), (1, 0));
    // Armed again, a loss is a loss.
    ledger.cover(Coverage::Full);
    quiet(&mut ledger, &full(20), &kernel(62, 10, 10));
    let verdict = ledger.verdict(Backend::Fexit, &Missed::default(), |_| true);
    assert_eq!(verdict.discrepancy.total(), 1);
}

#[test]
fn of_refused_confirmations_alone_the_counters_may_show_more_than_the_programs() {
    let verdict = |ledger: &Ledger| ledger.verdict(Backend::Fexit, &Missed::default(), |_| true);
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &full(0), &kernel(0, 0, 0));
    ledger.cover(Coverage::AtRest);
    quiet(&mut ledger, &full(3), &kernel(3, 2, 2));
    ledger.cover(Coverage::Allocations);
    quiet(&mut ledger, &full(5), &kernel(5, 7, 6));
    ledger.cover(Coverage::Full);
    quiet(&mut ledger, &full(6), &kernel(6, 7, 6));
    ledger.cover(Coverage::Allocations);
    quiet(&mut ledger, &full(6), &kernel(6, 8, 7));
    let seen = verdict(&ledger);
    assert_eq!(seen.from_counters[&Reason::ChainTooLong], 7);
    assert_eq!((seen.other, seen.discrepancy.total()), (1, 0));
    // All programs that see a full table are attached.
    quiet(&mut ledger, &full(6), &kernel(7, 8, 7));
    assert_eq!(verdict(&ledger).discrepancy.total(), 1);
    // From now on all programs are attached again.
    ledger.cover(Coverage::Full);
    quiet(&mut ledger, &full(6), &kernel(7, 9, 8));
    assert!(verdict(&ledger).discrepancy.total() > 1);
}
