//! Values of the file of settings.

/// A value in the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// In quotes.
    Text(&'a str),
    /// A whole number that is not below 0.
    Number(u64),
    /// Anything else, by the name of its type.
    Other(&'static str),
}

impl<'a> Value<'a> {
    pub(super) fn text(self) -> Result<&'a str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Number(_) => Err("give a text in quotes, not a number".to_owned()),
            Self::Other(kind) => Err(format!("give a text in quotes, not a value of type {kind}")),
        }
    }

    pub(super) fn number(self) -> Result<u64, String> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Text(_) | Self::Other(_) => {
                Err("give a whole number that is not below 0, without quotes".to_owned())
            }
        }
    }
}

/// A text as the file has it.
pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
