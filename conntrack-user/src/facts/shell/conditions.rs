//! Conditions: `[ … ]` and `[[ … ]]` where both sides are known.

use brush_parser::ast::{BinaryPredicate, ExtendedTestExpr, UnaryPredicate};

use crate::facts::{
    reader::Source,
    shell::{Dialect, run::Shell, state::State},
};

impl Shell<'_> {
    /// `test`: its arguments without the bracket; none if that is not known.
    pub(super) fn test(&self, arguments: &[&str]) -> Option<bool> {
        match arguments {
            [] => Some(false),
            [text] => Some(!text.is_empty()),
            ["!", rest @ ..] if rest.len() <= 3 => self.test(rest).map(|is| !is),
            [operator, text] => self.unary(operator, text),
            [one, operator, two] => self.binary(one, operator, two),
            _ => self.several(arguments),
        }
    }

    /// Tests of two or three words each, with `-a` or `-o` between them.
    fn several(&self, arguments: &[&str]) -> Option<bool> {
        for (operator, is_and) in [("-o", false), ("-a", true)] {
            let at: Vec<usize> = (0..arguments.len())
                .filter(|&at| arguments[at] == operator)
                .collect();
            if let [at] = at[..] {
                let (one, two) = (&arguments[..at], &arguments[at + 1..]);
                if !(2..=3).contains(&one.len()) || !(2..=3).contains(&two.len()) {
                    return None;
                }
                return match (self.test(one), self.test(two)) {
                    (Some(one), Some(two)) if is_and => Some(one && two),
                    (Some(one), Some(two)) => Some(one || two),
                    _ => None,
                };
            }
        }
        None
    }

    fn unary(&self, operator: &str, text: &str) -> Option<bool> {
        match operator {
            "-n" => Some(!text.is_empty()),
            "-z" => Some(text.is_empty()),
            "-e" | "-f" | "-r" => self.files.exists(text),
            "-w" if text.starts_with("/proc/sys/net/") => self.files.exists(text),
            "-x" if self.files.exists(text)? => self.files.read(text).map(|file| file.executable),
            "-x" => Some(false),
            "-d" | "-s" | "-w" => self.files.exists(text).filter(|there| !there),
            _ => None,
        }
    }

    fn binary(&self, one: &str, operator: &str, two: &str) -> Option<bool> {
        let numbers = || Some((one.parse::<i64>().ok()?, two.parse::<i64>().ok()?));
        match operator {
            "=" => Some(one == two),
            "==" if self.dialect == Dialect::Bash => Some(one == two),
            "!=" => Some(one != two),
            "-eq" => numbers().map(|(one, two)| one == two),
            "-ne" => numbers().map(|(one, two)| one != two),
            "-lt" => numbers().map(|(one, two)| one < two),
            "-le" => numbers().map(|(one, two)| one <= two),
            "-gt" => numbers().map(|(one, two)| one > two),
            "-ge" => numbers().map(|(one, two)| one >= two),
            _ => None,
        }
    }

    /// `[[ … ]]`
    pub(super) fn extended_test(
        &mut self,
        state: &mut State,
        test: &ExtendedTestExpr,
        at: &Source,
    ) -> Option<bool> {
        if self.dialect != Dialect::Bash {
            return None;
        }
        match test {
            ExtendedTestExpr::Not(inner) => self.extended_test(state, inner, at).map(|is| !is),
            ExtendedTestExpr::Parenthesized(inner) => self.extended_test(state, inner, at),
            ExtendedTestExpr::And(one, two) | ExtendedTestExpr::Or(one, two) => {
                let ends_with = matches!(test, ExtendedTestExpr::Or(..));
                let one = self.extended_test(state, one, at);
                if one == Some(!ends_with) {
                    return self.extended_test(state, two, at);
                }
                if one.is_none() {
                    // An expansion in it may assign, or not be reached.
                    let mut then = state.clone();
                    self.extended_test(&mut then, two, at);
                    *state = std::mem::take(state).joined(then, at);
                }
                one
            }
            ExtendedTestExpr::UnaryTest(predicate, word) => {
                let operand = self.text(state, &word.value, at)?;
                let operator = match predicate {
                    UnaryPredicate::StringHasNonZeroLength => "-n",
                    UnaryPredicate::StringHasZeroLength => "-z",
                    UnaryPredicate::FileExists | UnaryPredicate::FileExistsAndIsRegularFile => "-e",
                    UnaryPredicate::FileExistsAndIsWritable => "-w",
                    _ => return None,
                };
                self.unary(operator, &operand)
            }
            ExtendedTestExpr::BinaryTest(predicate, one, two) => {
                let one = self.text(state, &one.value, at)?;
                let two = self.text(state, &two.value, at)?;
                // The right side is a pattern.
                if two.contains(['*', '?', '[', '(', '\\']) {
                    return None;
                }
                match predicate {
                    BinaryPredicate::StringExactlyMatchesPattern
                    | BinaryPredicate::StringExactlyMatchesString => Some(one == two),
                    BinaryPredicate::StringDoesNotExactlyMatchPattern
                    | BinaryPredicate::StringDoesNotExactlyMatchString => Some(one != two),
                    _ => None,
                }
            }
        }
    }
}
