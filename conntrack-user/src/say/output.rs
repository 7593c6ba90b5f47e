//! In which form a command says what it has to say.

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Text, for people.
    Text,
    /// One JSON object a line; docs/json.md describes them.
    Json,
}
