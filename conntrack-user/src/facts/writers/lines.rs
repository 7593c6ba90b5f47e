//! Lines of configuration files.

/// Lines with those put together that end with a backslash, and without comments.
pub(super) fn joined(text: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let mut begun: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if begun.is_none() && line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (first, mut whole) = begun.take().unwrap_or((number, String::new()));
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            whole.push(' ');
            begun = Some((first, whole));
        } else {
            whole.push_str(line);
            lines.push((first, whole));
        }
    }
    lines.extend(begun);
    lines
}
