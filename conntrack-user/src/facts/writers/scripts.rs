//! What is common to scripts that set the limit with a command.

use crate::facts::{
    reader::Source,
    writers::writer::{Act, SCRIPT, Sets, Timing, Writer},
};

/// A writer by what it does; none if that is nothing.
pub(super) fn writer(acts: Vec<Act>, runs: bool, timing: Timing) -> Option<Writer> {
    let evidence: Vec<Source> = acts.iter().map(|act| act.source.clone()).collect();
    let sets = Sets::of(acts, timing)?;
    let when = match timing {
        Timing::Early | Timing::BeforeFiles | Timing::AfterFiles => "early at boot",
        Timing::AtStart => "when it runs",
        Timing::AtLoad => "when the module is loaded",
        Timing::Always => "repeatedly",
    };
    Some(Writer {
        name: SCRIPT,
        active: runs,
        behaviour: match (runs, sets.max, sets.reapplies) {
            (false, ..) => "would set the limit, but does not run at boot".to_owned(),
            (true, _, true) => format!("applies the sysctl files {when}"),
            (true, Some(_), false) => format!("sets the limit {when}"),
            (true, None, false) => {
                format!("sets the limit {when}, to a value that ctdrop cannot predict")
            }
        },
        knob: format!(
            "change or delete the line in {}",
            sets.source.file.display()
        ),
        evidence,
        sets: runs.then_some(sets),
    })
}
