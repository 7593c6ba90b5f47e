//! What is known of a variable.

use crate::facts::reader::Source;

/// What a variable holds, as far as can be told without running anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is not set.
    Unset,
    /// This text, by the line that assigns it.
    Text(String, Source),
    /// Only the shell could tell: because of this line.
    Unknown(Source),
}

impl Value {
    /// Its text, if it is known to have one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text, _) => Some(text),
            Self::Unset | Self::Unknown(_) => None,
        }
    }

    /// The line that decides it; none if it is not set.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Text(_, source) | Self::Unknown(source) => Some(source),
            Self::Unset => None,
        }
    }

    /// What is known of it where two ways of going on meet.
    pub(super) fn joined(self, other: Self, at: &Source) -> Self {
        match (&self, &other) {
            (Self::Text(one, _), Self::Text(two, _)) if one == two => self,
            (Self::Unset, Self::Unset) | (Self::Unknown(_), _) => self,
            (_, Self::Unknown(_)) => other,
            _ => {
                let source = other.source().or(self.source()).unwrap_or(at).clone();
                Self::Unknown(source)
            }
        }
    }
}
