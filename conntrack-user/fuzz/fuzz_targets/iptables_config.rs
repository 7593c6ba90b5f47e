//! Shell fragments: assignments have names and lines that are there, and what
//! comes after in quotes is still read.

#![no_main]

use conntrack_user::facts::shell::Fragment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let fragment = Fragment::parse(text);
    let lines = text.split('\n').count();
    for assignment in &fragment.assignments {
        assert!((1..=lines).contains(&(assignment.line as usize)));
        assert!(!assignment.name.is_empty());
        assert!(
            assignment
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        );
    }
    for found in &fragment.look_alikes {
        assert!((1..=lines).contains(&(found.line as usize)));
        assert!(text.contains(found.letter));
    }
});
