//! Which databases are of the same host. The id of a boot is unique over all hosts, so databases
//! with the same boot id are of the same host. Pure.

use std::{cmp::Reverse, collections::BTreeSet};

use crate::store::record::Start;

/// What identifies a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// The ids of the boots that it has evidence of.
    pub boots: BTreeSet<String>,
    /// The runs of ctdrop that it has.
    pub starts: Vec<Start>,
    /// The newest moment that it has evidence of, by the clock of the host.
    pub newest: i64,
}

/// What becomes of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the first one of its host.
    First,
    /// It has evidence of other times of the same host as that one.
    PartOf(usize),
    /// It is left out, because that one is counted instead.
    LeftOut(usize, Copied),
}

/// Why a database is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is the same file.
    SameFile,
    /// It has the same runs of ctdrop.
    Copy {
        /// It also has runs that the other one does not have.
        has_more: bool,
    },
    /// Two processes of ctdrop have observed the same host at the same time.
    SameTime,
}

impl Copied {
    /// As JSON has it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SameFile => "same_file",
            Self::Copy { .. } => "copy",
            Self::SameTime => "same_time",
        }
    }

    /// Whether the database may have evidence that the other one does not have.
    pub const fn has_more(self) -> bool {
        match self {
            Self::SameFile => false,
            Self::Copy { has_more } => has_more,
            Self::SameTime => true,
        }
    }

    /// As a sentence.
    pub fn words(self) -> String {
        match self {
            Self::SameFile => "it is the same file".to_owned(),
            Self::Copy { has_more: false } => {
                "it is a copy: the other database has the same or newer evidence".to_owned()
            }
            Self::Copy { has_more: true } => {
                "it is a copy, and the other one has newer evidence; but this one also has starts of \
                 ctdrop that the other one has not: report on it alone with ctdrop report --db"
                    .to_owned()
            }
            Self::SameTime => {
                "both are about the same time of the same host, so its packets would count twice: \
                 report on it alone with ctdrop report --db"
                    .to_owned()
            }
        }
    }
}

/// The place of each database; none for one that cannot be read. The database with the newest
/// evidence of a host is its first one.
pub fn places(databases: &[Option<Database>]) -> Vec<Option<Place>> {
    let mut newest_first: Vec<(usize, &Database)> = databases
        .iter()
        .enumerate()
        .filter_map(|(index, database)| Some((index, database.as_ref()?)))
        .collect();
    newest_first.sort_by_key(|(_, it)| Reverse((it.newest, it.starts.len())));
    let mut places = vec![None; databases.len()];
    // Those that are counted, with the first one of their host.
    let mut counted: Vec<(usize, &Database, usize)> = Vec::new();
    for (index, database) in newest_first {
        let others = || {
            counted
                .iter()
                .filter(|(_, other, _)| database.is_of_host(other))
        };
        let twice = others().find_map(|&(other, it, _)| Some((other, database.twice(it)?)));
        places[index] = Some(match (twice, others().next()) {
            (Some((other, why)), _) => Place::LeftOut(other, why),
            (None, Some(&(.., first))) => {
                counted.push((index, database, first));
                Place::PartOf(first)
            }
            (None, None) => {
                counted.push((index, database, index));
                Place::First
            }
        });
    }
    places
}

impl Database {
    fn is_of_host(&self, other: &Self) -> bool {
        let mut boots = self.boots.intersection(&other.boots);
        boots.any(|boot| !boot.is_empty())
    }

    /// Why its evidence would count twice together with another database of the same host.
    fn twice(&self, other: &Self) -> Option<Copied> {
        let has = |start: &Start| other.starts.iter().any(|it| it.is(start));
        if self.starts.iter().any(has) {
            let has_more = !self.starts.iter().all(has);
            return Some(Copied::Copy { has_more });
        }
        let meets = |start: &Start| other.starts.iter().any(|it| it.overlaps(start));
        self.starts.iter().any(meets).then_some(Copied::SameTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of ctdrop: the boot, the start and the end.
    fn database(starts: &[(&str, i64, i64)], newest: i64) -> Database {
        let start = |&(boot, began, until): &(&str, i64, i64)| Start {
            boot_id: boot.to_owned(),
            began: (began, began),
            until,
        };
        Database {
            boots: starts.iter().map(|(boot, ..)| (*boot).to_owned()).collect(),
            starts: starts.iter().map(start).collect(),
            newest,
        }
    }

    #[test]
    fn of_copies_the_one_with_the_newest_evidence_counts() {
        let old = database(&[("a", 1, 5)], 5);
        let new = database(&[("a", 1, 9), ("b", 1, 4)], 20);
        let other = database(&[("c", 1, 9)], 7);
        let all = [Some(old), None, Some(new.clone()), Some(other), Some(new)];
        let copy = |of| Some(Place::LeftOut(of, Copied::Copy { has_more: false }));
        assert_eq!(
            places(&all),
            [
                copy(2),
                None,
                Some(Place::First),
                Some(Place::First),
                copy(2)
            ]
        );
        // Copies of one database, both written to afterwards.
        let apart = database(&[("a", 1, 5), ("b", 7, 9)], 10);
        let more = Some(Place::LeftOut(1, Copied::Copy { has_more: true }));
        let new = database(&[("a", 1, 5), ("b", 1, 4)], 20);
        assert_eq!(
            places(&[Some(apart), Some(new)]),
            [more, Some(Place::First)]
        );
    }

    #[test]
    fn other_evidence_of_a_host_counts_unless_it_is_of_the_same_time() {
        let daemon = database(&[("a", 1, 5), ("a", 10, 15)], 15);
        let between = database(&[("a", 6, 9)], 9);
        let meanwhile = database(&[("a", 12, 13)], 13);
        assert_eq!(
            places(&[Some(between), Some(meanwhile), Some(daemon)]),
            [
                Some(Place::PartOf(2)),
                Some(Place::LeftOut(2, Copied::SameTime)),
                Some(Place::First)
            ]
        );
        // The boot is not known.
        let unknown = Some(database(&[("", 1, 5)], 5));
        let first = Some(Place::First);
        assert_eq!(places(&[unknown.clone(), unknown]), [first, first]);
    }
}
