//! The table of docs/kernels.md: what each backend does on each kernel, as the scenario
//! `matrix` has seen it. A kernel on which less works than the table says is an error.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::section::Section;

/// What a line of a guest's console begins with that has a row, as `tests/src/stage/places.rs`
/// has it.
const ROW: &str = "ctdrop-row: ";

/// How the names of the consoles end that have one, after the name of the kernel.
const CONSOLE: &str = ".matrix.log";

/// What a cell says of a backend that works.
const WORKS: &str = "works";

/// The backends, best first.
const BACKENDS: [&str; 4] = ["fexit", "kprobe", "tracepoint", "counters"];

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    kernel: String,
    version: String,
    chosen: String,
    /// Of each backend that it works, or why not.
    cells: [String; 4],
}

/// A row as a guest states it.
#[derive(Debug, Deserialize)]
struct Stated {
    version: String,
    chosen: String,
    fexit: String,
    kprobe: String,
    tracepoint: String,
    counters: String,
}

/// What has become of a kernel since the table was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Worse(String),
    Better(String),
}

/// Forgets what guests said in earlier runs.
pub(crate) fn begin(consoles: &Path) -> Result<()> {
    // Else root makes the directory, and the next run may not remove what is in it.
    fs::create_dir_all(consoles)
        .with_context(|| format!("cannot create {}", consoles.display()))?;
    for path in consoles_in(consoles)? {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Compares what guests have said since [`begin`] with the table, and writes it there if that is
/// wanted. `known` are the names of all kernels, in the order of the table. Fails if a kernel has
/// become worse.
pub(crate) fn end(consoles: &Path, known: &[String], write: bool) -> Result<()> {
    let ran = rows_in(consoles)?;
    if ran.is_empty() {
        ensure!(!write, "no kernel has said what works there: see above");
        return Ok(());
    }
    let section = Section::of_kernels();
    let before = parsed(&section.read()?)?;
    let changes = compared(&before, &ran);
    let mut worse = Vec::new();
    for change in changes {
        match change {
            Change::Better(what) => eprintln!("test: better than docs/kernels.md says: {what}"),
            Change::Worse(what) => worse.push(what),
        }
    }
    if write {
        section.write(&table(&merged(&before, &ran, known)))?;
    }
    if !worse.is_empty() {
        bail!("worse than docs/kernels.md said: {}", worse.join("; "));
    }
    Ok(())
}

fn consoles_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", directory.display());
    let mut found = Vec::new();
    for entry in directory.read_dir().with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.to_string_lossy().ends_with(CONSOLE) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn rows_in(consoles: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for path in consoles_in(consoles)? {
        let console = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kernel = name.trim_end_matches(CONSOLE);
        // One that failed before it had a row is among the failed trials.
        rows.extend(stated(kernel, &String::from_utf8_lossy(&console)));
    }
    Ok(rows)
}

/// The row that a console has.
fn stated(kernel: &str, console: &str) -> Option<Row> {
    let mut rows = console.lines().filter_map(|line| {
        let (_, row) = line.split_once(ROW)?;
        serde_json::from_str::<Stated>(row).ok()
    });
    let row = rows.next()?;
    Some(Row {
        kernel: kernel.to_owned(),
        version: row.version,
        chosen: row.chosen,
        cells: [row.fexit, row.kprobe, row.tracepoint, row.counters],
    })
}

/// What has changed on the kernels that ran. What a backend lacks may change.
fn compared(before: &[Row], ran: &[Row]) -> Vec<Change> {
    let mut changes = Vec::new();
    for now in ran {
        let Some(before) = before.iter().find(|row| row.kernel == now.kernel) else {
            let what = format!("{}: a new row", now.kernel);
            changes.push(Change::Better(what));
            continue;
        };
        let rank = |row: &Row| BACKENDS.iter().position(|it| *it == row.chosen);
        if rank(now) != rank(before) {
            let (chosen, was) = (&now.chosen, &before.chosen);
            let what = format!("{}: ctdrop chooses {chosen}, not {was}", now.kernel);
            // One that nobody knows comes first, and is worse.
            let is_better = rank(now).is_some() && rank(now) < rank(before);
            changes.push(if is_better {
                Change::Better(what)
            } else {
                Change::Worse(what)
            });
        }
        for (backend, (cell, was)) in BACKENDS.iter().zip(now.cells.iter().zip(&before.cells)) {
            let what = format!("{}: {backend}: {cell}, was: {was}", now.kernel);
            match (cell == WORKS, was == WORKS) {
                (true, false) => changes.push(Change::Better(what)),
                (false, true) => changes.push(Change::Worse(what)),
                _ => {}
            }
        }
    }
    changes
}

/// The rows of kernels that are known, in their order: those that ran, and the others as they
/// were.
fn merged(before: &[Row], ran: &[Row], known: &[String]) -> Vec<Row> {
    let find = |kernel: &String| {
        let mut rows = ran.iter().chain(before);
        rows.find(|row| row.kernel == *kernel).cloned()
    };
    known.iter().filter_map(find).collect()
}

fn table(rows: &[Row]) -> String {
    let head = [
        format!("| kernel | version | chosen | {} |", BACKENDS.join(" | ")),
        "| --- | --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    let lines = rows.iter().map(|row| {
        let cells = row.cells.join(" | ");
        format!(
            "| {} | {} | `{}` | {cells} |",
            row.kernel, row.version, row.chosen
        )
    });
    let lines: Vec<String> = head.into_iter().chain(lines).collect();
    lines.join("\n")
}

/// The rows of a table.
fn parsed(table: &str) -> Result<Vec<Row>> {
    let lines = table.lines().skip(2).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [kernel, version, chosen, rest @ ..] = cells.as_slice() else {
                bail!("docs/kernels.md has a row that is not whole: {line}");
            };
            let cells = <[&str; 4]>::try_from(rest);
            let cells = cells
                .ok()
                .with_context(|| format!("docs/kernels.md: {line}"))?;
            Ok(Row {
                kernel: (*kernel).to_owned(),
                version: (*version).to_owned(),
                chosen: chosen.trim_matches('`').to_owned(),
                cells: cells.map(str::to_owned),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn row(kernel: &str, chosen: &str, cells: [&str; 4]) -> Row {
        Row {
            kernel: kernel.to_owned(),
            version: "6.12.117".to_owned(),
            chosen: chosen.to_owned(),
            cells: cells.map(str::to_owned),
        }
    }

    fn good() -> Row {
        row("6.12", "fexit", [WORKS; 4])
    }

    fn locked() -> Row {
        let no = "no: locked down";
        row("6.12-confidentiality", "counters", [no, no, no, WORKS])
    }

    #[test]
    fn a_backend_that_works_no_more_is_worse() {
        let broken = row("6.12", "fexit", [WORKS, "no: kprobes", WORKS, WORKS]);
        assert_eq!(
            compared(&[good()], slice::from_ref(&broken)),
            [Change::Worse(
                "6.12: kprobe: no: kprobes, was: works".to_owned()
            )]
        );
        let wrong = row("6.12", "fexit", [WORKS, "wrong: 9 packets", WORKS, WORKS]);
        assert!(matches!(
            compared(&[good()], &[wrong])[..],
            [Change::Worse(_)]
        ));
        assert_eq!(
            compared(&[broken], &[good()]),
            [Change::Better(
                "6.12: kprobe: works, was: no: kprobes".to_owned()
            )]
        );
    }

    #[test]
    fn a_backend_below_the_one_chosen_before_is_worse() {
        let lower = row("6.12", "kprobe", [WORKS; 4]);
        assert_eq!(
            compared(&[good()], slice::from_ref(&lower)),
            [Change::Worse(
                "6.12: ctdrop chooses kprobe, not fexit".to_owned()
            )]
        );
        let raised = compared(&[lower], &[good()]);
        assert!(matches!(raised[..], [Change::Better(_)]), "{raised:?}");
        let unknown = compared(&[good()], &[row("6.12", "guess", [WORKS; 4])]);
        assert!(matches!(unknown[..], [Change::Worse(_)]), "{unknown:?}");
    }

    #[test]
    fn other_words_and_another_version_change_nothing() {
        let mut now = locked();
        now.version = "6.12.200".to_owned();
        now.cells[0] = "no: lockdown".to_owned();
        assert_eq!(compared(&[locked()], &[now]), []);
        assert_eq!(compared(&[good(), locked()], &[]), []);
        let new = compared(&[], &[good()]);
        assert!(matches!(new[..], [Change::Better(_)]), "{new:?}");
    }

    #[test]
    fn a_kernel_that_did_not_run_keeps_its_row() {
        let known = ["6.1", "6.12", "6.12-confidentiality"].map(str::to_owned);
        let mut ran = good();
        ran.version = "6.12.200".to_owned();
        let gone = row("4.19", "kprobe", [WORKS; 4]);
        let rows = merged(&[locked(), gone, good()], &[ran.clone()], &known);
        assert_eq!(rows, [ran, locked()]);
    }

    #[test]
    fn the_table_is_read_as_it_was_written() {
        let rows = vec![good(), locked()];
        assert_eq!(parsed(&table(&rows)).unwrap(), rows);
        assert_eq!(parsed("").unwrap(), []);
        assert!(parsed("| a |\n| - |\n| 6.12 | works |\n").is_err());
        assert!(parsed("| a |\n| - |\n| 6.12 | 6.12.1 | fexit | works |\n").is_err());
    }

    #[test]
    fn a_row_is_found_in_a_console() {
        let console = "[    2.0] x\n[    3.0] cut ctdrop-row: {\"version\":\"6.12.117\",\
                       \"chosen\":\"fexit\",\"fexit\":\"works\",\"kprobe\":\"works\",\
                       \"tracepoint\":\"works\",\"counters\":\"works\"}\nctdrop-result: ok\n";
        assert_eq!(stated("6.12", console), Some(good()));
        assert_eq!(stated("6.12", "ctdrop-result: failed: boot\n"), None);
    }
}
