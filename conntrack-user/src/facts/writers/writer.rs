//! Somebody who writes the limit, and how what they write is read.

use serde::Serialize;

use crate::facts::{reader::Source, sysctl::Variable};

/// Somebody else who writes the limit, or takes away what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// Its name.
    pub name: &'static str,
    /// What shows that it is here.
    pub evidence: Vec<Source>,
    /// Whether it does anything on this host, as far as can be told.
    pub active: bool,
    /// What it does to the limit.
    pub behaviour: String,
    /// Where the limit is to be set instead.
    pub knob: String,
    /// What it sets; none for one that sets nothing by itself, or is accounted
    /// for elsewhere.
    pub sets: Option<Sets>,
}

/// The name of scripts and units that set the limit with a command.
pub(super) const SCRIPT: &str = "script";

impl Writer {
    /// What to call it in a sentence: its name, or the path of a script.
    pub fn title(&self) -> String {
        match self.evidence.first() {
            Some(line) if self.name == SCRIPT => line.file.display().to_string(),
            _ => self.name.to_owned(),
        }
    }
}

/// What somebody sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sets {
    /// The limit; none if it cannot be told.
    pub max: Option<u64>,
    /// The buckets; none if they are left alone.
    pub buckets: Option<u64>,
    /// When.
    pub timing: Timing,
    /// The line that decides.
    pub source: Source,
    /// Whether files of sysctls are then applied once more, which wins.
    pub reapplies: bool,
    /// What is done one after the other, of a script; of others there is nothing
    /// but the above.
    #[serde(skip)]
    pub acts: Vec<Act>,
}

/// Something that a script does to the limit or the buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What.
    pub does: Does,
    /// Whether it surely comes to that.
    pub certain: bool,
    /// The line.
    pub source: Source,
}

/// What a script can do to the limit or the buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// Sets a variable.
    Sets {
        /// Which.
        variable: Variable,
        /// By which name, as a path below `/proc/sys`; none for the parameter of
        /// the module, or if only the shell could tell.
        name: Option<String>,
        /// The value; none if only the shell could tell.
        value: Option<u64>,
    },
    /// Sets the limit if it is then higher, or lower, than it was.
    Moves {
        /// Whether only to a higher one.
        up: bool,
        /// By which name.
        name: String,
        /// The value.
        value: u64,
    },
    /// Applies all files of sysctls.
    AppliesFiles(Applier),
}

/// What applies all files of sysctls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applier {
    /// `sysctl --system`
    Procps,
    /// What does so at boot: `systemctl restart systemd-sysctl`.
    Boot,
    /// `TuneD`, those of `/run` and `/etc`.
    Tuned,
}

impl Act {
    /// Whether it only may be, to a value that is not known.
    pub(super) const fn is_guess(&self) -> bool {
        matches!(self.does, Does::Sets { value: None, .. }) && !self.certain
    }
}

impl Sets {
    /// Whether this limit is all that it may set.
    pub(crate) fn sets_only(&self, max: u64) -> bool {
        let mut limits = self.acts.iter().filter_map(|act| match act.does {
            Does::Sets {
                variable: Variable::Max,
                value,
                ..
            } => Some(value),
            Does::Moves { value, .. } => Some(Some(value)),
            _ => None,
        });
        self.max == Some(max)
            || (limits.clone().next().is_some() && limits.all(|value| value == Some(max)))
    }

    /// What a script does: none if that is nothing.
    pub(super) fn of(acts: Vec<Act>, timing: Timing) -> Option<Self> {
        let mut max = None;
        let mut buckets = None;
        let mut source = None;
        for act in &acts {
            match act.does {
                Does::Sets {
                    variable: Variable::Buckets,
                    value,
                    ..
                } => buckets = value,
                Does::Sets { value, .. } => {
                    max = value.filter(|_| act.certain || max == value);
                    source = Some(act.source.clone());
                }
                Does::Moves { value, .. } => {
                    max = Some(value);
                    source = Some(act.source.clone());
                }
                Does::AppliesFiles(_) => {}
            }
        }
        let reapplies = acts
            .iter()
            .any(|act| matches!(act.does, Does::AppliesFiles(_)));
        let source = source.or_else(|| {
            let first = acts
                .iter()
                .find(|act| matches!(act.does, Does::AppliesFiles(_)))?;
            Some(first.source.clone())
        })?;
        Some(Self {
            max,
            buckets,
            timing,
            source,
            reapplies,
            acts,
        })
    }
}

/// When somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Early at boot, in no order with what sets sysctls then.
    Early,
    /// Early at boot, before files of sysctls are applied.
    BeforeFiles,
    /// Early at boot, as soon as files of sysctls are applied.
    AfterFiles,
    /// When it starts, at boot.
    AtStart,
    /// Whenever the module is loaded.
    AtLoad,
    /// Again and again, whenever the value is another one.
    Always,
}
