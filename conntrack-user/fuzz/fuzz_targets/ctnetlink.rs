//! Whatever comes from the kernel is read to its end: a datagram of a dump, and
//! its entries added up.

#![no_main]

use conntrack_user::{
    commands::who::verdict::{Facts, judge},
    table::{
        aggregate::{Aggregate, Circumstances},
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
    let judged = judge(&Facts::of(&sums));
    assert!(judged.entries <= sums.entries);
});
