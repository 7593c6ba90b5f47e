//! Changes as people read them.

use similar::TextDiff;

/// A unified diff; of a file that is not there against nothing.
pub fn unified(path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> String {
    let header = |side: &str, content: Option<&[u8]>| match content {
        Some(_) => format!("{side}{path}"),
        None => "/dev/null".to_owned(),
    };
    let text =
        |content: Option<&[u8]>| String::from_utf8_lossy(content.unwrap_or_default()).into_owned();
    let (old, new) = (text(before), text(after));
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .header(&header("a", before), &header("b", after))
        .to_string()
}

#[cfg(test)]
mod tests {
    use crate::plan::diff::unified;

    #[test]
    fn diffs_can_be_applied() {
        let diff = unified("/etc/x", Some(b"a\nb\n"), Some(b"a\nc\n"));
        assert_eq!(
            diff,
            "--- a/etc/x\n+++ b/etc/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        );
        let new = unified("/etc/x", None, Some(b"a"));
        assert_eq!(
            new,
            "--- /dev/null\n+++ b/etc/x\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n"
        );
    }
}
