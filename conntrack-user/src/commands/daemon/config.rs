//! The file of settings, `/etc/ctdrop/config.toml`.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context as _, Result, anyhow};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    commands::daemon::{
        settings::{ALL, Given, Setting},
        value::Value,
    },
    say::alike::meant,
};

/// Where it is, unless another file is named.
pub(crate) const FILE: &str = "/etc/ctdrop/config.toml";

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Read {
    /// Its settings.
    pub(super) given: Given,
    /// Whether it is there.
    pub(super) is_there: bool,
}

/// Reads the file that was named, or the usual one, which need not be there.
///
/// # Errors
///
/// What is wrong with it, by line.
pub(super) fn read(named: Option<&Path>) -> Result<Read> {
    let path = named.unwrap_or_else(|| Path::new(FILE));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => {
            return Ok(Read::default());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let given = parse(&text).map_err(|wrong| wrong.of(path, &text))?;
    Ok(Read {
        given,
        is_there: true,
    })
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    /// Bytes before it.
    at: usize,
    what: String,
}

impl Wrong {
    fn at<T>(place: &Spanned<T>, what: String) -> Self {
        Self {
            at: place.span().start,
            what,
        }
    }

    fn of(&self, path: &Path, text: &str) -> anyhow::Error {
        let before = text.as_bytes().iter().take(self.at);
        let line = before.filter(|&&byte| byte == b'\n').count() + 1;
        anyhow!("{}:{line}: {}", path.display(), self.what)
    }
}

fn parse(text: &str) -> Result<Given, Wrong> {
    let tables = DeTable::parse(text).map_err(|error| Wrong {
        at: error.span().map_or(0, |span| span.start),
        what: format!("not TOML: {}", error.message()),
    })?;
    let mut given = Given::default();
    for (name, table) in tables.get_ref() {
        if !ALL.iter().any(|setting| setting.table == name.get_ref()) {
            return Err(Wrong::at(name, unknown_table(name.get_ref())));
        }
        let Some(keys) = table.get_ref().as_table() else {
            let what = format!(
                "{0} is a table: begin it with the line [{0}]",
                name.get_ref()
            );
            return Err(Wrong::at(name, what));
        };
        for (key, value) in keys {
            let known = ALL
                .iter()
                .find(|setting| setting.table == name.get_ref() && setting.key == key.get_ref());
            let Some(setting) = known else {
                return Err(Wrong::at(key, unknown_key(name.get_ref(), key.get_ref())));
            };
            take(setting, &mut given, value)?;
        }
    }
    Ok(given)
}

fn take(setting: &Setting, given: &mut Given, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
    let plain = match value.get_ref() {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) => {
            let read = u64::from_str_radix(number.as_str(), number.radix());
            read.map_or(Value::Other("integer"), Value::Number)
        }
        other => Value::Other(other.type_str()),
    };
    (setting.take)(given, plain)
        .map_err(|what| Wrong::at(value, format!("{}.{}: {what}", setting.table, setting.key)))
}

fn unknown_table(name: &str) -> String {
    let tables = ALL.iter().map(|setting| setting.table);
    // Somebody may have left out the line with the table.
    if let Some(setting) = ALL.iter().find(|setting| setting.key == name) {
        let (table, key) = (setting.table, setting.key);
        return format!("{key} belongs to the table [{table}]: write that line before it");
    }
    match meant(name, tables.clone()) {
        Some(meant) => format!("unknown table [{name}]; did you mean [{meant}]?"),
        None => format!("unknown table [{name}]; there are {}", list(tables)),
    }
}

fn unknown_key(table: &str, key: &str) -> String {
    let keys = ALL.iter().filter(|setting| setting.table == table);
    let keys = keys.map(|setting| setting.key);
    if let Some(setting) = ALL.iter().find(|setting| setting.key == key) {
        return format!("{key} belongs to the table [{}]", setting.table);
    }
    match meant(key, keys.clone()) {
        Some(meant) => format!("unknown key {key} in [{table}]; did you mean {meant}?"),
        None => format!("unknown key {key} in [{table}]; there are {}", list(keys)),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;
    use crate::{
        say::output::Output,
        subscribers::{metrics::listen::Listen, otlp::settings::Settings as Otlp},
    };

    fn refused(text: &str) -> String {
        let wrong = parse(text).unwrap_err();
        wrong.of(Path::new("config.toml"), text).to_string()
    }

    #[test]
    fn every_setting_is_read() {
        let given = parse(
            "[output]\nformat = \"json\"\n[evidence]\nstate_dir = \"/srv/ctdrop\"\n\
             max_size = \"1GiB\"\nmax_age = \"7d\"\n[metrics]\nlisten = \"off\"\n\
             namespaces = 5\ntop = 0x10\n[otlp]\nendpoint = \"https://c:4318\"\n\
             logs_endpoint = \"off\"\nheaders = \"a=b\"\nca_file = \"/etc/ca.pem\"\n\
             compression = \"none\"\n",
        );
        let given = given.unwrap();
        assert_eq!(given.output, Some(Output::Json));
        assert_eq!(given.state, Some(PathBuf::from("/srv/ctdrop")));
        assert_eq!(given.max_size, Some(1 << 30));
        assert_eq!(given.max_age, Some(Duration::from_hours(7 * 24)));
        assert_eq!(given.metrics_listen, Some(Listen::Off));
        assert_eq!(
            (given.metrics_namespaces, given.metrics_top),
            (Some(5), Some(16))
        );
        let otlp: Otlp = given.otlp.into();
        let to = otlp.metrics_to().map(|to| to.to_string());
        assert_eq!(to.as_deref(), Some("https://c:4318/v1/metrics"));
        assert_eq!((otlp.logs_to(), otlp.gzip), (None, false));
        assert_eq!(otlp.ca_file, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn no_hook_is_written_in_two_ways() {
        for none in ["", "off"] {
            let given = parse(&format!("[hooks]\nexec = \"{none}\"\n")).unwrap();
            assert_eq!(given.hook, Some(None), "{none:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_one_that_is_meant() {
        for (text, said) in [
            (
                "[evidence]\n\nmax_sise = \"1GiB\"",
                "config.toml:3: unknown key max_sise in [evidence]; did you mean max_size?",
            ),
            (
                "[evidense]",
                "config.toml:1: unknown table [evidense]; did you mean [evidence]?",
            ),
            (
                "[evidence]\ncolour = 1",
                "there are state_dir, max_size, max_age",
            ),
            (
                "[output]\nmax_size = \"1GiB\"",
                "max_size belongs to the table [evidence]",
            ),
            (
                "max_size = \"1GiB\"",
                "max_size belongs to the table [evidence]",
            ),
            ("output = \"json\"", "begin it with the line [output]"),
        ] {
            let error = refused(text);
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_wrong_value_is_said_with_its_line() {
        for (text, said) in [
            (
                "[output]\nformat = \"xml\"",
                "config.toml:2: output.format: give text or json",
            ),
            (
                "[evidence]\nmax_size = 3",
                "evidence.max_size: give a text in quotes, not a number",
            ),
            ("[evidence]\nmax_size = \"1KiB\"", "4 MiB or more"),
            ("[evidence]\nstate_dir = \"here\"", "begins with /"),
            ("[evidence]\nmax_age = \"0s\"", "longer than 0"),
            ("[metrics]\ntop = \"1\"", "metrics.top: give a whole number"),
            (
                "[metrics]\ntop = 51",
                "metrics.top: give a whole number from 0 to 50",
            ),
            ("[metrics]\ntop = -1", "metrics.top: give a whole number"),
            (
                "[metrics]\nlisten = \"localhost\"",
                "config.toml:2: metrics.listen: give an address",
            ),
            (
                "[otlp]\nendpoint = \"c:4318\"",
                "otlp.endpoint: give an address",
            ),
            (
                "[hooks]\nexec = \"page 'x\"",
                "config.toml:2: hooks.exec: a quote",
            ),
            ("[otlp]\nheaders = \"a\"", "give headers as name=value"),
            ("[otlp]\nca_file = \"ca.pem\"", "its whole path"),
            ("[otlp]\ntimeout = \"1h\"", "give 5m or less"),
            (
                "[otlp]\ninterval = \"999999d\"",
                "otlp.interval: give a time from 1s to 1d",
            ),
            ("[otlp]\ninterval = \"999ms\"", "from 1s to 1d"),
            ("[otlp]\nend_point = \"off\"", "did you mean endpoint?"),
            ("\n[evidence\n", "config.toml:2: not TOML"),
        ] {
            let error = refused(text);
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    #[test]
    fn only_the_usual_file_may_be_missing() {
        let directory = tempfile::tempdir().unwrap();
        let named = directory.path().join("config.toml");
        let error = read(Some(&named)).unwrap_err().to_string();
        assert!(error.contains("cannot read"), "{error}");
        fs::write(&named, "[output]\nformat = \"json\"\n").unwrap();
        let read = read(Some(&named)).unwrap();
        assert!(read.is_there);
        assert_eq!(read.given.output, Some(Output::Json));
    }
}
