//! The journal's export format, and its JSON, in lines and pretty.

#![no_main]

use conntrack_user::logs::format::journal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = journal::json(bytes, (0, 0));
    let mut last = 0;
    let _ = journal::export(bytes, |event, read| {
        assert!(read >= last && read <= bytes.len() as u64);
        if let Some(event) = event {
            assert!(event.at.0 <= event.at.1);
        }
        last = read;
    });
    let mut last = 0;
    let _ = journal::pretty(bytes, |_, read| {
        assert!(read >= last && read <= bytes.len() as u64);
        last = read;
    });
});
