//! A saved table: whatever it is, it is read to its end, and in memory and as a
//! stream it is the same.

#![no_main]

use conntrack_user::{
    incident::{Census, Evidence, judge, thresholds::IDLE},
    input::{file::Content, progress::Silent},
    table::{
        aggregate::{Aggregate, Circumstances, HEAVY_KEYS},
        entry::Rules,
        filter::Filter,
        owners::Owners,
        saved::{self, SAVED, reading::Reading, words},
        timeouts::Timeouts,
    },
};
use libfuzzer_sys::fuzz_target;

fn add_up(content: Content) -> (Aggregate, Reading) {
    let circumstances = Circumstances {
        rules: Rules::of((0, 0)),
        timeouts: Timeouts::or_default(|_| None),
        now: SAVED,
        idle_after: IDLE,
        keys: HEAVY_KEYS,
    };
    saved::add_up(content, 1, &Filter::default(), circumstances, true, &mut Silent)
}

fuzz_target!(|bytes: &[u8]| {
    let stream = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let (_, streamed) = add_up(Content::Stream(stream));
    let (sums, reading) = add_up(Content::Read(bytes.to_vec()));
    assert_eq!(reading, streamed);
    assert_eq!(sums.entries, reading.entries);
    assert!(reading.malformed <= reading.lines);
    words::caveats(&reading, "table");
    words::no_table(&reading, "table");
    let census = Census::of(&sums, &Owners::default());
    let filling = judge(&Evidence::default(), Some(&census)).filling;
    assert!(filling.entries <= filling.of && filling.of <= sums.entries);
});
