//! One bench's section of docs/benchmarks.md, between two comments.

use std::fs;

use anyhow::{Context as _, Result};

use crate::cargo;

/// Replaces what a bench has written the last time, or adds it at the end.
pub(crate) fn write(name: &str, text: &str) -> Result<()> {
    let path = cargo::root()?.join("docs/benchmarks.md");
    let shown = path.display();
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
    fs::write(&path, replaced(&page, name, text))
        .with_context(|| format!("cannot write {shown}"))?;
    eprintln!("bench: wrote {shown}");
    Ok(())
}

fn replaced(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (
        format!("<!-- bench {name} -->\n"),
        format!("<!-- end {name} -->\n"),
    );
    let section = format!("{begin}{}\n{end}", text.trim_end());
    match (page.find(&begin), page.find(&end)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{section}{}", &page[..from], &page[to + end.len()..])
        }
        _ => format!("{}\n\n{section}", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_section_is_replaced_or_added() {
        let added = replaced("# Page\n", "logs", "one\n");
        assert_eq!(
            added,
            "# Page\n\n<!-- bench logs -->\none\n<!-- end logs -->\n"
        );
        let other = replaced(&added, "observe", "two");
        let again = replaced(&other, "logs", "three");
        assert_eq!(
            again,
            "# Page\n\n<!-- bench logs -->\nthree\n<!-- end logs -->\n\n\
             <!-- bench observe -->\ntwo\n<!-- end observe -->\n"
        );
    }
}
