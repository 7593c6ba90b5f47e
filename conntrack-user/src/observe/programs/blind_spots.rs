//! What the programs cannot tell on this kernel, because what they would tell it from is
//! not to be found.

use std::fmt;

use crate::kernel::symbols::Unlocated;

/// Something that the programs cannot tell, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlindSpot {
    /// What it is.
    pub unseen: Unseen,
    /// Why.
    pub why: NotFound,
}

/// What the programs cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// Which generation of extensions is the current one.
    StaleExtensions,
    /// Whether a table is full at this moment, which matters where the kernel skips a
    /// program.
    Fullness,
    /// Whether a task runs on its own account.
    Senders,
}

impl Unseen {
    /// Whether only programs inside conntrack ask it, and not the tracepoint.
    pub const fn is_inside(self) -> bool {
        matches!(self, Self::Fullness | Self::Senders)
    }
}

/// What is not to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The address of a variable.
    Address(Unlocated),
    /// A field of a structure.
    Field(&'static str),
}

impl From<Unlocated> for NotFound {
    fn from(why: Unlocated) -> Self {
        Self::Address(why)
    }
}

/// The reason, as a clause.
impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(why) => why.fmt(f),
            Self::Field(field) => {
                write!(f, "the kernel's type information has no usable {field}")
            }
        }
    }
}

/// What comes of it, as a clause.
impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StaleExtensions => {
                "packets lost to stale_extension are counted as chain_too_long"
            }
            Self::Fullness => {
                "a packet that a full table refuses is counted as no_memory if the kernel skips a \
                 program"
            }
            Self::Senders => "local packets are shown without the process that sent them",
        })
    }
}

/// What comes of blind spots: a sentence for each cause.
pub fn sentences<'a>(spots: impl IntoIterator<Item = &'a BlindSpot>) -> Vec<String> {
    let mut by_cause: Vec<(NotFound, Vec<String>)> = Vec::new();
    for BlindSpot { unseen, why } in spots {
        match by_cause.iter_mut().find(|(cause, _)| cause == why) {
            Some((_, effects)) => effects.push(unseen.to_string()),
            None => by_cause.push((*why, vec![unseen.to_string()])),
        }
    }
    let causes = by_cause.into_iter();
    causes
        .map(|(why, effects)| format!("{why}, so {}", effects.join("; ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_cause_is_one_sentence() {
        let spot = |unseen, why| BlindSpot { unseen, why };
        let hidden = NotFound::from(Unlocated::Hidden);
        let field = NotFound::Field("thread_info.preempt_count");
        let said = sentences(&[
            spot(Unseen::StaleExtensions, hidden),
            spot(Unseen::Senders, field),
            spot(Unseen::Fullness, hidden),
        ]);
        assert_eq!(said.len(), 2);
        assert!(
            said[0].contains("chain_too_long; a packet that a full table"),
            "{said:?}"
        );
        assert!(said[1].ends_with("the process that sent them"), "{said:?}");
    }

    #[test]
    fn only_hidden_addresses_are_blamed_on_rights() {
        let said = |why: NotFound| {
            let unseen = Unseen::Senders;
            sentences(&[BlindSpot { unseen, why }]).concat()
        };
        assert_eq!(
            said(Unlocated::Hidden.into()),
            "the kernel hides the addresses of its symbols (CAP_SYSLOG is missing), so local \
             packets are shown without the process that sent them"
        );
        for why in [
            Unlocated::HiddenFromAll.into(),
            Unlocated::FunctionsAlone.into(),
            Unlocated::Absent("__preempt_count").into(),
            NotFound::Field("thread_info.preempt_count"),
        ] {
            assert!(!said(why).contains("CAP_SYSLOG"), "{why}");
        }
    }
}
