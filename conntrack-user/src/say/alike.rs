//! Suggests a name that is similar to a mistyped one.

/// A suggestion is more similar than this; clap has the same bound.
const ALIKE: f64 = 0.7;

/// The most similar known name; none if it is not similar enough.
pub fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    meant_by(name, known.map(|known| (known, known)))
}

/// The same for things that have several names: the thing with the most similar name.
pub fn meant_by<'a, T>(name: &str, known: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
    let alike = known.map(|(known, thing)| (strsim::jaro(name, known), thing));
    let best = alike.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|&(alike, _)| alike > ALIKE)
        .map(|(_, thing)| thing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_is_meant_and_nothing_if_none_is_alike() {
        let known = ["blue", "gateway", "gate"];
        let meant = |name| meant(name, known.into_iter());
        assert_eq!(meant("gatway"), Some("gateway"));
        assert_eq!(meant("gat"), Some("gate"));
        assert_eq!(meant("bleu"), Some("blue"));
        assert_eq!(meant("red"), None);
        assert_eq!(meant(""), None);
    }
}
