//! Signs and remedies as they are in JSON: with their codes and their words.

use serde::{Serialize, Serializer};

use crate::{
    incident::{commands, remedy::Remedy, sign::Sign, words},
    kernel::netns::called::Netns,
};

/// A sign, with its words.
#[derive(Serialize)]
struct SignTold<'a> {
    #[serde(flatten)]
    sign: &'a Sign,
    text: String,
}

/// A remedy, with its words and commands.
#[derive(Serialize)]
struct RemedyTold<'a> {
    #[serde(flatten)]
    remedy: &'a Remedy,
    what: String,
    how: String,
    commands: Vec<String>,
}

/// Remedies for a namespace, on which their commands act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedies {
    /// The namespace.
    pub netns: Netns,
    /// What helps most comes first.
    pub list: Vec<Remedy>,
}

/// Writes signs.
pub(super) fn signs<S: Serializer>(signs: &[Sign], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(signs.iter().map(|sign| SignTold {
        sign,
        text: words::sign(sign),
    }))
}

impl Serialize for Remedies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list.iter().map(|remedy| RemedyTold {
            remedy,
            what: words::what(remedy),
            how: words::how(remedy, &self.netns),
            commands: commands::commands(remedy, &self.netns),
        }))
    }
}
