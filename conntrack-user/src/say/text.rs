//! Text that comes from outside.

/// Text from outside without what a terminal would act on.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_reach_the_terminal() {
        assert_eq!(plain("evil\x1b[2J\n"), "evil\u{fffd}[2J\u{fffd}");
    }
}
