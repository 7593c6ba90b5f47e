//! A whole log: it is taken in without an end, and however it is read the same
//! is counted.

#![no_main]

use conntrack_user::logs::{
    account::{attribution::Attribution, filter::Filter, tally::Count, year::YearTracker},
    search::{
        blocks,
        scanner::{Found, Scanner},
    },
};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

fn count(feed: impl FnOnce(&mut dyn FnMut(Found))) -> (Count, u64) {
    let filter = Filter::default();
    let mut sums = Attribution::new(&filter, YearTracker::new(TimeZone::UTC));
    sums.begin_part(1_700_000_000_000_000, None);
    sums.reads_lines();
    feed(&mut |found| {
        for event in &found.events {
            sums.take(event, &|_, _| false);
        }
    });
    sums.end_part(0, &|_, _| false);
    let sums = sums.finish();
    (sums.tally.total(), sums.suppressed_elsewhere)
}

fuzz_target!(|bytes: &[u8]| {
    let scanner = Scanner::for_streams();
    let memory = count(|take| blocks::scan_all(bytes, 1, &scanner, |found, _| take(found)));
    let stream = count(|take| {
        blocks::scan_stream(bytes, &scanner, |found, _| take(found)).unwrap();
    });
    assert_eq!(memory, stream);
    let whole = count(|take| take(scanner.scan(bytes, 0)));
    assert_eq!(memory, whole);
});
