//! A line of a log: whatever it is, what is taken from it is part of it, and its
//! time can be placed.

#![no_main]

use conntrack_user::{
    kernel::message::Message,
    logs::{account::year::YearTracker, format::line::Line},
};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let line = Line::parse(bytes);
    let inside = |part: &[u8]| {
        let all = bytes.as_ptr_range();
        part.is_empty() || (part.as_ptr() >= all.start && part.as_ptr_range().end <= all.end)
    };
    assert!(inside(line.text) && line.host.is_none_or(inside));
    if Message::parse(line.text).is_none() && Message::is_cut(line.text) {
        assert!(
            line.text.starts_with(b"nf_conntrack: ") || line.text.starts_with(b"ip_conntrack: ")
        );
    }
    let mut years = YearTracker::new(TimeZone::UTC);
    years.begin_part(1_700_000_000_000_000, None);
    let first = years.moment_of(line.stamp);
    years.moment_of(line.stamp);
    let _ = (first.minute(), years.overshoot());
});
