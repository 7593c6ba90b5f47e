//! `ctdrop report --from`: the databases of several hosts in one report.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::{
    commands::{
        daemon,
        report::{
            options::{Format, Options},
            reading::digest,
            times::written_times,
        },
    },
    report::{
        Evidence,
        fleet::{Fleet, Merger},
        markdown::fleet_markdown,
        page::fleet_page,
        redact::Mask,
        report, width,
    },
    say::clock,
    store::{Reader, digest::Asked},
};

/// A database that --from names, opened or not.
struct Opened {
    from: String,
    reader: Result<Reader, String>,
}

/// Makes a report on several hosts, in the chosen format.
pub(super) fn fleet(options: &Options) -> Result<String> {
    let opened = open_all(&options.from);
    let wall = range(&opened, options)?;
    let mut mask = options.redact.then(Mask::random).transpose()?;
    let mut merger = Merger::default();
    for Opened { from, reader } in &opened {
        let evidence = reader
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|reader| gather(reader, wall).map_err(|error| format!("{error:#}")));
        match evidence {
            Ok(evidence) => {
                let report = report(&evidence, mask.as_mut());
                merger.add(from, &report, mask.as_mut());
            }
            Err(why) => merger.add_unread(from, &why, mask.as_mut()),
        }
    }
    let times = (clock::of_millis(wall.0), clock::of_millis(wall.1));
    let fleet = merger.finish(&clock::now(), times, options.redact);
    written(&fleet, options.format)
}

fn written(fleet: &Fleet, format: Format) -> Result<String> {
    Ok(match format {
        Format::Html => fleet_page(fleet),
        Format::Md => fleet_markdown(fleet),
        Format::Json => format!("{}\n", serde_json::to_string(fleet)?),
    })
}

/// Opens directories with a database, and databases; the same file only once.
fn open_all(paths: &[PathBuf]) -> Vec<Opened> {
    let mut known: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let open = |path: &PathBuf| {
        let file = file_of(path);
        let which = fs::metadata(&file).map(|there| (there.dev(), there.ino()));
        let reader = match which
            .ok()
            .and_then(|which| known.insert(which, path.clone()))
        {
            Some(other) => Err(format!(
                "it is the file of {}, too, and is counted once",
                other.display()
            )),
            None => Reader::open(&file).map_err(|error| error.to_string()),
        };
        Opened {
            from: path.display().to_string(),
            reader,
        }
    };
    paths.iter().map(open).collect()
}

/// The database in a directory, or the database that is named.
fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() {
        daemon::file(path)
    } else {
        path.to_owned()
    }
}

/// The requested time, limited to the time of which any host has evidence.
fn range(opened: &[Opened], options: &Options) -> Result<(i64, i64)> {
    let (since, until) = written_times(options)?;
    let readers = opened.iter().filter_map(|one| one.reader.as_ref().ok());
    let extents = readers.filter_map(|reader| reader.extent().ok().flatten());
    let all = extents.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let Some((first, last)) = all else {
        let why = opened.iter().find_map(|one| one.reader.as_ref().err());
        let why = why.map_or("nothing was recorded in them yet", String::as_str);
        bail!("no database that --from names has evidence: {why}");
    };
    let wall = (
        since.unwrap_or(first).max(first),
        until.unwrap_or(last).min(last),
    );
    if wall.0 > wall.1 {
        bail!(
            "no host has evidence of this time: choose a time from {} to {}",
            clock::shown_millis(first),
            clock::shown_millis(last)
        );
    }
    Ok(wall)
}

fn gather(reader: &Reader, wall: (i64, i64)) -> Result<Evidence> {
    let width = width(wall.0, wall.1);
    let asked = Asked {
        wall,
        netns: None,
        width,
    };
    Ok(Evidence {
        now: clock::now(),
        incident: None,
        wall,
        width,
        digest: digest(reader, &asked)?,
        record: reader.happened(wall.0..=wall.1)?,
        runs: reader.runs(wall.0..=wall.1)?,
    })
}
