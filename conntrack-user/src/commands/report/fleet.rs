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
        fleet::{
            Fleet, Merger,
            copies::{Copied, Database, Place, places},
        },
        markdown::fleet_markdown,
        page::fleet_page,
        redact::Mask,
        report, width,
    },
    say::{clock, text::plain},
    store::{Reader, digest::Asked, failure::Failure},
};

/// A database that --from names.
struct Named {
    from: String,
    /// The database; or why it is not read.
    reader: Result<Reader, Unused>,
}

/// Why a database is not read.
enum Unused {
    Unread(String),
    /// Another one, by its number, is counted instead.
    LeftOut(usize, Copied),
}

/// Makes a report on several hosts, in the chosen format.
pub(super) fn fleet(options: &Options) -> Result<String> {
    let mut named = open_all(&options.from);
    let places = places_of(&mut named);
    let wall = range(&named, options)?;
    let mut mask = options.redact.then(Mask::random).transpose()?;
    let mut merger = Merger::default();
    let mut hosts = BTreeMap::new();
    for index in in_order(&places) {
        let Named { from, reader } = &named[index];
        let evidence = match reader {
            Ok(reader) => gather(reader, wall).map_err(|failure| failure.nameless()),
            Err(Unused::Unread(why)) => Err(why.clone()),
            Err(Unused::LeftOut(instead, why)) => {
                let instead = named[*instead].from.as_str();
                merger.add_left_out((from, instead), *why, mask.as_mut());
                continue;
            }
        };
        let evidence = match evidence {
            Ok(evidence) => evidence,
            Err(why) => {
                anstream::eprintln!("{}", not_counted(from, &why));
                merger.add_unread(from, &why, mask.as_mut());
                continue;
            }
        };
        let report = report(&evidence, mask.as_mut());
        let first = match places[index] {
            Some(Place::PartOf(first)) => first,
            _ => index,
        };
        match hosts.get(&first) {
            Some(&host) => merger.add_part(host, from, &report, mask.as_mut()),
            None => {
                hosts.insert(first, merger.add(from, &report, mask.as_mut()));
            }
        }
    }
    let times = (clock::of_millis(wall.0), clock::of_millis(wall.1));
    let fleet = merger.finish(&clock::now(), times, options.redact);
    written(&fleet, options.format)
}

/// What is said on standard error of a database that cannot be read: the report itself may be
/// read by somebody else, or by a program.
fn not_counted(from: &str, why: &str) -> String {
    format!(
        "ctdrop: cannot read {}: {}; the report does not count its packets",
        plain(from),
        plain(why)
    )
}

/// What becomes of each database: of several databases of one host, some are left out.
fn places_of(named: &mut [Named]) -> Vec<Option<Place>> {
    let mut known: Vec<Option<Database>> = Vec::new();
    for one in &mut *named {
        let database = one.reader.as_ref().ok().map(database).transpose();
        known.push(database.unwrap_or_else(|failure| {
            one.reader = Err(Unused::Unread(failure.nameless()));
            None
        }));
    }
    let places = places(&known);
    for (one, place) in named.iter_mut().zip(&places) {
        if let Some(Place::LeftOut(instead, why)) = *place {
            one.reader = Err(Unused::LeftOut(instead, why));
        }
    }
    places
}

/// What identifies a database.
fn database(reader: &Reader) -> Result<Database, Failure> {
    Ok(Database {
        boots: reader.boots()?.into_iter().collect(),
        starts: reader.starts()?,
        newest: reader.extent()?.map_or(i64::MIN, |(_, last)| last),
    })
}

/// The indices of the databases in the order of the command line, but further evidence of a host
/// comes after all first databases.
fn in_order(places: &[Option<Place>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&index| matches!(places[index], Some(Place::PartOf(_))));
    order
}

fn written(fleet: &Fleet, format: Format) -> Result<String> {
    Ok(match format {
        Format::Html => fleet_page(fleet),
        Format::Md => fleet_markdown(fleet),
        Format::Json => format!("{}\n", serde_json::to_string(fleet)?),
    })
}

/// Opens directories with a database, and databases; the same file only once.
fn open_all(paths: &[PathBuf]) -> Vec<Named> {
    let mut known: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    let open = |(index, path): (usize, &PathBuf)| {
        let file = file_of(path);
        let inode = fs::metadata(&file).map(|there| (there.dev(), there.ino()));
        let first = match inode {
            Ok(inode) => *known.entry(inode).or_insert(index),
            Err(_) => index,
        };
        let reader = if first == index {
            Reader::open(&file).map_err(|failure| Unused::Unread(failure.nameless()))
        } else {
            Err(Unused::LeftOut(first, Copied::SameFile))
        };
        Named {
            from: path.display().to_string(),
            reader,
        }
    };
    paths.iter().enumerate().map(open).collect()
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
fn range(named: &[Named], options: &Options) -> Result<(i64, i64)> {
    let (since, until) = written_times(options)?;
    let readers = named.iter().filter_map(|one| one.reader.as_ref().ok());
    let extents = readers.filter_map(|reader| reader.extent().ok().flatten());
    let all = extents.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let Some((first, last)) = all else {
        let why = named.iter().find_map(|one| match &one.reader {
            Err(Unused::Unread(why)) => Some(format!("{}: {why}", one.from)),
            _ => None,
        });
        let why = why.unwrap_or_else(|| "the databases are still empty".to_owned());
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

fn gather(reader: &Reader, wall: (i64, i64)) -> Result<Evidence, Failure> {
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
