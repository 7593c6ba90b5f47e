//! The numbers that benches of the crate ctdrop-tests state, a line each.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// Starts the line of a figure.
const FIGURE: &str = "ctdrop-figure: ";

/// What was measured, in the order in which it was stated.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<Figure>);

/// One number.
#[derive(Debug, Deserialize)]
struct Figure {
    what: String,
    observer: String,
    value: f64,
}

impl Figures {
    /// Runs a bench, shows what it prints, and keeps its figures.
    pub(super) fn of(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let output = child.stdout.take().context("the output of the bench")?;
        let mut figures = Self::default();
        for line in BufReader::new(output).lines() {
            let line = line?;
            match line.split_once(FIGURE) {
                Some((_, figure)) => figures.add(figure)?,
                None if line.is_empty() => {}
                None => eprintln!("{line}"),
            }
        }
        ensure!(child.wait()?.success(), "the measurement failed");
        Ok(figures)
    }

    fn add(&mut self, text: &str) -> Result<()> {
        let figure: Figure = serde_json::from_str(text)
            .with_context(|| format!("the bench printed a figure that cannot be read: {text}"))?;
        eprintln!("{}, {}: {:.4}", figure.what, figure.observer, figure.value);
        self.0.push(figure);
        Ok(())
    }

    /// One of them.
    pub(super) fn get(&self, what: &str, observer: &str) -> Result<f64> {
        let mut figures = self.0.iter();
        figures
            .find(|figure| figure.what == what && figure.observer == observer)
            .map(|figure| figure.value)
            .with_context(|| format!("the bench printed no figure {what} for observer {observer}"))
    }

    /// Everybody that this was measured with.
    pub(super) fn observers(&self, what: &str) -> impl Iterator<Item = &str> {
        let figures = self.0.iter().filter(move |figure| figure.what == what);
        figures.map(|figure| figure.observer.as_str())
    }
}

#[cfg(test)]
impl FromIterator<(&'static str, &'static str, f64)> for Figures {
    fn from_iter<I: IntoIterator<Item = (&'static str, &'static str, f64)>>(figures: I) -> Self {
        let figure = |(what, observer, value): (&str, &str, f64)| Figure {
            what: what.to_owned(),
            observer: observer.to_owned(),
            value,
        };
        Self(figures.into_iter().map(figure).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_both_names() {
        let mut figures = Figures::default();
        figures
            .add(r#"{"what":"new","observer":"none","value":7860.5}"#)
            .unwrap();
        assert!((figures.get("new", "none").unwrap() - 7860.5).abs() < 0.01);
        assert!(figures.get("new", "ctdrop fexit").is_err());
        assert_eq!(figures.observers("new").collect::<Vec<_>>(), ["none"]);
        assert!(figures.add(r#"{"what":"new""#).is_err());
    }
}
