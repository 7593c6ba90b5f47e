//! Whatever comes from the kernel is read to its end: a datagram of a dump, and
//! its entries added up.

#![no_main]

use conntrack_user::{
    incident::{Census, Evidence, judge, thresholds::IDLE},
    table::{
        aggregate::{Aggregate, Circumstances, HEAVY_KEYS},
        entry::Rules,
        owners::Owners,
        timeouts::Timeouts,
        wire::{self, Message},
    },
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let mut sums = Aggregate::new(Circumstances {
        rules: Rules::of((6, 12)),
        timeouts: Timeouts::default(),
        now: 0,
        idle_after: IDLE,
        keys: HEAVY_KEYS,
    });
    let owners = Owners::default();
    let mut messages = 0;
    for (message, _) in wire::messages(datagram) {
        messages += 1;
        if let Message::Entry(payload) = message
            && let Some(entry) = wire::entry(payload)
        {
            sums.add(&entry, &owners);
        }
    }
    assert!(messages <= datagram.len() / wire::HEADER + 1);
    let census = Census::of(&sums, &owners);
    let filling = judge(&Evidence::default(), Some(&census)).filling;
    assert!(filling.entries <= filling.of && filling.of <= sums.entries);
});
