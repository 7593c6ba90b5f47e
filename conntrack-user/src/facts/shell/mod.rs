//! Shell fragments such as `/etc/sysconfig/iptables-config`: which variables
//! they leave set, as far as that can be told without running them.
//!
//! It follows quoting, comments, several commands on a line and lines that go
//! on. What depends on anything else, it says so.

mod scanner;

pub use crate::facts::shell::scanner::LookAlike;
use crate::facts::shell::scanner::{Scanner, Word};

/// What a fragment does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The assignments in it, in order.
    pub assignments: Vec<Assignment>,
    /// Letters that look like quotes or blanks and are none.
    pub look_alikes: Vec<LookAlike>,
}

/// An assignment to a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Name of the variable.
    pub name: String,
    /// What is assigned.
    pub value: Value,
    /// Whether it is there afterwards.
    pub effect: Effect,
    /// Number of the line that it begins on, from 1.
    pub line: u32,
    /// That line.
    pub text: String,
}

/// What is assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// This text.
    Literal(String),
    /// Something that only the shell can tell: an expansion, or what was there
    /// before and more.
    Computed,
}

/// Whether an assignment is there afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is.
    Stays,
    /// It depends: inside `if`, a loop, a function, or after `&&`.
    Conditional,
    /// It is not: a command follows on the same line, and it is only for that.
    OnlyForCommand,
}

impl Fragment {
    /// Reads a fragment.
    pub fn parse(text: &str) -> Self {
        let mut scanner = Scanner::new(text);
        let mut fragment = Self::default();
        let lines: Vec<&str> = text.lines().collect();
        let mut depth = 0_usize;
        while let Some(command) = scanner.command() {
            let mut words = command.words.as_slice();
            while let Some((first, rest)) = words.split_first() {
                match first.raw.as_str() {
                    "if" | "while" | "until" | "for" | "case" | "select" | "{" => depth += 1,
                    "fi" | "done" | "esac" | "}" => depth = depth.saturating_sub(1),
                    "then" | "else" | "elif" | "do" | "!" => {}
                    _ => break,
                }
                words = rest;
            }
            let conditional = depth > 0 || command.conditional;
            fragment
                .assignments
                .extend(assignments(words, conditional, &lines));
        }
        fragment.look_alikes = scanner.look_alikes;
        fragment
    }

    /// The assignment that a variable has its value from, as far as can be told:
    /// the last one that stays, or may.
    pub fn last(&self, name: &str) -> Option<&Assignment> {
        self.assignments.iter().rev().find(|assignment| {
            assignment.name == name && assignment.effect != Effect::OnlyForCommand
        })
    }

    /// The last assignment of a variable that has no effect, as a command
    /// follows it.
    pub fn lost(&self, name: &str) -> Option<&Assignment> {
        self.assignments.iter().rev().find(|assignment| {
            assignment.name == name && assignment.effect == Effect::OnlyForCommand
        })
    }
}

impl Assignment {
    /// The text assigned, if it can be told and is there afterwards.
    pub fn literal(&self) -> Option<&str> {
        match (&self.value, self.effect) {
            (Value::Literal(text), Effect::Stays) => Some(text),
            _ => None,
        }
    }
}

/// Commands that assign what follows them.
const DECLARING: [&str; 5] = ["export", "readonly", "declare", "typeset", "local"];

/// The assignments of a command: those before it are for it only, if there is
/// one.
fn assignments(words: &[Word], conditional: bool, lines: &[&str]) -> Vec<Assignment> {
    let command = words
        .iter()
        .position(|word| word.assigned().is_none())
        .unwrap_or(words.len());
    let (before, command) = words.split_at(command);
    let stays = if conditional {
        Effect::Conditional
    } else {
        Effect::Stays
    };
    // What is expanded may be nothing at all.
    let vanishing = command.iter().take_while(|word| word.computed).count();
    let effect = if command.is_empty() {
        stays
    } else if vanishing == command.len() {
        Effect::Conditional
    } else {
        Effect::OnlyForCommand
    };
    let stays = if vanishing > 0 {
        Effect::Conditional
    } else {
        stays
    };
    let declared = match command[vanishing..].split_first() {
        Some((first, rest)) if DECLARING.contains(&first.text.as_str()) => rest,
        _ => &[],
    };
    let before = before.iter().map(|word| (word, word.assigned(), effect));
    let declared = declared.iter().map(|word| (word, word.declared(), stays));
    before
        .chain(declared)
        .filter_map(|(word, assigned, effect)| {
            let (name, value) = assigned?;
            let line = lines.get(word.line as usize - 1);
            Some(Assignment {
                name,
                value,
                effect,
                line: word.line,
                text: line.map(|line| line.trim().to_owned()).unwrap_or_default(),
            })
        })
        .collect()
}

impl Word {
    /// Name and value, if this is an assignment: without quotes before the `=`.
    fn assigned(&self) -> Option<(String, Value)> {
        self.assigned_by(&self.raw)
    }

    /// Name and value, if this is one for `export` and its kin, which do not
    /// see quotes.
    fn declared(&self) -> Option<(String, Value)> {
        self.assigned_by(&self.text)
    }

    fn assigned_by(&self, form: &str) -> Option<(String, Value)> {
        let (name, _) = form.split_once('=')?;
        let (name, adds) = match name.strip_suffix('+') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let mut letters = name.chars();
        let named = letters
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        // A name has no quotes, so the text without them begins with it, too.
        let (_, value) = self.text.split_once('=')?;
        named.then(|| {
            let value = if adds || self.computed {
                Value::Computed
            } else {
                Value::Literal(value.to_owned())
            };
            (name.to_owned(), value)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: &str = "IPTABLES_SYSCTL_LOAD_LIST";

    fn value(text: &str) -> Option<String> {
        let fragment = Fragment::parse(text);
        fragment.last(LIST)?.literal().map(str::to_owned)
    }

    #[test]
    fn the_last_assignment_counts() {
        let text =
            format!("{LIST}=\".ip_conntrack\"\n# {LIST}=no\nOTHER=1\n{LIST}='.nf_conntrack'\n");
        let fragment = Fragment::parse(&text);
        let last = fragment.last(LIST).unwrap();
        assert_eq!(last.literal(), Some(".nf_conntrack"));
        assert_eq!(last.line, 4);
        assert_eq!(last.text, format!("{LIST}='.nf_conntrack'"));
    }

    #[test]
    fn quotes_comments_and_lines_that_go_on() {
        for (right, expected) in [
            ("\".nf_conntrack .bridge-nf\"", ".nf_conntrack .bridge-nf"),
            (".nf_conntrack # bare", ".nf_conntrack"),
            ("\"\"", ""),
            ("", ""),
            (".a'.b'\".c\"", ".a.b.c"),
            ("\".a\\\n.b\"", ".a.b"),
            ("\"a\\\"b\\c\"", "a\"b\\c"),
            ("a\\ b; OTHER=2", "a b"),
            ("a#b", "a#b"),
        ] {
            assert_eq!(
                value(&format!("{LIST}={right}\n")).as_deref(),
                Some(expected),
                "{right}"
            );
        }
        assert_eq!(
            value(&format!("export {LIST}=x OTHER\n")).as_deref(),
            Some("x")
        );
        assert_eq!(value(&format!("true; {LIST}=x")).as_deref(), Some("x"));
    }

    #[test]
    fn what_only_the_shell_can_tell_is_not_told() {
        for text in [
            format!("{LIST}=\"$OTHER\""),
            format!("{LIST}=$(echo a b)"),
            format!("{LIST}=`echo a b`"),
            format!("{LIST}+=\" .nf\""),
            format!("if true; then\n  {LIST}=x\nfi"),
            format!("if true; then {LIST}=x; fi"),
            format!("f() {{\n{LIST}=x\n}}"),
            format!("[ -f /x ] && {LIST}=x"),
            format!("{LIST}=\"x"),
            format!("{LIST}=(x y)"),
            format!("({LIST}=x)"),
            format!("false &&\n{LIST}=x"),
        ] {
            assert!(Fragment::parse(&text).last(LIST).is_some(), "{text}");
            assert_eq!(value(&text), None, "{text}");
        }
        assert_eq!(
            value(&format!("if true; then A=1; fi\n{LIST}=x")).as_deref(),
            Some("x"),
            "what comes after a condition is none"
        );
    }

    #[test]
    fn curly_quotes_lose_a_list_silently() {
        // Seen with bash: the second word is run as a command, which is not
        // found, and the variable is set for that command only.
        let fragment = Fragment::parse(&format!("{LIST}=”.ip_conntrack .bridge-nf”\n"));
        assert_eq!(fragment.last(LIST), None);
        assert_eq!(fragment.lost(LIST).unwrap().line, 1);
        assert_eq!(fragment.look_alikes.len(), 2);
        assert_eq!(
            fragment.look_alikes[0],
            LookAlike {
                line: 1,
                letter: '”'
            }
        );
        // A single word stays, with the quotes as a part of it.
        let single = format!("{LIST}=”.ip_conntrack”");
        assert_eq!(value(&single).as_deref(), Some("”.ip_conntrack”"));
        assert_eq!(Fragment::parse("# “comment”\n").look_alikes, []);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([A-Z]{1,3}=|[\"'\\\\$`#;&|(){}\n \t]|if |fi|“|\\PC){0,40}") {
            let fragment = Fragment::parse(&text);
            for assignment in &fragment.assignments {
                prop_assert!(assignment.line as usize <= text.split('\n').count());
            }
        }

        #[test]
        fn what_is_quoted_is_read(value in "\\PC{0,20}", lines in 0_u32..4) {
            let value = value.replace('\'', "");
            let text = format!("{}A='{value}'\n", "\n".repeat(lines as usize));
            let fragment = Fragment::parse(&text);
            let last = fragment.last("A").unwrap();
            prop_assert_eq!(last.literal(), Some(value.as_str()));
            prop_assert_eq!(last.line, lines + 1);
        }
    }
}
