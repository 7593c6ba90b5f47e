//! What a saved table does not tell, and what is wrong with it, in sentences.

use crate::{
    say::{
        number::{counted, counted_entries, number},
        text::plain,
    },
    table::saved::reading::{FORMS, Reading},
};

/// Why a file is no saved table; none if it is one.
pub fn no_table(reading: &Reading, file: &str) -> Option<String> {
    if !reading.is_no_table() {
        return None;
    }
    let first = reading.first_malformed.as_ref().map(|first| {
        let line = number(first.line);
        format!("line {line} is no entry ({:?}); ", first.text)
    });
    Some(format!(
        "{file} is not a saved conntrack table: {}expected {FORMS}",
        first.unwrap_or_default()
    ))
}

/// What has to be known of a saved table besides the sums.
pub fn caveats(reading: &Reading, file: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if reading.is_empty() {
        lines.push(format!(
            "{file} is empty: the table had no entries, or the copy failed (tar stores files of \
             /proc as empty: use cat or cp)"
        ));
    }
    if let Some(first) = &reading.first_malformed {
        let not_counted = match reading.malformed {
            1 => "is not a whole entry, so it is not counted",
            _ => "are not whole entries, so they are not counted",
        };
        lines.push(format!(
            "{} of {file} {not_counted}; the first is line {}: {}",
            counted(reading.malformed, "line"),
            number(first.line),
            plain(&first.text)
        ));
    }
    if let Some(why) = &reading.not_read {
        lines.push(format!(
            "cannot read {file} to its end ({}): entries are missing",
            plain(why)
        ));
    } else if reading.cut {
        lines.push(format!(
            "{file} ends in the middle of an entry or of its XML: the file was cut off, and entries \
             may be missing"
        ));
    }
    match reading.shown {
        Some(shown) if shown != reading.entries => lines.push(format!(
            "conntrack says that it has shown {}, but {file} has {}: entries were lost or added",
            counted_entries(shown),
            number(reading.entries)
        )),
        _ => {}
    }
    if reading.icmp_in_xml > 0 {
        lines.push(format!(
            "XML leaves out the type and code of ICMP: {} counted as type 0, code 0",
            match reading.icmp_in_xml {
                1 => "1 entry is".to_owned(),
                several => format!("{} entries are", number(several)),
            }
        ));
    }
    lines
}
