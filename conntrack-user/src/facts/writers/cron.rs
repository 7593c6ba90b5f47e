//! Lines of crontabs: at each boot, or again and again.

use crate::facts::{
    reader::{Reader, Source, TextFile},
    writers::{
        commands::Commands,
        scripts::writer,
        writer::{Timing, Writer},
    },
};

/// Directories of crontabs, and whether their lines name a user.
const DIRECTORIES: [(&str, bool); 4] = [
    ("/etc/cron.d", true),
    ("/var/spool/cron/crontabs", false),
    ("/var/spool/cron", false),
    ("/etc/crontabs", false),
];

pub(super) fn read(reader: &Reader<'_>, commands: &Commands<'_>) -> Vec<Writer> {
    let mut files: Vec<(TextFile, bool)> = Vec::new();
    files.extend(reader.file("/etc/crontab").map(|text| (text, true)));
    for (directory, names_user) in DIRECTORIES {
        for name in reader.names(directory) {
            // cron leaves these out.
            if names_user && name.contains(['.', '~']) {
                continue;
            }
            let text = reader.file(&format!("{directory}/{name}"));
            files.extend(text.map(|text| (text, names_user)));
        }
    }
    let mut writers = Vec::new();
    for (text, names_user) in &files {
        let mut at_boot = Vec::new();
        let mut again = Vec::new();
        for (number, line) in text.lines() {
            let Some((is_boot, command)) = command(line, *names_user) else {
                continue;
            };
            let acts = acts(commands, command, &text.source(number, line));
            if is_boot {
                at_boot.extend(acts);
            } else {
                again.extend(acts);
            }
        }
        writers.extend(writer(at_boot, true, Timing::AtStart));
        writers.extend(writer(again, true, Timing::Always));
    }
    writers
}

/// Whether a line is for a boot, and its command; none for one that has none.
fn command(line: &str, names_user: bool) -> Option<(bool, &str)> {
    let line = line.trim();
    let first = line.chars().next()?;
    if first == '#' || first.is_ascii_alphabetic() && !line.starts_with('@') {
        return None;
    }
    let is_boot = line.starts_with("@reboot");
    let fields = if first == '@' { 1 } else { 5 } + usize::from(names_user);
    let mut rest = line;
    for _ in 0..fields {
        let (_, after) = rest.split_once([' ', '\t'])?;
        rest = after.trim_start();
    }
    (!rest.is_empty()).then_some((is_boot, rest))
}

/// A percent sign ends the command; what follows is what it reads.
fn acts(
    commands: &Commands<'_>,
    command: &str,
    at: &Source,
) -> Vec<crate::facts::writers::writer::Act> {
    let mut line = String::new();
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next_if_eq(&'%').is_some() => line.push('%'),
            '%' => break,
            other => line.push(other),
        }
    }
    commands.of_line(&line, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_crontabs() {
        assert_eq!(command("@reboot root a b", true), Some((true, "a b")));
        assert_eq!(command("@reboot\ta b", false), Some((true, "a b")));
        assert_eq!(command("*/5 * * * *  root a b", true), Some((false, "a b")));
        assert_eq!(command("0 1 * * 1 a", false), Some((false, "a")));
        for none in [
            "",
            "# x",
            "MAILTO=root",
            "PATH=/bin:/sbin x y z a b",
            "@reboot root",
        ] {
            assert_eq!(command(none, true), None, "{none}");
        }
    }
}
