//! The last line: which tables were read, and which could not be.

use anyhow::Result;
use serde::Serialize;

use crate::{
    kernel::{
        netns::{HiddenProcess, Namespace, namespaces_of},
        presence::Presence,
    },
    say::{
        finding::State,
        number::{counted, number},
        output::Output,
        stdout,
        text::plain,
    },
};

/// The last line: what was read.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub(super) struct Summary {
    /// Release of the kernel.
    pub(super) release: String,
    /// Whether the kernel has conntrack.
    pub(super) conntrack: Presence,
    /// Namespaces whose tables were dumped.
    pub(super) namespaces: usize,
    /// Entries of all these that were asked for.
    pub(super) entries: u64,
    /// Namespaces whose tables have no entry, which are not shown.
    pub(super) empty: usize,
    /// Namespaces whose tables could not be read.
    pub(super) unreadable: Vec<Unreadable>,
    /// Processes whose namespaces are not known; none if one namespace was asked for.
    pub(super) hidden_processes: Vec<HiddenProcess>,
    /// Why namespaces may be missing.
    pub(super) warnings: Vec<String>,
}

/// A namespace whose table could not be read.
#[derive(Debug, Serialize)]
pub(super) struct Unreadable {
    pub(super) netns: u32,
    pub(super) name: String,
    pub(super) why: String,
}

impl Unreadable {
    /// Names the namespace, once.
    fn line(&self) -> String {
        let Self { name, why, .. } = self;
        if why.contains(name) {
            why.clone()
        } else {
            format!("cannot read the table of {name}: {why}")
        }
    }
}

impl Summary {
    pub(super) fn unreadable(&mut self, namespace: &Namespace, error: &anyhow::Error) {
        self.unreadable.push(Unreadable {
            netns: namespace.inode,
            name: namespace.name.clone(),
            why: format!("{error:#}"),
        });
    }

    /// Whether there are namespaces, but nothing is known of any table.
    pub(super) const fn saw_nothing(&self) -> bool {
        self.namespaces == 0 && self.empty == 0 && !self.unreadable.is_empty()
    }

    /// Unknown if no table was shown, and some may have entries.
    pub(super) const fn state(&self) -> State {
        let all_seen = self.unreadable.is_empty() && self.hidden_processes.is_empty();
        if self.namespaces == 0 && !all_seen {
            State::Unknown
        } else {
            State::Ok
        }
    }

    /// What there is to say of the namespaces besides the reports.
    fn line(&self) -> Option<String> {
        if self.conntrack == Presence::Absent {
            return Some("conntrack is not loaded: there is no table".to_owned());
        }
        let empty = self.empty as u64;
        match (empty, self.namespaces, self.unreadable.len()) {
            (0, ..) => None,
            (_, 0, unreadable) => {
                let empty = counted(empty, "network namespace");
                let unreadable = match unreadable {
                    0 => String::new(),
                    some => format!("; {some} could not be read"),
                };
                let hidden = match self.hidden_processes.as_slice() {
                    [] => String::new(),
                    some => format!("; {} cannot be seen", namespaces_of(some)),
                };
                Some(format!("no entries in {empty}{unreadable}{hidden}"))
            }
            (1, ..) => Some("1 more network namespace has no entries".to_owned()),
            _ => Some(format!(
                "{} more network namespaces have no entries",
                number(empty)
            )),
        }
    }

    pub(super) fn say(&self, output: Output) -> Result<()> {
        if output == Output::Json {
            return stdout::json(self);
        }
        stdout::lines(self.line())?;
        for unreadable in &self.unreadable {
            anstream::eprintln!("ctdrop: {}", plain(&unreadable.line()));
        }
        for warning in &self.warnings {
            anstream::eprintln!("ctdrop: {}", plain(warning));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(namespaces: usize, empty: usize, unreadable: &[&str]) -> Summary {
        let unreadable = unreadable.iter().map(|why| Unreadable {
            netns: 7,
            name: "eyes-1".to_owned(),
            why: (*why).to_owned(),
        });
        Summary {
            release: String::new(),
            conntrack: Presence::BuiltIn,
            namespaces,
            entries: 0,
            empty,
            unreadable: unreadable.collect(),
            hidden_processes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn an_empty_table_was_read() {
        let line = |namespaces, empty, unreadable: &[&str]| {
            let summary = summary(namespaces, empty, unreadable);
            (summary.saw_nothing(), summary.line().unwrap_or_default())
        };
        let said = |text: &str| (false, text.to_owned());
        assert_eq!(
            line(0, 1, &["denied"]),
            said("no entries in 1 network namespace; 1 could not be read")
        );
        assert_eq!(line(0, 3, &[]), said("no entries in 3 network namespaces"));
        assert_eq!(
            line(1, 1, &[]),
            said("1 more network namespace has no entries")
        );
        assert_eq!(line(2, 0, &["denied"]), said(""));
        assert_eq!(line(0, 0, &["denied"]), (true, String::new()));
    }

    #[test]
    fn what_could_not_be_seen_is_unknown_unless_a_table_was_shown() {
        let state =
            |namespaces, empty, unreadable: &[&str]| summary(namespaces, empty, unreadable).state();
        assert_eq!(state(0, 1, &[]), State::Ok);
        assert_eq!(state(0, 1, &["denied"]), State::Unknown);
        assert_eq!(state(1, 1, &["denied"]), State::Ok);
        let hidden = Summary {
            hidden_processes: vec![HiddenProcess {
                pid: 713,
                comm: Some("nginx".to_owned()),
            }],
            ..summary(0, 1, &[])
        };
        assert_eq!(hidden.state(), State::Unknown);
        assert_eq!(
            hidden.line().unwrap(),
            "no entries in 1 network namespace; the network namespace of process 713 (nginx) cannot \
             be seen"
        );
    }

    #[test]
    fn a_namespace_that_could_not_be_read_is_named_once() {
        let denied = ["cannot enter network namespace eyes-1", "no memory"];
        let lines: Vec<String> = summary(0, 0, &denied)
            .unreadable
            .iter()
            .map(Unreadable::line)
            .collect();
        assert_eq!(
            lines,
            [
                "cannot enter network namespace eyes-1",
                "cannot read the table of eyes-1: no memory"
            ]
        );
    }
}
