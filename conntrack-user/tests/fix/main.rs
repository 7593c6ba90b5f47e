//! `ctdrop fix` and `ctdrop undo` on copies of the trees in `tests/trees`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod faults;
mod kills;
mod platforms;
mod script;
mod settings;
mod sizes;
mod tree;
mod unwritable;
mod words;
