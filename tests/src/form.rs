//! The form of output: what stays the same when its numbers change.

/// A word with 0 for each number.
pub(crate) fn without_numbers(word: &str) -> String {
    let mut form = String::new();
    for character in word.chars() {
        match character {
            '0'..='9' | ',' | '.' if form.ends_with('0') => {}
            '0'..='9' => form.push('0'),
            _ => form.push(character),
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_numbers_do_not() {
        assert_eq!(without_numbers("31,020"), without_numbers("7"));
        assert_eq!(without_numbers("+1.5/s"), "+0/s");
        assert_eq!(without_numbers("table_full,"), "table_full,");
    }
}
