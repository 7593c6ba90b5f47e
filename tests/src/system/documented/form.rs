//! Whether output has the form of what a document shows.

use anyhow::{Result, bail};

use crate::form::without_numbers;

/// Stands for any number of lines.
const ELISION: &str = "…";

/// How much of a line must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// All but numbers: the command reads files that are known.
    Line,
    /// The first word: the rest depends on the host.
    Begin,
}

/// Demands that the lines of a document come in the output in the same order; those that begin with
/// one of `names` are left out, as names differ.
pub(super) fn demand(shown: &[String], output: &str, same: Same, names: &[&str]) -> Result<()> {
    let mut lines = output.lines().map(|line| form(line, same));
    for line in shown {
        let wanted = form(line, same);
        let begin = line.split_whitespace().next().unwrap_or(ELISION);
        if begin == ELISION || names.contains(&begin) {
            continue;
        }
        if !lines.any(|line| line == wanted) {
            bail!("no line like {line:?} in:\n{output}");
        }
    }
    Ok(())
}

/// What is compared of a line: the words, with 0 for each number.
fn form(line: &str, same: Same) -> String {
    let words = line.split_whitespace().map(without_numbers);
    let count = match same {
        Same::Line => usize::MAX,
        Same::Begin => 1,
    };
    words.take(count).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_differ_and_words_may_not() {
        let shown = ["drop +26,000", "…", "reconciled: all"].map(str::to_owned);
        let demand = |output: &str, same| demand(&shown, output, same, &[]);
        assert!(demand("drop +1\nmore\nreconciled: all\n", Same::Line).is_ok());
        assert!(demand("drop +1\nmore\nreconciled: not\n", Same::Line).is_err());
        assert!(demand("drop +1\nmore\nreconciled: not\n", Same::Begin).is_ok());
        assert!(demand("reconciled: all\ndrop +1\n", Same::Line).is_err());
    }

    #[test]
    fn names_are_left_out() {
        let shown = ["gateway: 1 entry".to_owned()];
        assert!(demand(&shown, "", Same::Begin, &["gateway:"]).is_ok());
        assert!(demand(&shown, "", Same::Begin, &[]).is_err());
    }
}
