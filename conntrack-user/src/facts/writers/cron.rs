//! Lines of crontabs: at each boot, or again and again.

use crate::facts::{
    distribution::Family,
    reader::{Reader, Source, TextFile},
    writers::{
        commands::{Commands, wrappers::becomes_root},
        hooks::in_doubt,
        names::{Names, is_guarded},
        scripts::writer,
        writer::{Act, Timing, Writer},
    },
};

/// Directories of crontabs, and whether their lines name a user.
const DIRECTORIES: [(&str, bool); 5] = [
    ("/etc/cron.d", true),
    ("/var/spool/cron/crontabs", false),
    ("/var/spool/cron/tabs", false),
    ("/var/spool/cron", false),
    ("/etc/crontabs", false),
];

pub(super) fn read(reader: &Reader<'_>, family: Family, commands: &Commands<'_>) -> Vec<Writer> {
    let mut writers = Vec::new();
    let names = Names::of_crontabs(family);
    let users = Users::read(reader);
    let mut take = |text: &TextFile, owner: Option<&str>| {
        writers.extend(of_crontab(text, owner, (&users, commands)));
    };
    if let Some(text) = reader.file("/etc/crontab") {
        take(&text, None);
    }
    for (directory, names_user) in DIRECTORIES {
        for name in reader.names(directory) {
            let path = format!("{directory}/{name}");
            if names_user && !(names.take(&name) && is_guarded(reader, &path)) {
                continue;
            }
            if let Some(text) = reader.file(&path) {
                take(&text, (!names_user).then_some(name.as_str()));
            }
        }
    }
    writers.extend(anacron(reader, commands));
    writers
}

/// Who is root, by `/etc/passwd`.
struct Users(Option<TextFile>);

impl Users {
    fn read(reader: &Reader<'_>) -> Self {
        Self(reader.file("/etc/passwd"))
    }

    fn is_root(&self, user: &str) -> bool {
        let of_passwd = |line: &str| {
            let mut fields = line.split(':');
            fields.next() == Some(user) && fields.nth(1) == Some("0")
        };
        let text = self.0.as_ref();
        user == "root" || text.is_some_and(|text| text.text.lines().any(of_passwd))
    }
}

/// What a crontab does; without an owner its lines name the user.
fn of_crontab(
    text: &TextFile,
    owner: Option<&str>,
    (users, commands): (&Users, &Commands<'_>),
) -> Vec<Writer> {
    let mut at_boot = Vec::new();
    let mut again = Vec::new();
    for (number, line) in text.lines() {
        let Some((is_boot, user, command)) = command(line, owner) else {
            continue;
        };
        let mut acts = acts(commands, command, &text.source(number, line));
        if !users.is_root(user) {
            // Nobody else may set the limit.
            acts = if becomes_root(command) {
                in_doubt(acts)
            } else {
                Vec::new()
            };
        }
        if is_boot {
            at_boot.extend(acts);
        } else {
            again.extend(acts);
        }
    }
    let at_boot = writer(at_boot, true, Timing::AtStart);
    at_boot
        .into_iter()
        .chain(writer(again, true, Timing::Always))
        .collect()
}

/// `/etc/anacrontab`: a period, a delay, a name, and a command.
fn anacron(reader: &Reader<'_>, commands: &Commands<'_>) -> Option<Writer> {
    let text = reader.file("/etc/anacrontab")?;
    let mut acts = Vec::new();
    for (number, line) in text.lines() {
        let line = line.trim();
        let is_job = line.starts_with(|c: char| c == '@' || c.is_ascii_digit());
        let mut rest = is_job.then_some(line);
        for _ in 0..3 {
            rest = rest
                .and_then(|rest| rest.split_once([' ', '\t']))
                .map(|(_, after)| after.trim_start());
        }
        if let Some(command) = rest {
            acts.extend(commands.of_line(command, &text.source(number, line)));
        }
    }
    writer(acts, true, Timing::Always)
}

/// Whether a line is for a boot, its user and its command; none for one that has no
/// command.
fn command<'l>(line: &'l str, owner: Option<&'l str>) -> Option<(bool, &'l str, &'l str)> {
    let line = line.trim();
    let first = line.chars().next()?;
    if first == '#' || first.is_ascii_alphabetic() {
        return None;
    }
    let is_boot = line.starts_with("@reboot");
    let mut rest = line;
    for _ in 0..if first == '@' { 1 } else { 5 } {
        let (_, after) = rest.split_once([' ', '\t'])?;
        rest = after.trim_start();
    }
    let mut user = owner;
    if owner.is_none() {
        let (named, after) = rest.split_once([' ', '\t'])?;
        user = Some(named);
        rest = after.trim_start();
    }
    (!rest.is_empty()).then_some((is_boot, user?, rest))
}

/// A percent sign ends the command; what follows is what it reads.
fn acts(commands: &Commands<'_>, command: &str, at: &Source) -> Vec<Act> {
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
        assert_eq!(
            command("@reboot root a b", None),
            Some((true, "root", "a b"))
        );
        assert_eq!(command("@reboot\ta b", Some("x")), Some((true, "x", "a b")));
        assert_eq!(
            command("*/5 * * * *  root a b", None),
            Some((false, "root", "a b"))
        );
        assert_eq!(
            command("0 1 * * 1 a", Some("root")),
            Some((false, "root", "a"))
        );
        for none in [
            "",
            "# x",
            "MAILTO=root",
            "PATH=/bin:/sbin x y z a b",
            "@reboot root",
        ] {
            assert_eq!(command(none, None), None, "{none}");
        }
    }
}
