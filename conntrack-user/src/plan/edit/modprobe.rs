//! Options of modules.

use crate::plan::edit::replace_line;

/// Gives the option `hashsize` another value, on this line or on those that it
/// goes on with.
pub fn set_hashsize(content: &[u8], line: u32, buckets: u64) -> Option<Vec<u8>> {
    let last = u32::try_from(super::lines(content).len()).unwrap_or(u32::MAX);
    for number in line..=last {
        let mut goes_on = false;
        let changed = replace_line(content, number, |line| {
            goes_on = line.trim_ascii_end().ends_with(b"\\");
            replace_in_line(line, buckets)
        });
        if changed.is_some() || !goes_on {
            return changed;
        }
    }
    None
}

fn replace_in_line(line: &[u8], buckets: u64) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"hashsize=";
    let mut found = None;
    for at in 0..line.len() {
        let whole = at == 0 || line[at - 1].is_ascii_whitespace();
        if whole && line[at..].starts_with(NAME) {
            // Of one that comes twice the last counts.
            found = Some(at + NAME.len());
        }
    }
    let begins = found?;
    let digits = line[begins..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let text = buckets.to_string();
    Some([&line[..begins], text.as_bytes(), &line[begins + digits..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, line: u32) -> Option<String> {
        let new = set_hashsize(text.as_bytes(), line, 42)?;
        Some(String::from_utf8(new).unwrap())
    }

    #[test]
    fn only_the_number_changes() {
        assert_eq!(
            set("# a\noptions nf_conntrack hashsize=7 acct=1\n", 2).unwrap(),
            "# a\noptions nf_conntrack hashsize=42 acct=1\n"
        );
        assert_eq!(
            set(
                "options nf_conntrack expect_hashsize=7 hashsize=8 hashsize=9\n",
                1
            )
            .unwrap(),
            "options nf_conntrack expect_hashsize=7 hashsize=8 hashsize=42\n"
        );
    }

    #[test]
    fn a_line_that_goes_on() {
        assert_eq!(
            set("options nf_conntrack \\\n  hashsize=7\n", 1).unwrap(),
            "options nf_conntrack \\\n  hashsize=42\n"
        );
        assert_eq!(set("options nf_conntrack acct=1\nx hashsize=7\n", 1), None);
    }
}
