//! Lines that end with a backslash go on in the next one.

/// The formats in which they do, each with comments of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// systemd.syntax(7): a comment within a line that goes on is skipped.
    Systemd,
    /// interfaces(5): within a line that goes on there are no comments.
    Interfaces,
    /// modprobe.d(5): a comment goes on, too.
    Modprobe,
}

/// Lines without comments, those that go on put together, each with the number of its
/// first line.
pub(super) fn joined(text: &str, format: Format) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let mut begun: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let is_skipped = match format {
            Format::Systemd => is_comment(line),
            Format::Interfaces => begun.is_none() && is_comment(line),
            Format::Modprobe => false,
        };
        if is_skipped {
            continue;
        }
        let (first, mut whole) = begun.take().unwrap_or((number, String::new()));
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            if format != Format::Modprobe {
                whole.push(' ');
            }
            begun = Some((first, whole));
        } else {
            whole.push_str(line);
            lines.push((first, whole));
        }
    }
    lines.extend(begun);
    if format == Format::Modprobe {
        lines.retain(|(_, line)| !line.trim_start().starts_with('#'));
    }
    lines
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', ';'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_within_a_line_that_goes_on_is_for_the_format_to_judge() {
        let text = "a \\\n# b\nc\n#d\\\ne\n";
        let lines = |format| {
            let lines = joined(text, format).into_iter();
            lines.map(|(_, line)| line).collect::<Vec<_>>()
        };
        assert_eq!(lines(Format::Systemd), ["a  c", "e"]);
        assert_eq!(lines(Format::Interfaces), ["a  # b", "c", "e"]);
        assert_eq!(lines(Format::Modprobe), ["a # b", "c"]);
    }
}
