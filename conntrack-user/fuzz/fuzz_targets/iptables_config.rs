//! Shell fragments: what is told of a variable has a line that is there, and what
//! comes after in quotes is still read.

#![no_main]

use conntrack_user::facts::shell::{Dialect, Fragment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = text.split('\n').count();
    for dialect in [Dialect::Bash, Dialect::Sh] {
        let fragment = Fragment::parse_as(text, dialect);
        for name in ["A", "IPTABLES_SYSCTL_LOAD_LIST", "IPTABLES_MODULES_UNLOAD"] {
            if let Some(source) = fragment.value(name).source() {
                assert!((1..=lines.max(1)).contains(&(source.line as usize)));
            }
        }
        for found in &fragment.look_alikes {
            assert!((1..=lines).contains(&(found.line as usize)));
            assert!(text.contains(found.letter));
        }
    }
});
