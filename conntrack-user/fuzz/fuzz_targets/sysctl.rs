//! Sysctl files: every line that assigns is a line of the text, its key is in
//! one form, and reading it again says the same.

#![no_main]

use conntrack_user::facts::sysctl::{
    Key, Variable,
    line::{number, parse},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for line in parse(text) {
        let written = text.lines().nth(line.number as usize - 1);
        assert_eq!(written, Some(line.text.as_str()));
        assert!(!line.key.path.starts_with('/') && !line.key.path.contains("//"));
        assert_eq!(line.value, line.value.trim());
        assert!(number(&line.value).is_none_or(|value| i32::try_from(value).is_ok()));
        assert!(line.key.matches(Variable::Max).count() <= 4);
        let path = &line.key.path;
        if path
            .find(['.', '/'])
            .is_some_and(|at| path[at..].starts_with('/'))
        {
            assert_eq!(Key::parse(path), line.key, "a path is a key, too");
        }
    }
});
