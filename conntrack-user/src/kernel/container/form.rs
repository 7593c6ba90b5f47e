//! The forms of names. What a hostile file has instead is left out.

/// The longest name: that of a pod, a DNS subdomain.
const LONGEST: usize = 253;

/// The longest name of an image.
const LONGEST_IMAGE: usize = 512;

/// The text, if it can be a name: engines and Kubernetes allow no other.
pub(super) fn name(text: &str) -> Option<String> {
    let begins = text.starts_with(|char: char| char.is_ascii_alphanumeric());
    let goes_on = |char: char| char.is_ascii_alphanumeric() || "_.-".contains(char);
    (begins && text.len() <= LONGEST && text.chars().all(goes_on)).then(|| text.to_owned())
}

/// The text, if it can be the name of an image.
pub(super) fn image(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= LONGEST_IMAGE;
    (fits && text.chars().all(|char| char.is_ascii_graphic())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_not_repeated() {
        for text in ["", "a\u{1b}[2Jb", "../../etc", "-x", "a b", "ä", "a/b"] {
            assert_eq!(name(text), None, "{text:?}");
        }
        assert_eq!(name(&"a".repeat(254)), None);
        let pod = "cart-6d5f7c9b8-x2x4z";
        assert_eq!(name(pod).as_deref(), Some(pod));
        let pinned = "registry.test:5000/a/b@sha256:00";
        assert_eq!(image(pinned).as_deref(), Some(pinned));
        assert_eq!(image("a\nb"), None);
    }
}
