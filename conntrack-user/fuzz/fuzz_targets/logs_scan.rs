//! A whole log: it is taken in without an end, and however it is read the same
//! is counted.

#![no_main]

use conntrack_user::logs::{
    blocks,
    burst::{Bursts, Filter},
    chronology::Chronology,
    scan::{Found, Scanner},
    tally::Count,
};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

fn count(feed: impl FnOnce(&mut dyn FnMut(Found))) -> (Count, u64) {
    let filter = Filter::default();
    let mut bursts = Bursts::new(&filter, Chronology::new(TimeZone::UTC));
    bursts.begin_part(1_700_000_000_000_000, None);
    feed(&mut |found| {
        for event in &found.events {
            bursts.take(event, &|_, _| false);
        }
    });
    bursts.end_part(0, &|_, _| false);
    let said = bursts.finish();
    (said.tally.total(), said.elsewhere)
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
