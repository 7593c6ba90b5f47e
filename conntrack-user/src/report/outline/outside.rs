//! Texts from outside, as they may be shown.

/// The most characters of a text from outside.
const LONGEST: usize = 400;

/// A text from outside without what a terminal or a page would act on: control
/// characters, and marks that change the direction of text or are not seen.
pub(in crate::report) fn shown(text: &str) -> String {
    cut(text, LONGEST)
}

/// The same, of sentences of ours with such texts in them.
pub(in crate::report) fn sentence(text: &str) -> String {
    cut(text, 10 * LONGEST)
}

fn cut(text: &str, longest: usize) -> String {
    let unseen = |char: char| {
        char.is_control()
            || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    let mut shown: String = text
        .chars()
        .take(longest)
        .map(|char| if unseen(char) { '\u{fffd}' } else { char })
        .collect();
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}
