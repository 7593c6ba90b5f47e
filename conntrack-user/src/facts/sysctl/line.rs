//! The lines of a sysctl file, in the form that all readers share: `key =
//! value`, comments after `#` or `;` at the beginning of a line.

use crate::facts::sysctl::key::Key;

/// A line that assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Number, from 1.
    pub number: u32,
    /// The whole line: some readers choose lines by what is in them.
    pub text: String,
    /// What is assigned to; without the `-` that may stand before it.
    pub key: Key,
    /// Whether a `-` stands before the key: failures are to be ignored. Readers
    /// that do not know of it take it for a part of the name.
    pub dash: bool,
    /// What is assigned, without white space around it.
    pub value: String,
}

/// Finds the lines that assign.
pub fn parse(text: &str) -> Vec<Line> {
    (1..)
        .zip(text.lines())
        .filter_map(|(number, text)| {
            let line = text.trim();
            if line.starts_with(['#', ';']) {
                return None;
            }
            let (key, value) = line.split_once('=')?;
            let key = key.trim_end();
            let (key, dash) = match key.strip_prefix('-') {
                Some(rest) => (rest.trim_start(), true),
                None => (key, false),
            };
            (!key.is_empty()).then(|| Line {
                number,
                text: text.to_owned(),
                key: Key::parse(key),
                dash,
                value: value.trim().to_owned(),
            })
        })
        .collect()
}

/// A value as the kernel takes it for the limit: the first word, in C's
/// notation (`kernel/sysctl.c: proc_get_long`). `None`: it refuses it.
pub fn number(value: &str) -> Option<u64> {
    let word = value.split_ascii_whitespace().next()?;
    let number = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None if word.len() > 1 && word.starts_with('0') => u64::from_str_radix(&word[1..], 8),
        None if word.starts_with('+') => return None,
        None => word.parse(),
    };
    number.ok().filter(|&number| i32::try_from(number).is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let lines = parse(
            "# net.nf_conntrack_max = 1\n\n ; net.nf_conntrack_max = 2\n\
             \tnet.nf_conntrack_max= 262144 \n-net/netfilter/nf_conntrack_max =9\n\
             nonsense\n = 3\nnet.nf_conntrack_max = a = b\r\n",
        );
        let short: Vec<_> = lines
            .iter()
            .map(|line| {
                (
                    line.number,
                    line.key.path.as_str(),
                    line.dash,
                    line.value.as_str(),
                )
            })
            .collect();
        assert_eq!(
            short,
            [
                (4, "net/nf_conntrack_max", false, "262144"),
                (5, "net/netfilter/nf_conntrack_max", true, "9"),
                (8, "net/nf_conntrack_max", false, "a = b"),
            ]
        );
    }

    #[test]
    fn numbers_are_c_s() {
        assert_eq!(number("262144"), Some(262_144));
        assert_eq!(number("0x40000"), Some(262_144));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("262144 # many"), Some(262_144));
        for refused in [
            "",
            "many",
            "1048576;",
            "256k",
            "-1",
            "+1",
            "2147483648",
            "”1”",
        ] {
            assert_eq!(number(refused), None, "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC*(\\n\\PC*){0,4}") {
            for line in parse(&text) {
                prop_assert!(text.lines().nth(line.number as usize - 1) == Some(&line.text));
                number(&line.value);
            }
        }

        #[test]
        fn what_is_written_is_read(
            name in "[a-z_]{1,8}(\\.[a-z_]{1,8}){1,3}",
            value in 0..=i32::MAX,
            before in "[ \t]{0,3}",
            around in "[ \t]{0,3}",
            dash in any::<bool>(),
        ) {
            let mark = if dash { "-" } else { "" };
            let lines = parse(&format!("#\n{before}{mark}{name}{around}={around}{value}{around}\n"));
            prop_assert_eq!(lines.len(), 1);
            prop_assert_eq!(lines[0].number, 2);
            prop_assert_eq!(lines[0].dash, dash);
            prop_assert_eq!(&lines[0].key.path, &name.replace('.', "/"));
            prop_assert_eq!(number(&lines[0].value), u64::try_from(value).ok());
        }
    }
}
