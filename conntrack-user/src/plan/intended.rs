//! The limit that the files of a host ask for.

use crate::facts::{
    Facts, Source,
    sysctl::{Line, Variable, line},
};

/// Programs that set the limit that an administrator has told them.
const TOLD: [&str; 3] = ["script", "tuned", "APF"];

/// The highest limit that the host's own files ask for, be it in vain.
pub(crate) fn limit(facts: &Facts) -> Option<(Source, u64)> {
    let files = facts
        .sysctl
        .all()
        .filter(|file| file.name.strip_suffix(".conf").is_some())
        .map(|file| (&file.file, &file.lines));
    let ufw = facts.ufw.iter().filter(|ufw| ufw.enabled);
    let ufw = ufw.filter_map(|ufw| ufw.sysctl.as_ref());
    let asked = |line: &Line| {
        line.sets(Variable::Max)
            .then(|| line::number(&line.value))?
    };
    let lines = files
        .chain(ufw.map(|sysctl| (&sysctl.file, &sysctl.lines)))
        .flat_map(|(file, lines)| lines.iter().map(move |line| (file, line)))
        .filter_map(|(file, line)| {
            let source = Source {
                file: file.clone(),
                line: line.number,
                text: line.text.trim().to_owned(),
            };
            Some((source, asked(line)?))
        });
    let told = facts
        .writers
        .iter()
        .filter(|writer| writer.active && TOLD.contains(&writer.name))
        .filter_map(|writer| writer.sets.as_ref())
        .filter_map(|sets| Some((sets.source.clone(), sets.max?)));
    lines
        .chain(told)
        .filter(|(source, _)| source.file.starts_with("/etc"))
        .max_by_key(|(_, value)| *value)
}
