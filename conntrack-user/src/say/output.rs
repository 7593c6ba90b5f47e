//! The form that a command prints its results in.

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object a line; docs/json.md describes them.
    Json,
}
