//! The sections of docs/benchmarks.md, each between two marks.

use std::fs;

use anyhow::{Context as _, Result};

use crate::cargo;

/// Replaces the section of that name.
pub(super) fn write(name: &str, section: &str) -> Result<()> {
    let path = cargo::root()?.join("docs/benchmarks.md");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = replace(&text, name, section)
        .with_context(|| format!("{} lacks the marks of section {name}", path.display()))?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The text with another section between the marks of that name.
fn replace(text: &str, name: &str, section: &str) -> Option<String> {
    let begin = format!("<!-- {name}: begin -->\n");
    let end = format!("<!-- {name}: end -->");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{section}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n";
        let expected = "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n";
        assert_eq!(replace(text, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replace(text, "y", "new\n"), None);
        assert_eq!(replace("<!-- x: begin -->\n", "x", "new\n"), None);
    }
}
