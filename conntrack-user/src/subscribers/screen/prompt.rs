//! A line that is typed.

use crate::subscribers::input::Key;

/// The longest line.
const LONGEST: usize = 200;

/// What has been typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prompt {
    text: String,
}

/// What a key has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The text may have changed.
    Text,
    /// It is done.
    Done,
    /// It is to stay as it was.
    Cancelled,
}

impl Prompt {
    /// With this text to begin with.
    pub(super) fn with(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// What has been typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: Key) -> Typed {
        match key {
            Key::Enter => return Typed::Done,
            Key::Escape => return Typed::Cancelled,
            Key::Char(letter) if self.text.len() < LONGEST => self.text.push(letter),
            Key::Backspace => {
                self.text.pop();
            }
            Key::Ctrl('u') => self.text.clear(),
            Key::Ctrl('w') => {
                let kept = self.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.text.truncate(kept);
            }
            _ => {}
        }
        Typed::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_and_mended() {
        let mut prompt = Prompt::with("10.0.0.0/8");
        for key in [
            Key::Char(' '),
            Key::Char('5'),
            Key::Char('4'),
            Key::Backspace,
            Key::Char('3'),
        ] {
            assert_eq!(prompt.press(key), Typed::Text);
        }
        assert_eq!(prompt.text(), "10.0.0.0/8 53");
        prompt.press(Key::Ctrl('w'));
        assert_eq!(prompt.text(), "10.0.0.0/8 ");
        prompt.press(Key::Ctrl('u'));
        assert_eq!(prompt.text(), "");
        assert_eq!(prompt.press(Key::Enter), Typed::Done);
        assert_eq!(prompt.press(Key::Escape), Typed::Cancelled);
    }
}
