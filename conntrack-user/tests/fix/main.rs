//! `ctdrop fix` and `ctdrop undo` on copies of the trees in `tests/trees`.

mod faults;
mod kills;
mod platforms;
mod script;
mod sizes;
mod tree;
