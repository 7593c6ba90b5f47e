//! What is on terminals of some sizes, and what each key makes of it.

mod cost;
mod goldens;
mod keys;
mod stage;
