//! `ctdrop report`: an incident or a time, as a page for people or as data.

mod file;
mod fleet;
mod options;
mod reading;
mod times;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;

pub use self::options::{Format, Of, Options};
use self::{
    reading::digest,
    times::{between, resolved},
};
use crate::{
    commands::daemon,
    logs::time::When,
    report::{
        Evidence, margin, markdown::markdown, model::Report, page::page, redact::Mask, report,
        width,
    },
    say::{clock, stdout},
    store::{Reader, digest::Asked, incident::Incident, is_part_of},
};

/// Makes a report.
pub fn run(options: &Options) -> Result<()> {
    let files = options
        .from
        .iter()
        .flat_map(|from| [from.clone(), daemon::file(from)]);
    for file in files.chain([options.file.clone()]) {
        if let Some(out) = &options.out
            && is_part_of(out, &file)
        {
            bail!(
                "--out {} would overwrite the evidence: name another file",
                out.display()
            );
        }
    }
    if !options.from.is_empty() {
        return write(options, &fleet::fleet(options)?);
    }
    let reader = Reader::open(&options.file)?;
    let evidence = gather(&reader, options)?;
    let mut mask = options.redact.then(Mask::random).transpose()?;
    let report = report(&evidence, mask.as_mut());
    let text = written(&report, options.format)?;
    write(options, &text)
}

fn write(options: &Options, text: &str) -> Result<()> {
    match &options.out {
        Some(path) => file::write(path, text.as_bytes()),
        None => stdout::text(text),
    }
}

fn written(report: &Report, format: Format) -> Result<String> {
    Ok(match format {
        Format::Html => page(report),
        Format::Md => markdown(report),
        Format::Json => format!("{}\n", serde_json::to_string(report)?),
    })
}

/// Reads what was recorded.
fn gather(reader: &Reader, options: &Options) -> Result<Evidence> {
    let (incident, wall) = match options.of {
        Of::Last | Of::Incident(_) => {
            let incident = incident(reader, options)?;
            let wall = time_of(&incident, Timestamp::now().as_millisecond());
            (Some(incident), wall)
        }
        Of::Time { since, until } => (None, range(reader, options, since, until)?),
    };
    let width = width(wall.0, wall.1);
    let asked = Asked {
        wall,
        netns: incident.as_ref().map(|incident| incident.netns),
        width,
    };
    let digest = digest(reader, &asked)?;
    let mut record = reader.happened(wall.0..=wall.1)?;
    if let Some(incident) = &incident {
        record.incidents.retain(|it| it.id == incident.id);
        record.censuses.retain(|it| it.incident == incident.id);
    } else if digest.points.is_empty() && record.incidents.is_empty() {
        bail!(nothing(reader, options, wall, &between(wall))?);
    }
    Ok(Evidence {
        now: clock::now(),
        incident: incident.map(|incident| incident.id),
        wall,
        width,
        digest,
        record,
        runs: reader.runs(wall.0..=wall.1)?,
    })
}

/// The incident that is asked for.
fn incident(reader: &Reader, options: &Options) -> Result<Incident> {
    let file = options.file.display();
    let last = reader.last_incident()?;
    let Some(last) = last else {
        bail!(
            "no incident is recorded in {file}: ctdrop report --since TIME reports on a time without \
             incidents"
        );
    };
    match options.of {
        Of::Incident(id) => reader
            .incident(id)?
            .with_context(|| format!("no incident {id} in {file}: the last is {}", last.id)),
        _ => Ok(last),
    }
}

/// The time of an incident, with some before and after it, but nothing that is to come.
fn time_of(incident: &Incident, now: i64) -> (i64, i64) {
    let from = incident.opened.wall;
    let closed = incident
        .closed
        .map_or(incident.last.wall, |(at, _)| at.wall);
    // Of a clock that was set back, both are to be seen.
    let to = closed.max(incident.last.wall).max(from);
    let margin = margin(from, to);
    let end = to.saturating_add(margin).min(now.max(to));
    (from.saturating_sub(margin), end)
}

/// The time that is asked for.
fn range(
    reader: &Reader,
    options: &Options,
    since: Option<When>,
    until: Option<When>,
) -> Result<(i64, i64)> {
    let (since, until) = resolved(since, until)?;
    let Some((first, last)) = reader.extent()? else {
        bail!(
            "nothing is recorded in {} yet: ctdrop daemon records evidence while it runs",
            options.file.display()
        );
    };
    let wall = (since.unwrap_or(first), until.unwrap_or(last));
    if wall.0 > last || wall.1 < first {
        let when = match (since, until) {
            (Some(since), None) => format!("after {}", clock::shown_millis(since)),
            (None, Some(until)) => format!("before {}", clock::shown_millis(until)),
            _ => between(wall),
        };
        bail!(nothing(reader, options, wall, &when)?);
    }
    // What is before or after all evidence would only be empty.
    Ok((wall.0.max(first.saturating_sub(60_000)), wall.1.min(last)))
}

/// What is said of a time without evidence.
fn nothing(
    reader: &Reader,
    options: &Options,
    (from, to): (i64, i64),
    when: &str,
) -> Result<String> {
    let there = match reader.extent()? {
        Some((_, last)) if from > last => {
            format!("its evidence ends at {}", clock::shown_millis(last))
        }
        Some((first, _)) if to < first => {
            format!("its evidence begins at {}", clock::shown_millis(first))
        }
        Some(extent) => format!("this file has evidence {}", between(extent)),
        None => "this file has no evidence".to_owned(),
    };
    Ok(format!(
        "no evidence {when} in {}: {there}",
        options.file.display()
    ))
}

#[cfg(test)]
mod tests;
