use conntrack_ebpf::{Reason, TotalCounts};

use super::*;

mod coverage;

fn totals(packets: &[(Reason, u64)]) -> Totals {
    let mut counts = TotalCounts::default();
    for &(reason, amount) in packets {
        counts.slots[reason as usize] = amount;
    }
    let mut totals = Totals::default();
    totals.add(&counts);
    totals
}

fn growth(drop: u64, insert_failed: u64) -> Growth {
    [
        (Counter::Drop, drop),
        (Counter::InsertFailed, insert_failed),
    ]
    .into()
}

/// A look while nothing moves.
fn quiet(ledger: &mut Ledger, totals: &Totals, kernel: &Growth) {
    let reading = Reading {
        before: totals,
        kernel,
        after: totals,
        in_flight: 0,
    };
    ledger.read(1, &reading);
}

/// A look while packets are refused for a full table, by these numbers.
fn in_flood(ledger: &mut Ledger, before: u64, kernel: u64, after: u64) {
    let reading = Reading {
        before: &totals(&[(Reason::TableFull, before)]),
        kernel: &growth(kernel, 0),
        after: &totals(&[(Reason::TableFull, after)]),
        in_flight: 4,
    };
    ledger.read(1, &reading);
}

fn discrepancy(ledger: &Ledger) -> u64 {
    ledger
        .verdict(Backend::Fexit, &Missed::default(), |_| true)
        .discrepancy
        .total()
}

#[test]
fn a_clash_in_two_counters_is_one_drop() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    let seen = totals(&[
        (Reason::TableFull, 5),
        (Reason::Clash, 3),
        (Reason::Dying, 1),
    ]);
    quiet(&mut ledger, &seen, &growth(8, 4));
    assert_eq!(discrepancy(&ledger), 0);
}

#[test]
fn what_came_before_the_programs_is_no_loss() {
    let mut ledger = Ledger::default();
    quiet(
        &mut ledger,
        &totals(&[(Reason::TableFull, 2)]),
        &growth(40, 0),
    );
    quiet(
        &mut ledger,
        &totals(&[(Reason::TableFull, 12)]),
        &growth(50, 0),
    );
    assert_eq!(discrepancy(&ledger), 0);
    assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 12);
}

#[test]
fn one_packet_too_few_or_too_many_is_found() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    quiet(
        &mut ledger,
        &totals(&[(Reason::TableFull, 9)]),
        &growth(10, 0),
    );
    assert_eq!(discrepancy(&ledger), 1);
    assert_eq!(
        ledger
            .verdict(Backend::Fexit, &Missed::default(), |_| true)
            .other,
        1
    );

    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    quiet(
        &mut ledger,
        &totals(&[(Reason::TableFull, 11)]),
        &growth(10, 0),
    );
    assert_eq!(discrepancy(&ledger), 1);
}

#[test]
fn a_skipped_program_explains_as_many_as_it_was_skipped() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    quiet(
        &mut ledger,
        &totals(&[(Reason::TableFull, 7)]),
        &growth(10, 0),
    );
    let missed = Missed {
        allocations: 2,
        ..Missed::default()
    };
    let verdict = ledger.verdict(Backend::Fexit, &missed, |_| true);
    assert_eq!((verdict.other, verdict.discrepancy.total()), (3, 1));
}

#[test]
fn an_eviction_whose_program_was_skipped_is_told_by_its_counter() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &[(Counter::EarlyDrop, 0)].into());
    let seen = totals(&[(Reason::Evicted, 8)]);
    quiet(&mut ledger, &seen, &[(Counter::EarlyDrop, 9)].into());
    let missed = Missed {
        evictions: 1,
        ..Missed::default()
    };
    let verdict = ledger.verdict(Backend::Kprobe, &missed, |_| true);
    assert_eq!(verdict.from_counters, [(Reason::Evicted, 1)].into());
    assert_eq!((verdict.other, verdict.discrepancy.total()), (0, 0));
}

#[test]
fn what_a_skipped_program_left_is_not_told_again_when_all_are_detached() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    let seen = totals(&[(Reason::TableFull, 7)]);
    quiet(&mut ledger, &seen, &growth(10, 0));
    let missed = Missed {
        allocations: 3,
        ..Missed::default()
    };
    let other = |ledger: &Ledger| ledger.verdict(Backend::Fexit, &missed, |_| true).other;
    assert_eq!(other(&ledger), 3);
    ledger.cover(Coverage::None);
    assert_eq!(other(&ledger), 3);
    quiet(&mut ledger, &seen, &growth(12, 0));
    assert_eq!(other(&ledger), 5);
    // All are attached again, and another run is skipped.
    ledger.cover(Coverage::Full);
    quiet(&mut ledger, &seen, &growth(13, 0));
    assert_eq!(other(&ledger), 6);
    assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 13);
    // The module goes, with its counters, and comes back.
    ledger.cover(Coverage::None);
    ledger.restart(1, &seen);
    quiet(&mut ledger, &seen, &growth(14, 0));
    ledger.cover(Coverage::Full);
    quiet(&mut ledger, &seen, &growth(16, 0));
    assert_eq!(other(&ledger), 9);
    assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 16);
}

#[test]
fn what_counters_show_while_nothing_is_attached_is_told_on_each_backend() {
    for backend in [Backend::Fexit, Backend::Kprobe, Backend::Tracepoint] {
        let mut ledger = Ledger::default();
        quiet(&mut ledger, &totals(&[]), &growth(0, 0));
        let seen = totals(&[(Reason::TableFull, 7)]);
        quiet(&mut ledger, &seen, &growth(7, 0));
        // The module goes and comes back, and packets are refused before the programs
        // are attached again.
        ledger.cover(Coverage::None);
        ledger.restart(1, &seen);
        quiet(&mut ledger, &seen, &growth(12, 0));
        ledger.cover(Coverage::Full);
        let verdict = ledger.verdict(backend, &Missed::default(), |_| true);
        let told = (verdict.other, verdict.discrepancy.total());
        assert_eq!(told, (5, 0), "{backend}");
    }
}

#[test]
fn no_moment_of_a_flood_looks_like_a_loss() {
    // A true count that grows between the three readings of every look,
    // and starts before the programs do.
    let mut ledger = Ledger::default();
    let mut truth = 1000;
    let before_attach = truth;
    for step in 0..200_u64 {
        let seen = |truth: u64| totals(&[(Reason::TableFull, truth - before_attach)]);
        let before = seen(truth);
        truth += step % 7 * 100;
        let kernel = growth(truth, 0);
        truth += step % 5 * 100;
        let after = seen(truth);
        let reading = Reading {
            before: &before,
            kernel: &kernel,
            after: &after,
            in_flight: 4,
        };
        ledger.read(1, &reading);
        assert_eq!(discrepancy(&ledger), 0, "step {step}");
    }
}

#[test]
fn the_tracepoint_learns_the_rest_from_the_counters() {
    let mut ledger = Ledger::default();
    let mut kernel: Growth = Counter::ALL.map(|counter| (counter, 0)).into();
    quiet(&mut ledger, &totals(&[]), &kernel);
    kernel.insert(Counter::Drop, 105);
    kernel.insert(Counter::InsertFailed, 12);
    kernel.insert(Counter::ChainTooLong, 6);
    kernel.insert(Counter::EarlyDrop, 3);
    quiet(&mut ledger, &totals(&[(Reason::TableFull, 100)]), &kernel);
    let verdict = ledger.verdict(Backend::Tracepoint, &Missed::default(), |_| true);
    let proved: Vec<_> = verdict.from_counters.into_iter().collect();
    assert_eq!(
        proved,
        [
            (Reason::Clash, 5),
            (Reason::ChainTooLong, 6),
            (Reason::Evicted, 3)
        ]
    );
    assert_eq!((verdict.other, verdict.discrepancy.total()), (1, 0));
}

#[test]
fn a_namespace_that_ends_leaves_what_was_not_checked_and_no_alarm() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    quiet(
        &mut ledger,
        &totals(&[(Reason::TableFull, 10)]),
        &growth(10, 0),
    );
    // Five more packets, then the end; another namespace gets the number.
    let last = totals(&[(Reason::TableFull, 15)]);
    ledger.reopen(1, Some(&last));
    quiet(&mut ledger, &last, &growth(10, 0));
    let next = totals(&[(Reason::TableFull, 18)]);
    quiet(&mut ledger, &next, &growth(13, 0));
    assert_eq!(discrepancy(&ledger), 0);
    assert_eq!(ledger.unchecked(1, &next), 5);
    // However often the namespace may have ended.
    ledger.reopen(1, Some(&next));
    ledger.reopen(1, Some(&next));
    quiet(&mut ledger, &next, &growth(13, 0));
    assert_eq!(ledger.unchecked(1, &next), 5);
    // What was lost until the first reading after that is unchecked, too.
    ledger.reopen(1, Some(&next));
    let next = totals(&[(Reason::TableFull, 20)]);
    quiet(&mut ledger, &next, &growth(13, 0));
    assert_eq!(ledger.unchecked(1, &next), 7);
    // And a loss in the new one is still seen.
    quiet(&mut ledger, &next, &growth(14, 0));
    assert_eq!(discrepancy(&ledger), 1);
}

#[test]
fn what_the_counters_of_an_ended_namespace_showed_stays_known() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(40, 0));
    let last = totals(&[(Reason::TableFull, 10)]);
    quiet(&mut ledger, &last, &growth(50, 0));
    ledger.reopen(1, Some(&last));
    assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 10);
}

#[test]
fn packets_of_namespaces_that_nobody_saw_are_unchecked() {
    let mut ledger = Ledger::default();
    // Seven packets in one namespace, then three in the next of its number.
    let seen = totals(&[(Reason::TableFull, 10)]);
    quiet(&mut ledger, &seen, &growth(3, 0));
    assert_eq!(discrepancy(&ledger), 0);
    assert_eq!(ledger.unchecked(1, &seen), 7);
    assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 3);
    // A loss in that one is still seen.
    quiet(&mut ledger, &seen, &growth(4, 0));
    assert_eq!(discrepancy(&ledger), 1);
}

#[test]
fn those_that_nobody_saw_are_unchecked_also_in_the_middle_of_a_flood() {
    let mut ledger = Ledger::default();
    // 41 in one namespace, then nine in the next of its number, which is looked
    // at after the third, or a little later: two are on their way.
    in_flood(&mut ledger, 43, 3, 44);
    let last = totals(&[(Reason::TableFull, 50)]);
    quiet(&mut ledger, &last, &growth(9, 0));
    assert_eq!(discrepancy(&ledger), 0);
    let checked = ledger.growth(|_| true)[&Counter::Drop];
    assert_eq!(checked, 9);
    assert!((41..=45).contains(&ledger.unchecked(1, &last)));
}

#[test]
fn a_namespace_that_lived_only_in_a_flood_leaves_none_out() {
    let mut ledger = Ledger::default();
    in_flood(&mut ledger, 30, 31, 33);
    // Four of them may have come before it was watched.
    assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 26);
    let seen = totals(&[(Reason::TableFull, 40)]);
    ledger.reopen(1, Some(&seen));
    assert_eq!(ledger.unchecked(1, &seen), 14);
    // Another one of its number.
    in_flood(&mut ledger, 42, 31, 47);
    let seen = totals(&[(Reason::TableFull, 60)]);
    ledger.reopen(1, Some(&seen));
    assert_eq!(ledger.growth(|_| true)[&Counter::Drop], 26);
    assert_eq!(ledger.unchecked(1, &seen), 14 + 20 + 4);
    assert_eq!(discrepancy(&ledger), 0);
}

/// A ledger at rest that saw three packets refused by programs and seven
/// for the length of their chain by counters alone, then was armed, in the
/// middle of a flood.
#[test]
fn a_packet_that_no_counter_confirms_is_found_at_rest_too() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    ledger.cover(Coverage::AtRest);
    let seen = totals(&[(Reason::TableFull, 1)]);
    quiet(&mut ledger, &seen, &growth(0, 0));
    assert_eq!(discrepancy(&ledger), 1);
}

#[test]
fn packets_that_a_rule_dropped_are_not_taken_for_refusals() {
    let mut ledger = Ledger::default();
    quiet(&mut ledger, &totals(&[]), &growth(0, 0));
    quiet(
        &mut ledger,
        &totals(&[(Reason::TableFull, 30)]),
        &growth(10, 0),
    );
    let verdict = ledger.verdict(Backend::Tracepoint, &Missed::default(), |_| true);
    assert_eq!(verdict.discrepancy.total(), 20);
}

/// Drops that the kernel counts, and what of undecided packets they may be.
fn undecided(looks: &[(&[(Reason, u64)], u64)]) -> (u64, Verdict) {
    let mut ledger = Ledger::default();
    for &(counted, drop) in looks {
        quiet(&mut ledger, &totals(counted), &growth(drop, 0));
    }
    let verdict = ledger.verdict(Backend::Tracepoint, &Missed::default(), |_| true);
    (ledger.growth(|_| true)[&Counter::Drop], verdict)
}

#[test]
fn undecided_packets_are_no_more_than_the_counter_leaves() {
    let packets: &[(Reason, u64)] = &[(Reason::TableFull, 10), (Reason::RuleOrRefused, 5)];
    // The counter has counted two more than those refused for sure.
    let (drop, verdict) = undecided(&[(&[], 0), (packets, 12)]);
    assert_eq!((drop, verdict.rule_or_refused), (12, 2));
    assert_eq!(verdict.discrepancy.total(), 0);
    // None more: rules dropped them.
    let (_, verdict) = undecided(&[(&[], 0), (packets, 10)]);
    assert_eq!(verdict.rule_or_refused, 0);
    assert_eq!(verdict.discrepancy.total(), 0);
    // More than they can be.
    let (_, verdict) = undecided(&[(&[], 0), (packets, 18)]);
    assert_eq!(verdict.rule_or_refused, 5);
    assert_eq!(verdict.discrepancy.total(), 3);
}

#[test]
fn undecided_packets_of_a_new_namespace_are_not_from_before() {
    let (drop, verdict) =
        undecided(&[(&[(Reason::TableFull, 10), (Reason::RuleOrRefused, 2)], 12)]);
    assert_eq!((drop, verdict.rule_or_refused), (12, 2));
}
