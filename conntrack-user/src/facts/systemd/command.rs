//! What a unit runs when it starts: its command lines, with the directory and the
//! variables that they are given (systemd.service(5), systemd.exec(5)).

use crate::facts::{
    lines::{Format, joined},
    reader::{Reader, TextFile},
    shell::{
        Surroundings,
        effect::{GAP, Word},
    },
    systemd::files::settings,
};

/// Commands that are run when a unit starts, in their order.
pub(in crate::facts) const STARTING: [&str; 4] = [
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
];

/// The words of a command line as systemd splits it, which is no shell, with the
/// variables of its environment; each with a gap for a specifier and for a variable that
/// is not known.
pub(in crate::facts) fn words(line: &str, environment: &[(String, String)]) -> Vec<Word> {
    let mut words = Vec::new();
    for word in split(line) {
        // A variable that is a word of its own becomes several (systemd
        // `replace_env_argv`), and one that is not set none.
        let alone = word.strip_prefix('$');
        match alone.filter(|name| !name.starts_with(['{', '$'])) {
            Some(name) => match value(environment, name) {
                Some(value) => words.extend(value.split_whitespace().map(Word::new)),
                None => words.push(Word::unknown()),
            },
            None => words.push(Word::new(with_values(&word, environment))),
        }
    }
    words
}

fn value<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let found = environment.iter().rev().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A word with the values of its `${NAME}`.
fn with_values(word: &str, environment: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        let from = &rest[at..];
        if let Some(after) = from.strip_prefix("$$") {
            text.push('$');
            rest = after;
        } else if let Some((name, after)) = from
            .strip_prefix("${")
            .and_then(|inside| inside.split_once('}'))
            .filter(|(name, _)| is_name(name))
        {
            match value(environment, name) {
                Some(value) => text.push_str(value),
                None => text.push(GAP),
            }
            rest = after;
        } else {
            // No variable: what is run gets the letter.
            text.push('$');
            rest = &from[1..];
        }
    }
    text + rest
}

/// The words of a line, with its variables, and gaps for specifiers.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (' ' | '\t', None) => {
                words.extend(word.take());
                continue;
            }
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
                continue;
            }
            (letter, Some(open)) if letter == open => {
                quote = None;
                continue;
            }
            _ => {}
        }
        let word = word.get_or_insert_default();
        match letter {
            '\\' => word.push(match letters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('s') => ' ',
                Some(other @ ('\\' | '"' | '\'')) => other,
                _ => GAP,
            }),
            '%' if letters.next_if_eq(&'%').is_some() => word.push('%'),
            '%' => {
                letters.next();
                word.push(GAP);
            }
            other => word.push(other),
        }
    }
    words.extend(word);
    words
}

/// A file with environment variables (`EnvironmentFile=` of a unit).
pub(in crate::facts) struct EnvironmentFile {
    /// Whether its name is a path, and not a pattern.
    is_plain: bool,
    /// Its content; none if there is no such file.
    pub(in crate::facts) file: Option<TextFile>,
}

/// Reads the files with environment variables of a unit.
pub(in crate::facts) fn environment_files(
    reader: &Reader<'_>,
    files: &[TextFile],
) -> Vec<EnvironmentFile> {
    let named = settings(files, "Service", "EnvironmentFile").into_iter();
    let read = named.map(|(path, _)| {
        let path = path.trim_start_matches('-');
        EnvironmentFile {
            is_plain: path.starts_with('/') && !path.contains(['*', '?', '[', '%']),
            file: reader.file(path),
        }
    });
    read.collect()
}

/// What a unit's commands are given: its working directory, and the variables of its
/// environment that are known; `listed` are its files with variables.
pub(in crate::facts) fn surroundings(
    reader: &Reader<'_>,
    files: &[TextFile],
    listed: &[EnvironmentFile],
) -> Surroundings {
    let directory = settings(files, "Service", "WorkingDirectory").pop();
    let directory = match directory {
        Some((path, _)) => Some(path.trim_start_matches('-').to_owned())
            .filter(|path| path.starts_with('/') && !path.contains('%')),
        None => Some("/".to_owned()),
    };
    let mut environment = Vec::new();
    for (line, _) in settings(files, "Service", "Environment") {
        for word in split(&line) {
            if let Some((name, value)) = word.split_once('=') {
                set(&mut environment, name, value);
            }
        }
    }
    for &EnvironmentFile { is_plain, ref file } in listed {
        match file.as_ref().filter(|_| is_plain) {
            Some(file) => {
                for (_, line) in joined(&file.text, Format::Systemd) {
                    if let Some((name, value)) = line.split_once('=') {
                        set(&mut environment, name.trim(), unquoted(value.trim()));
                    }
                }
            }
            // A tree may be without what its host has.
            None if is_plain && reader.is_this_host() => {}
            None => environment.clear(),
        }
    }
    Surroundings {
        name: None,
        directory,
        environment,
    }
}

/// A variable is set; to what cannot be told, it is not known any more.
fn set(environment: &mut Vec<(String, String)>, name: &str, value: &str) {
    environment.retain(|(known, _)| known != name);
    if !value.contains([GAP, '\\']) {
        environment.push((name.to_owned(), value.to_owned()));
    }
}

/// A value of an `EnvironmentFile` without its quotes; a backslash in place of one that
/// is not plain.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inside) = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return if inside.contains(quote) { "\\" } else { inside };
        }
    }
    if value.contains(['"', '\'']) {
        "\\"
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_systemd_does() {
        let known = [("X".to_owned(), "a b".to_owned())];
        let split = |line| {
            words(line, &known)
                .into_iter()
                .map(|word| word.with_gaps().replace(GAP, "?"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            split("/bin/sh -c 'echo 9 > /x'  \"a b\""),
            ["/bin/sh", "-c", "echo 9 > /x", "a b"]
        );
        assert_eq!(split("a$$b $Y %i %% ''"), ["a$b", "?", "?", "%", ""]);
        assert_eq!(
            split("$X ${X} c${X}d${Y} '$X ok' $1"),
            ["a", "b", "a b", "ca bd?", "?", "?"]
        );
    }
}
