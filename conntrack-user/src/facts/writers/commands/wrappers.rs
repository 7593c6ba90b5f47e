//! Programs that run another one: `sudo`, `env`, `nice`.

use crate::facts::shell::effect::Word;

/// Programs that run what follows them, with the options that have a value of
/// their own.
const WRAPPERS: [(&str, &str); 12] = [
    ("sudo", "ugCphrtT"),
    ("doas", "uC"),
    ("nice", "n"),
    ("ionice", "cnp"),
    ("nohup", ""),
    ("setsid", ""),
    ("env", "uCS"),
    ("busybox", ""),
    ("stdbuf", "ioe"),
    ("time", "fo"),
    ("chronic", ""),
    ("timeout", "ks"),
];

/// The words of a command without what only runs it: `sudo -n`, `env A=1`.
pub(super) fn unwrapped(words: &[Word]) -> &[Word] {
    let mut words = words;
    while let Some((first, mut rest)) = words.split_first() {
        let Some(first) = first.known() else {
            return words;
        };
        let name = first.rsplit('/').next().unwrap_or(first);
        let Some((_, with_value)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name) else {
            return words;
        };
        while let Some((word, after)) = rest.split_first() {
            let Some(word) = word.known() else {
                break;
            };
            let option = word.strip_prefix('-').filter(|_| word != "-");
            if let Some(option) = option {
                let takes = option.len() == 1 && with_value.contains(option);
                rest = if takes {
                    after.get(1..).unwrap_or_default()
                } else {
                    after
                };
            } else if word.contains('=') && name != "nice" {
                rest = after;
            } else {
                break;
            }
        }
        if name == "timeout" {
            rest = rest.get(1..).unwrap_or_default();
        }
        words = rest;
    }
    words
}

/// Whether somebody who is not root may become root for a command.
pub(in crate::facts::writers) fn becomes_root(command: &str) -> bool {
    let mut words = command.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| ["sudo", "doas", "su", "pkexec"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_runs_a_command_is_left_out() {
        for (line, left) in [
            ("sudo tee x", "tee x"),
            ("sudo -u root -n /usr/bin/env A=1 tee x", "tee x"),
            ("nice -n 19 ionice -c3 sysctl -p", "sysctl -p"),
            ("timeout -k 5 10 sysctl -p", "sysctl -p"),
            ("busybox sysctl -p", "sysctl -p"),
            ("sudo", ""),
            ("tee sudo", "tee sudo"),
        ] {
            let words: Vec<Word> = line.split(' ').map(Word::new).collect();
            let rest: Vec<&str> = unwrapped(&words).iter().filter_map(Word::known).collect();
            assert_eq!(rest.join(" "), left, "{line}");
        }
    }
}
