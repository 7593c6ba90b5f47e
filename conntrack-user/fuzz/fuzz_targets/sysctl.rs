//! Sysctl files, as each program reads them: every line that assigns is a line of the
//! text, its key is in one form, and reading that again says the same.

#![no_main]

use conntrack_user::facts::sysctl::{
    Dialect, Key, Variable,
    line::{number, parse},
};
use libfuzzer_sys::fuzz_target;

const DIALECTS: [Dialect; 6] = [
    Dialect::Procps3 { any_length: false },
    Dialect::Procps3 { any_length: true },
    Dialect::Procps4,
    Dialect::Systemd(Some(219)),
    Dialect::Systemd(None),
    Dialect::Busybox,
];

fuzz_target!(|text: &str| {
    for dialect in DIALECTS {
        for line in parse(text, dialect) {
            let written = text.split('\n').nth(line.number as usize - 1);
            let written = written.map(|line| line.strip_suffix('\r').unwrap_or(line));
            // busybox joins lines.
            assert!(dialect == Dialect::Busybox || written == Some(line.text.as_str()));
            assert!(!line.key.path.starts_with('/') && !line.key.path.contains("//"));
            assert!(number(&line.value).is_none_or(|value| i32::try_from(value).is_ok()));
            assert!(line.key.matches(Variable::Max).count() <= 4);
            let path = &line.key.path;
            if path
                .find(['.', '/'])
                .is_some_and(|at| path[at..].starts_with('/'))
            {
                assert_eq!(Key::parse(path).path, line.key.path, "a path is a key, too");
            }
        }
    }
});
