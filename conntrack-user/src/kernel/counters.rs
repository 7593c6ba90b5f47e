//! Conntrack's counters of one network namespace, `/proc/net/stat/nf_conntrack`.
//!
//! The file has a line of column names, then one line of hexadecimal numbers
//! for each CPU. Columns have been replaced in place over the years (the second
//! was `searched`, now it is `clashres`), so a column is found by its name only.

use std::{array, fs, io, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

/// The columns of interest, by their names in the file; in the order of the
/// fields of [`Totals`].
const COLUMNS: [&str; 10] = [
    "found",
    "invalid",
    "insert",
    "insert_failed",
    "drop",
    "early_drop",
    "icmp_error",
    "search_restart",
    "clashres",
    "chainlength",
];

/// The counters of one CPU in the order of [`COLUMNS`]; `None` for a column
/// that this kernel does not have.
type Row = [Option<u32>; COLUMNS.len()];

/// All counters of a network namespace at one moment.
///
/// There is a row for each CPU that is *possible*, plugged in or not, so their
/// number and order hold from boot to shutdown, and a row is known by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Entries in the table. The kernel repeats this one number in each row.
    pub entries: Option<u64>,
    /// One row for each possible CPU.
    rows: Vec<Row>,
}

/// Counters added up over all CPUs: since boot, or between two moments.
///
/// `None` means that this kernel has no such counter, which is not a zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Look-ups that found an entry. (Since 4.9 only those made to find a free
    /// tuple for NAT are counted.)
    pub found: Option<u64>,
    /// Packets that could not be tracked. Conntrack lets them through (`nf_conntrack_in`
    /// returns `NF_ACCEPT`); whether a rule drops them then is not counted here.
    pub invalid: Option<u64>,
    /// Entries inserted; since 4.9 only those inserted through ctnetlink.
    pub insert: Option<u64>,
    /// Entries that could not be inserted. What it includes differs by kernel:
    /// up to 5.6 also clashes that were resolved, where no packet was lost.
    pub insert_failed: Option<u64>,
    /// Packets dropped: no entry could be allocated, a clash was lost, or (rarely) a
    /// tracker or helper said so.
    pub drop: Option<u64>,
    /// Entries evicted to make room for others. Entries, not attempts.
    pub early_drop: Option<u64>,
    /// ICMP messages that could not be tracked, up to 5.4 or so also packets of other
    /// protocols whose headers are malformed; column `icmp_error`.
    pub error: Option<u64>,
    /// Look-ups repeated because the table was resized or entries moved.
    pub search_restart: Option<u64>,
    /// Clashes resolved without loss (5.10 and later); column `clashres`.
    pub clash_resolve: Option<u64>,
    /// Insertions refused as the hash chain was too long (5.15 and later);
    /// column `chainlength`.
    pub chaintoolong: Option<u64>,
}

impl Totals {
    /// Adds those of another namespace. A counter that one of them does not have
    /// is not in the sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let add = |one: Option<u64>, other: Option<u64>| Some(one? + other?);
        Self {
            found: add(self.found, other.found),
            invalid: add(self.invalid, other.invalid),
            insert: add(self.insert, other.insert),
            insert_failed: add(self.insert_failed, other.insert_failed),
            drop: add(self.drop, other.drop),
            early_drop: add(self.early_drop, other.early_drop),
            error: add(self.error, other.error),
            search_restart: add(self.search_restart, other.search_restart),
            clash_resolve: add(self.clash_resolve, other.clash_resolve),
            chaintoolong: add(self.chaintoolong, other.chaintoolong),
        }
    }
}

impl Counters {
    /// Reads the counters from a `net/stat` directory, such as
    /// `/proc/self/net/stat`. `None`: conntrack is not loaded, or the kernel is
    /// built without `CONFIG_NF_CONNTRACK_PROCFS`.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        for name in ["nf_conntrack", "ip_conntrack"] {
            let path = directory.join(name);
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
            };
            return Self::parse(&text)
                .with_context(|| format!("cannot parse {}", path.display()))
                .map(Some);
        }
        Ok(None)
    }

    /// Parses the file's text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let place = |name| header.iter().position(|column| *column == name);
        ensure!(
            place("entries").is_some(),
            "the first line has no column `entries`"
        );
        let places = COLUMNS.map(place);
        let mut counters = Counters {
            entries: None,
            rows: Vec::new(),
        };
        for line in lines {
            let cells = line
                .split_whitespace()
                .map(|cell| u32::from_str_radix(cell, 16))
                .collect::<Result<Vec<u32>, _>>()
                .with_context(|| {
                    format!("{line:?} has a field that is not a hexadecimal number")
                })?;
            ensure!(
                cells.len() == header.len(),
                "{} numbers for {} columns in {line:?}",
                cells.len(),
                header.len()
            );
            let cell = |place: Option<usize>| place.map(|place| cells[place]);
            counters.rows.push(places.map(cell));
            counters.entries = cell(place("entries")).map(u64::from);
        }
        Ok(counters)
    }

    /// Counter `drop` of each possible CPU, in the kernel's order.
    pub fn drops_by_cpu(&self) -> Option<Vec<u32>> {
        let drop = COLUMNS.iter().position(|&column| column == "drop")?;
        self.rows.iter().map(|row| row[drop]).collect()
    }

    /// The counters added up over all CPUs, since the namespace was made.
    ///
    /// Each CPU's counter wraps at 2³², so these are no more than that modulo:
    /// take differences by [`delta`].
    pub fn totals(&self) -> Totals {
        sum(self
            .rows
            .iter()
            .map(|row| row.map(|cell| cell.map(u64::from))))
    }
}

/// What was counted from `earlier` to `later`: for each CPU modulo 2³², as the
/// counters wrap, then added up.
///
/// `None` if the counters began anew in between, as they do when the module is
/// loaded again: the number of rows differs, or a counter seems to have moved
/// by more than half of its range. Readings therefore should not lie further
/// apart than half an hour, in which no CPU counts 2³¹ events.
pub fn delta(later: &Counters, earlier: &Counters) -> Option<Totals> {
    if later.rows.len() != earlier.rows.len() {
        return None;
    }
    let moved: Vec<Row> = later
        .rows
        .iter()
        .zip(&earlier.rows)
        .map(|(later, earlier)| {
            array::from_fn(|column| Some(later[column]?.wrapping_sub(earlier[column]?)))
        })
        .collect();
    let backwards = |cell: &Option<u32>| cell.is_some_and(|moved| moved.cast_signed() < 0);
    if moved.iter().flatten().any(backwards) {
        return None;
    }
    Some(sum(moved
        .iter()
        .map(|row| row.map(|cell| cell.map(u64::from)))))
}

/// Adds rows up column by column. A column is in all rows or in none.
fn sum(rows: impl Iterator<Item = [Option<u64>; COLUMNS.len()]>) -> Totals {
    let sums = rows.reduce(|sums, row| array::from_fn(|column| Some(sums[column]? + row[column]?)));
    let [
        found,
        invalid,
        insert,
        insert_failed,
        drop,
        early_drop,
        error,
        search_restart,
        clash_resolve,
        chaintoolong,
    ] = sums.unwrap_or_default();
    Totals {
        found,
        invalid,
        insert,
        insert_failed,
        drop,
        early_drop,
        error,
        search_restart,
        clash_resolve,
        chaintoolong,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::kernel::counters::{Counters, Totals, delta};

    const EL5_EL6: &str = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete";
    const EL7_TO_5_4: &str = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart";
    const FROM_5_10: &str = "entries  clashres found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart";
    const FROM_5_15: &str = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error  expect_new expect_create expect_delete search_restart";

    /// Two CPUs whose column *n* (from 1) holds *n* and 16 *n*.
    fn two_cpus(header: &str) -> Counters {
        let columns = u32::try_from(header.split_whitespace().count()).unwrap();
        let row = |factor| {
            let cells: Vec<String> = (1..=columns)
                .map(|n| format!("{:08x}", n * factor))
                .collect();
            cells.join(" ") + " \n"
        };
        Counters::parse(&format!("{header}\n{}{}", row(1), row(16))).unwrap()
    }

    /// What [`two_cpus`] adds up to in the column of that number.
    #[expect(clippy::unnecessary_wraps, reason = "compared with optional counters")]
    fn column(number: u64) -> Option<u64> {
        Some(number * 17)
    }

    /// The totals that all kernels share, in places that never moved.
    fn shared() -> Totals {
        Totals {
            found: column(3),
            invalid: column(5),
            insert: column(9),
            insert_failed: column(10),
            drop: column(11),
            early_drop: column(12),
            error: column(13),
            ..Totals::default()
        }
    }

    #[test]
    fn el5_and_el6() {
        let counters = two_cpus(EL5_EL6);
        assert_eq!(counters.totals(), shared());
        assert_eq!(
            counters.entries,
            Some(16),
            "one number, repeated: not a sum"
        );
    }

    #[test]
    fn el7_to_5_4() {
        let expected = Totals {
            search_restart: column(17),
            ..shared()
        };
        assert_eq!(two_cpus(EL7_TO_5_4).totals(), expected);
    }

    #[test]
    fn from_5_10() {
        let expected = Totals {
            search_restart: column(17),
            clash_resolve: column(2),
            ..shared()
        };
        assert_eq!(two_cpus(FROM_5_10).totals(), expected);
    }

    #[test]
    fn from_5_15() {
        let expected = Totals {
            search_restart: column(17),
            clash_resolve: column(2),
            chaintoolong: column(8),
            ..shared()
        };
        assert_eq!(two_cpus(FROM_5_15).totals(), expected);
    }

    fn drops(rows: &[u32]) -> Counters {
        let mut lines = vec!["entries drop".to_owned()];
        lines.extend(rows.iter().map(|drop| format!("00000005 {drop:08x}")));
        Counters::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn drops_are_told_for_each_cpu() {
        assert_eq!(drops(&[4, 7]).drops_by_cpu(), Some(vec![4, 7]));
        let without = Counters::parse("entries\n00000005").unwrap();
        assert_eq!(without.drops_by_cpu(), None);
    }

    #[test]
    fn a_difference_wraps_for_each_cpu() {
        let difference = delta(&drops(&[4, 7]), &drops(&[u32::MAX, 2])).unwrap();
        assert_eq!(difference.drop, Some(5 + 5));
        assert_eq!(difference.found, None, "there is no such column");
    }

    #[test]
    fn a_sum_exceeds_32_bits() {
        let difference = delta(&drops(&[1 << 30; 8]), &drops(&[0; 8])).unwrap();
        assert_eq!(difference.drop, Some(8 << 30));
    }

    #[test]
    fn counters_that_began_anew_have_no_difference() {
        assert_eq!(delta(&drops(&[3, 0]), &drops(&[500, 0])), None);
        assert_eq!(delta(&drops(&[3]), &drops(&[3, 0])), None);
        assert_eq!(delta(&drops(&[]), &drops(&[])), Some(Totals::default()));
    }

    #[test]
    fn malformed_text_is_refused() {
        let error = |text| Counters::parse(text).unwrap_err().to_string();
        assert!(error("").contains("entries"));
        assert!(error("net stat\n1 2\n").contains("entries"));
        assert!(error("entries drop\n1\n").contains("1 numbers for 2 columns"));
        assert!(error("entries drop\n1 2 3\n").contains("3 numbers for 2 columns"));
        assert!(error("entries drop\n1 0x2\n").contains("hexadecimal"));
        assert!(error("entries drop\n1 100000000\n").contains("hexadecimal"));
    }

    #[test]
    fn a_missing_file_is_no_error() {
        assert_eq!(
            Counters::read(Path::new("/proc/self/fdinfo")).unwrap(),
            None
        );
        assert!(
            Counters::read(Path::new("/proc/self/status")).is_err(),
            "no directory"
        );
    }
}
