//! The header of what was recorded, and what its numbers may lack.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    engine::{
        header::{Header, Only},
        limit::Fullest,
    },
    kernel::limits::Limits,
    observe::{
        arming::Arm,
        backend::Backend,
        check::discrepancy::Discrepancy,
        counts::health::{Faults, Missed},
    },
    say::{number::span, text::plain},
    store::record::PastRun,
};

/// What the numbers of a run may lack, as of its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    pub(super) missed: Missed,
    pub(super) faults: Faults,
    pub(super) error_bound: u64,
    pub(super) discrepancy: Discrepancy,
    pub(super) unchecked: u64,
    /// Whether the counts and the kernel's counters agreed.
    pub(super) reconciled: bool,
}

impl Losses {
    /// Those of a run.
    pub(super) fn of(run: &PastRun) -> Self {
        let known: Value = parsed(run.known.losses.as_deref());
        let unexplained = number(&known["unexplained"]).unwrap_or(0);
        let unconfirmed = number(&known["unconfirmed"]).unwrap_or(0);
        Self {
            missed: value(&known["missed"]),
            faults: value(&known["faults"]),
            error_bound: number(&known["error_bound"]).unwrap_or(0),
            discrepancy: Discrepancy {
                unconfirmed,
                unseen: unexplained.saturating_sub(unconfirmed),
            },
            unchecked: number(&known["unchecked"]).unwrap_or(0),
            reconciled: known["reconciled"].as_bool().unwrap_or(false),
        }
    }

    /// Those of several runs.
    pub(super) const fn add(&mut self, more: &Self) {
        self.missed.add(&more.missed);
        self.faults.add(&more.faults);
        if more.error_bound > self.error_bound {
            self.error_bound = more.error_bound;
        }
        self.discrepancy.add(more.discrepancy);
        self.unchecked += more.unchecked;
        self.reconciled = self.reconciled && more.reconciled;
    }
}

/// How a run observed.
pub(super) fn backend(run: &PastRun) -> Backend {
    let name = run.known.backend.as_deref().unwrap_or_default();
    let mut all = Backend::ALL.into_iter();
    all.find(|backend| backend.to_string() == name)
        .unwrap_or(Backend::Counters)
}

/// The header of a run.
pub(super) fn header(run: &PastRun, file: &Path, longest: u64) -> Header {
    let start: Value = parsed(run.known.start.as_deref());
    let text = |key: &str| start[key].as_str().unwrap_or_default().to_owned();
    let limits = &start["limits"];
    let fullest = start["fullest"].as_array().into_iter().flatten();
    let only = number(&start["netns"]).and_then(|inode| u32::try_from(inode).ok());
    Header {
        time: text("time"),
        host: run.boot.host.clone(),
        release: run.boot.kernel.clone(),
        backend: backend(run),
        not_used: Vec::new(),
        arm: if start["arm"] == "auto" {
            Arm::Auto
        } else {
            Arm::Always
        },
        armed: start["armed"].as_bool().unwrap_or(true),
        pins_module: false,
        releases_module: false,
        limits: Limits {
            max: number(&limits["max"]),
            buckets: number(&limits["buckets"]),
            entries: number(&limits["entries"]),
        },
        fullest: fullest.filter_map(table).collect(),
        only: only.map(|netns| Only {
            netns,
            netns_name: text("netns_name"),
        }),
        warnings: notes(&start, file, longest),
    }
}

fn table(one: &Value) -> Option<Fullest> {
    Some(Fullest {
        netns: u32::try_from(number(&one["netns"])?).ok()?,
        name: one["name"].as_str()?.to_owned(),
        entries: number(&one["entries"])?,
    })
}

/// What is to be known about what is played back, and what was said when it was recorded.
fn notes(start: &Value, file: &Path, longest: u64) -> Vec<String> {
    let mut notes = vec![format!(
        "this is a replay of {}. For each interval, the file has the 20 flows with the most packets \
         and the sum of all flows, but not the kernel's counters",
        plain(&file.display().to_string())
    )];
    if longest > 1000 {
        let longest = std::time::Duration::from_millis(longest);
        notes.push(format!(
            "the file adds up old intervals, and intervals in which nothing happened: the longest is {}",
            span(longest)
        ));
    }
    let not_used = start["not_used"].as_array().into_iter().flatten();
    notes.extend(not_used.filter_map(|one| {
        let (backend, why) = (one["backend"].as_str()?, one["why"].as_str()?);
        Some(format!("backend {backend} was not used: {why}"))
    }));
    let said = start["warnings"].as_array().into_iter().flatten();
    notes.extend(said.filter_map(|said| said.as_str().map(ToOwned::to_owned)));
    notes
}

fn parsed(json: Option<&str>) -> Value {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

fn value<T: DeserializeOwned + Default>(json: &Value) -> T {
    serde_json::from_value(json.clone()).unwrap_or_default()
}

fn number(json: &Value) -> Option<u64> {
    json.as_u64()
}
