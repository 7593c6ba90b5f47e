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

/// Lines with those put together that end with a backslash, and without comments.
pub(super) fn joined(text: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let mut begun: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if begun.is_none() && line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (first, mut whole) = begun.take().unwrap_or((number, String::new()));
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            whole.push(' ');
            begun = Some((first, whole));
        } else {
            whole.push_str(line);
            lines.push((first, whole));
        }
    }
    lines.extend(begun);
    lines
}
