//! A section of a page in docs that a command writes, between two comments.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::cargo;

/// A section of a page.
#[derive(Debug)]
pub(crate) struct Section {
    page: &'static str,
    begin: String,
    end: String,
}

impl Section {
    /// That of a bench, in docs/benchmarks.md.
    pub(crate) fn of_bench(name: &str) -> Self {
        Self {
            page: "docs/benchmarks.md",
            begin: format!("<!-- bench {name} -->\n"),
            end: format!("<!-- end {name} -->\n"),
        }
    }

    /// The table of kernels, in docs/kernels.md.
    pub(crate) fn of_kernels() -> Self {
        Self {
            page: "docs/kernels.md",
            begin: "<!-- kernels -->\n".to_owned(),
            end: "<!-- end kernels -->\n".to_owned(),
        }
    }

    /// What is in it; nothing if it was never written.
    pub(crate) fn read(&self) -> Result<String> {
        let (_, page) = self.page()?;
        Ok(self
            .find(&page)
            .map_or_else(String::new, |(_, text, _)| text.to_owned()))
    }

    /// Replaces what was written the last time, or adds it at the end.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        let (path, page) = self.page()?;
        let shown = path.display();
        fs::write(&path, self.replaced(&page, text))
            .with_context(|| format!("cannot write {shown}"))?;
        eprintln!("wrote {shown}");
        Ok(())
    }

    fn page(&self) -> Result<(PathBuf, String)> {
        let path = cargo::root()?.join(self.page);
        let page = fs::read_to_string(&path);
        let page = page.with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path, page))
    }

    /// What is before the section, in it, and after it.
    fn find<'a>(&self, page: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
        let (before, rest) = page.split_once(&self.begin)?;
        let (text, after) = rest.split_once(&self.end)?;
        Some((before, text, after))
    }

    fn replaced(&self, page: &str, text: &str) -> String {
        let section = format!("{}{}\n{}", self.begin, text.trim_end(), self.end);
        match self.find(page) {
            Some((before, _, after)) => format!("{before}{section}{after}"),
            None => format!("{}\n\n{section}", page.trim_end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Section;

    #[test]
    fn a_section_is_replaced_or_added() {
        let (logs, observe) = (Section::of_bench("logs"), Section::of_bench("observe"));
        let added = logs.replaced("# Page\n", "one\n");
        assert_eq!(
            added,
            "# Page\n\n<!-- bench logs -->\none\n<!-- end logs -->\n"
        );
        let other = observe.replaced(&added, "two");
        let again = logs.replaced(&other, "three");
        assert_eq!(
            again,
            "# Page\n\n<!-- bench logs -->\nthree\n<!-- end logs -->\n\n\
             <!-- bench observe -->\ntwo\n<!-- end observe -->\n"
        );
        assert_eq!(logs.find(&again).map(|(_, text, _)| text), Some("three\n"));
        assert_eq!(Section::of_kernels().find(&again), None);
    }
}
