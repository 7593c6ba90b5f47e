//! Changes to the text of configuration files: pure functions from bytes to
//! bytes that touch only the lines that must change.

pub mod modprobe;
pub mod shell;
pub mod sysctl;

/// Begins a block that was added to a file.
pub const MARK: &str = "# Written by ctdrop fix; ctdrop undo undoes it.";

/// How the hidden names begin that are used while files are replaced.
pub const TEMPORARY: &str = ".ctdrop-";

/// The lines of a file, each with its line feed if it has one.
pub(crate) fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|&byte| byte == b'\n').collect()
}

/// Puts something in the place of a line, counted from 1. `None`: there is no
/// such line, or nothing takes its place.
pub(crate) fn replace_line(
    content: &[u8],
    number: u32,
    with: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let at = (number as usize).checked_sub(1)?;
    let mut lines = lines(content);
    let changed = with(lines.get(at)?)?;
    lines[at] = &changed;
    Some(lines.concat())
}

/// Adds a marked block at the end, after an empty line.
pub fn append(content: &[u8], block: &str) -> Vec<u8> {
    let mut new = content.to_vec();
    if !new.is_empty() {
        if !new.ends_with(b"\n") {
            new.push(b'\n');
        }
        if !new.ends_with(b"\n\n") && new != b"\n" {
            new.push(b'\n');
        }
    }
    new.extend_from_slice(MARK.as_bytes());
    new.push(b'\n');
    new.extend_from_slice(block.as_bytes());
    new.push(b'\n');
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stand_apart() {
        let added = |text: &str| String::from_utf8(append(text.as_bytes(), "x = 1")).unwrap();
        assert_eq!(added(""), format!("{MARK}\nx = 1\n"));
        for before in ["a\n", "a", "a\n\n"] {
            assert_eq!(added(before), format!("a\n\n{MARK}\nx = 1\n"), "{before:?}");
        }
    }

    #[test]
    fn only_the_line_is_replaced() {
        let with = |line: &[u8]| Some([b"> ", line].concat());
        assert_eq!(replace_line(b"a\nb\nc", 2, with).unwrap(), b"a\n> b\nc");
        assert_eq!(replace_line(b"a\nb\nc", 3, with).unwrap(), b"a\nb\n> c");
        assert_eq!(replace_line(b"a\n", 2, with), None);
        assert_eq!(replace_line(b"a\n", 0, with), None);
    }
}
