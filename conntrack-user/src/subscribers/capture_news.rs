//! What becomes of a capture: a line of text, and an object of JSON (docs/json.md).

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    observe::capture::{PER_FLOW, PER_SECOND},
    say::{
        journal::Level,
        number::{counted, number},
        text::plain,
    },
};

/// What becomes of a capture.
#[derive(Clone, Debug)]
pub enum News {
    /// Refused packets are written to this file.
    Captures {
        /// The file.
        file: PathBuf,
    },
    /// No more packets are written; counting continues.
    Stopped {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The watch has ended.
    Captured(Outcome),
}

/// How many refused packets were captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The file.
    pub file: PathBuf,
    /// Packets that were refused.
    pub refused: u64,
    /// Packets in the file.
    pub captured: u64,
    /// The others.
    pub not_captured: NotCaptured,
}

/// Refused packets that are not in the file, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotCaptured {
    /// Enough packets of their flow were captured.
    pub flow_bound: u64,
    /// Enough packets of that second were captured.
    pub rate_bound: u64,
    /// Of another protocol than `--proto`.
    pub other_protocol: u64,
    /// Their bytes could not be read.
    pub unreadable: u64,
    /// A buffer between the kernel and the file was full.
    pub late: u64,
    /// The capture had stopped.
    pub after_stop: u64,
    /// No program saw the packet: all packets without another cause.
    pub unseen: u64,
}

impl NotCaptured {
    /// Each cause as a clause, with its packets.
    fn clauses(&self) -> [(u64, String); 7] {
        [
            (
                self.flow_bound,
                format!("beyond the first {PER_FLOW} of their flow"),
            ),
            (
                self.rate_bound,
                format!("beyond {} a second", number(PER_SECOND.into())),
            ),
            (self.other_protocol, "of other protocols".to_owned()),
            (self.unreadable, "whose bytes could not be read".to_owned()),
            (self.late, "for which a buffer was full".to_owned()),
            (self.after_stop, "after the capture had stopped".to_owned()),
            (self.unseen, "that no program saw".to_owned()),
        ]
    }

    fn sum(&self) -> u64 {
        self.clauses().iter().map(|(packets, _)| packets).sum()
    }
}

impl Outcome {
    /// The outcome with these numbers. Packets that are neither in `captured` nor in
    /// `not_captured` are those that no program saw.
    pub(super) fn new(
        file: PathBuf,
        refused: u64,
        captured: u64,
        not_captured: NotCaptured,
    ) -> Self {
        let unseen = refused.saturating_sub(captured + not_captured.sum());
        Self {
            file,
            refused,
            captured,
            not_captured: NotCaptured {
                unseen,
                ..not_captured
            },
        }
    }

    /// How many, and what has become of the others.
    pub(super) fn sentence(&self) -> String {
        let others: Vec<String> = self
            .not_captured
            .clauses()
            .iter()
            .filter(|(packets, _)| *packets > 0)
            .map(|(packets, why)| format!("{} {why}", number(*packets)))
            .collect();
        let others = if others.is_empty() {
            String::new()
        } else {
            format!("; not captured: {}", others.join(", "))
        };
        format!(
            "captured {} of {}{others}",
            number(self.captured),
            counted(self.refused, "refused packet")
        )
    }
}

impl News {
    /// How serious it is.
    pub(in crate::subscribers) const fn level(&self) -> Level {
        match self {
            Self::Captures { .. } | Self::Captured(_) => Level::Info,
            Self::Stopped { .. } => Level::Error,
        }
    }

    /// What has happened, and an object that says more.
    pub(in crate::subscribers) fn json(&self) -> (&'static str, Value) {
        match self {
            Self::Captures { file } => ("captures", json!({"file": file.to_string_lossy()})),
            Self::Stopped { file, why } => (
                "stopped",
                json!({"file": file.to_string_lossy(), "error": why}),
            ),
            Self::Captured(outcome) => ("captured", json!(outcome)),
        }
    }

    /// As a line of text.
    pub(in crate::subscribers) fn line(&self, time: &str) -> String {
        let name = |file: &Path| plain(&file.to_string_lossy());
        match self {
            Self::Captures { file } => format!("captures packets to {}", name(file)),
            Self::Stopped { file, why } => format!(
                "{time}  no more packets are captured in {}: {}. ctdrop goes on counting",
                name(file),
                plain(why)
            ),
            Self::Captured(outcome) => {
                format!("{time}  {}: {}", name(&outcome.file), outcome.sentence())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_packet_is_accounted_for() {
        let not_captured = NotCaptured {
            flow_bound: 20,
            late: 3,
            ..NotCaptured::default()
        };
        let outcome = Outcome::new("x".into(), 1100, 1000, not_captured);
        assert_eq!(outcome.not_captured.unseen, 77);
        assert_eq!(
            outcome.sentence(),
            "captured 1,000 of 1,100 refused packets; not captured: 20 beyond the first 8 of \
             their flow, 3 for which a buffer was full, 77 that no program saw"
        );
        let all = Outcome::new("x".into(), 1, 1, NotCaptured::default());
        assert_eq!(all.sentence(), "captured 1 of 1 refused packet");
    }
}
