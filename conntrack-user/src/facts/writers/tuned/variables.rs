//! Variables of `TuneD`'s profiles: those that are written down are known, functions
//! (`${f:…}`) are not (`tuned/profiles/variables.py`).

use std::collections::BTreeMap;

use crate::facts::{reader::Reader, writers::tuned::profile::Setting};

/// Variables with their values; none of one that cannot be told.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, Option<String>>);

impl Variables {
    /// By the section `[variables]`.
    pub(super) fn of(reader: &Reader<'_>, settings: &[Setting]) -> Self {
        let mut variables = Self::default();
        for setting in settings {
            if setting.key == "include" {
                variables.take_file(reader, setting);
            } else {
                variables.take(&setting.key, &setting.value, setting.certain);
            }
        }
        variables
    }

    fn take_file(&mut self, reader: &Reader<'_>, include: &Setting) {
        let Some(file) = reader.file(&include.value) else {
            if !reader.is_this_host() {
                reader.misses(&include.value, &include.source);
            }
            return;
        };
        for (_, line) in file.lines() {
            let line = line.trim();
            if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                let value = value.split(" #").next().unwrap_or_default();
                self.take(name.trim(), value.trim(), include.certain);
            }
        }
    }

    fn take(&mut self, name: &str, value: &str, certain: bool) {
        let value = self.expand(value).filter(|_| certain);
        self.0.insert(name.to_owned(), value);
    }

    /// A text with its variables in place; none if one cannot be told.
    pub(super) fn expand(&self, text: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("${") {
            let (name, after) = from.split_once('}')?;
            if before.ends_with('\\') {
                return None;
            }
            expanded.push_str(before);
            expanded.push_str(self.0.get(name)?.as_ref()?);
            rest = after;
        }
        expanded.push_str(rest);
        Some(expanded)
    }
}
