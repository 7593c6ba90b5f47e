//! What a terminal shows, compared with what it once showed: numbers, graphs and what differs
//! between hosts left out.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::form::without_numbers;

/// If this variable is set, captures are written to the directory that it names and compared with
/// nothing.
const WRITE: &str = "CTDROP_GOLDENS";

/// Names of captures, each with its form.
const ALL: [(&str, &str); 4] = [
    ("screen-200x50", include_str!("goldens/screen-200x50.txt")),
    ("screen-80x24", include_str!("goldens/screen-80x24.txt")),
    ("screen-60x15", include_str!("goldens/screen-60x15.txt")),
    ("screen-20x10", include_str!("goldens/screen-20x10.txt")),
];

/// How the line above the pane begins.
const PANE: &str = " events  incident";

/// Names of backends.
const BACKENDS: [&str; 4] = ["fexit", "kprobe", "tracepoint", "counters"];

/// Compares what a terminal shows with the form of that name; the error has the first line
/// that differs.
pub(super) fn compare(name: &str, seen: &[String]) -> Result<()> {
    let form = form(seen);
    if let Some(directory) = env::var_os(WRITE) {
        let path = PathBuf::from(directory).join(format!("{name}.txt"));
        return fs::write(&path, form).with_context(|| format!("cannot write {}", path.display()));
    }
    let golden = ALL.iter().find(|(known, _)| *known == name);
    let (_, golden) = golden.with_context(|| format!("no form {name}"))?;
    let mut lines = form.lines().zip(golden.lines()).enumerate();
    if let Some((number, (is, was))) = lines.find(|(_, (is, was))| is != was) {
        bail!("{name}, line {number}: {is:?} instead of {was:?}");
    }
    let (is, was) = (form.lines().count(), golden.lines().count());
    ensure!(is == was, "{name} has {is} lines instead of {was}");
    Ok(())
}

/// The form of what is seen: each number is 0, and graphs and what is of the host are left out, as
/// is the text of the pane, whose lines break where its numbers let them.
fn form(seen: &[String]) -> String {
    let pane = seen.iter().position(|line| line.starts_with(PANE));
    let keys = seen.len().saturating_sub(1);
    let above = pane.map_or(keys, |pane| pane + 1);
    let lines = seen.iter().take(above).chain(seen.last());
    lines
        .flat_map(|line| [form_of(line), "\n".to_owned()])
        .collect()
}

fn form_of(line: &str) -> String {
    let mut words = line.split_whitespace();
    if BACKENDS.iter().any(|backend| line.contains(backend)) {
        // The first line; the rest is of the host.
        return "BACKEND".to_owned();
    }
    if line.contains('█') && line.contains(" % ") {
        // A namespace, its bar and its entries, which take as much room as the limit is wide.
        return format!("{} %", words.next().unwrap_or_default());
    }
    let words = words.map(|word| word.replace(is_bar, ""));
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(|word| without_numbers(&word)).collect();
    words.join(" ")
}

/// Whether a character is part of a graph or of a line.
fn is_bar(character: char) -> bool {
    character == '─' || ('▀'..='▟').contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_pane_is_left_out() {
        let seen = ["a 1", " events  incident  who", "text", "q quit"];
        assert_eq!(
            form(&seen.map(str::to_owned)),
            "a 0\nevents incident who\nq quit\n"
        );
    }

    #[test]
    fn numbers_graphs_and_the_host_are_left_out() {
        let line = |line: &str| form_of(line);
        assert_eq!(
            line("ctdrop 0.1.0  gw1  Linux 6.12.48  fexit   11:00:00 +01:00"),
            "BACKEND"
        );
        assert_eq!(
            line("refused     31,020      522/s  ▆▇█ ▄▅"),
            "refused 0 0/s"
        );
        assert_eq!(line("blue ███100 % ███ 1,000 of 1,000"), "blue %");
        assert_ne!(line("table_full 1"), line("clash 1"));
    }
}
