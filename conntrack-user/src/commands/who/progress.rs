//! How far long dumps have come, for a person at a terminal.

use std::{
    io::{self, IsTerminal as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    kernel::netns::Namespace,
    say::{number::number, text::plain},
};

/// Time between two lines.
const PERIOD: Duration = Duration::from_millis(200);

/// The progress of all dumps together; one line, of which nothing is left in the
/// end.
pub(crate) struct Progress<'a> {
    name: &'a str,
    /// Entries that there are to come; none if there is nobody to be told.
    expected: Option<u64>,
    state: Mutex<State>,
}

struct State {
    received: u64,
    next: Instant,
    shown: bool,
}

impl<'a> Progress<'a> {
    /// That of the tables of these namespaces.
    pub(crate) fn of(list: &'a [Namespace]) -> Self {
        let expected = || {
            let entries = list.iter().filter_map(|one| one.limits().ok()?.entries);
            entries.sum()
        };
        Self {
            name: match list {
                [one] => &one.name,
                _ => "all namespaces",
            },
            expected: io::stderr().is_terminal().then(expected),
            state: Mutex::new(State {
                received: 0,
                next: Instant::now() + PERIOD,
                shown: false,
            }),
        }
    }

    /// One of the dumps, of which nothing has come.
    pub(crate) const fn dump(&self) -> Dumped<'_> {
        Dumped {
            progress: self,
            received: 0,
        }
    }

    /// Prints something else, on a line that is free until it is done. Only where
    /// there is a line to be kept away do dumps wait for it.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.expected.is_none() {
            return print();
        }
        let mut state = self.state();
        if state.shown {
            eprint!("\r\x1b[K");
            state.shown = false;
        }
        print()
    }

    fn note(&self, before: u64, received: u64) {
        let now = Instant::now();
        let mut state = self.state();
        state.received = state.received - before + received;
        let Some(expected) = self.expected.filter(|_| now >= state.next) else {
            return;
        };
        state.next = now + PERIOD;
        state.shown = true;
        eprint!("\r\x1b[K{}", line(self.name, state.received, expected));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.aside(|| ());
    }
}

/// The progress of one dump.
pub(crate) struct Dumped<'a> {
    progress: &'a Progress<'a>,
    received: u64,
}

impl Dumped<'_> {
    /// So many entries have been received; fewer than before if it was begun anew.
    pub(crate) fn note(&mut self, received: u64) {
        self.progress.note(self.received, received);
        self.received = received;
    }
}

fn line(name: &str, received: u64, expected: u64) -> String {
    let of = if expected >= received {
        format!(" of {}", number(expected))
    } else {
        String::new()
    };
    format!("{}: {}{of} entries", plain(name), number(received))
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;

    #[test]
    fn a_dump_that_is_begun_anew_counts_once() {
        let progress = Progress::of(&[]);
        let (mut one, mut other) = (progress.dump(), progress.dump());
        one.note(8);
        other.note(5);
        one.note(3);
        one.note(9);
        assert_eq!(progress.state().received, 14);
    }

    #[test]
    fn a_name_moves_no_terminal_and_more_than_expected_is_no_share() {
        assert_eq!(
            line("a\u{1b}b", 3, 12_000),
            format!("{}: 3 of 12,000 entries", plain("a\u{1b}b"))
        );
        assert!(!line("a\u{1b}b", 3, 4).contains('\u{1b}'));
        assert_eq!(line("host", 3, 2), "host: 3 entries");
    }

    #[test]
    fn no_progress_is_shown_while_something_else_is_printed() {
        let mut progress = Progress::of(&[]);
        progress.expected = Some(8);
        let noted = AtomicBool::new(false);
        thread::scope(|scope| {
            progress.aside(|| {
                scope.spawn(|| {
                    progress.dump().note(8);
                    noted.store(true, Ordering::SeqCst);
                });
                thread::sleep(PERIOD);
                assert!(!noted.load(Ordering::SeqCst));
            });
        });
        assert!(noted.into_inner());
    }
}
