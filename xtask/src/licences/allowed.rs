//! Which licences dependencies may have.

use spdx::{Expression, Licensee, ParseMode};

use crate::licences::dependency::Dependency;

/// Licences that allow everybody to copy the static binary and the sources, under
/// the conditions in the file with the third-party licences.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "bzip2-1.0.6",
];

/// Licences that crates may also have which only tests and builds need: nobody gets
/// copies of them from us.
const ALLOWED_UNSHIPPED: [&str; 1] = ["MPL-2.0"];

/// What cannot be allowed of the crates in the program, a sentence for each.
pub(crate) fn refused<'a>(shipped: impl Iterator<Item = &'a Dependency>) -> Vec<String> {
    sentences(shipped, &licensees(ALLOWED))
}

/// What cannot be allowed of all crates, a sentence for each.
pub(crate) fn refused_everywhere<'a>(all: impl Iterator<Item = &'a Dependency>) -> Vec<String> {
    let mut allowed = licensees(ALLOWED);
    allowed.extend(licensees(ALLOWED_UNSHIPPED));
    sentences(all, &allowed)
}

/// The licences of a list.
fn licensees<const N: usize>(list: [&str; N]) -> Vec<Licensee> {
    let licences = list.into_iter();
    licences
        .filter_map(|licence| Licensee::parse(licence).ok())
        .collect()
}

/// A sentence for each crate without one of these licences.
fn sentences<'a>(
    dependencies: impl Iterator<Item = &'a Dependency>,
    allowed: &[Licensee],
) -> Vec<String> {
    dependencies
        .filter_map(|one| {
            let why = why(one, allowed)?;
            Some(format!("{} {}: {why}", one.name, one.version))
        })
        .collect()
}

/// Why a crate cannot be allowed.
fn why(dependency: &Dependency, allowed: &[Licensee]) -> Option<String> {
    let Some(licence) = &dependency.licence else {
        return Some("its manifest states no licence".to_owned());
    };
    let expression = match Expression::parse_mode(licence, ParseMode::LAX) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("its licence is no SPDX expression: {error}")),
    };
    let is_allowed =
        expression.evaluate(|licence| allowed.iter().any(|one| one.satisfies(licence)));
    (!is_allowed).then(|| format!("{licence} is not allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(licence: Option<&str>) -> Vec<String> {
        let dependency = Dependency {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.map(str::to_owned),
            ..Dependency::default()
        };
        refused([&dependency].into_iter())
    }

    #[test]
    fn each_of_the_list_is_a_licence() {
        for licence in ALLOWED {
            assert_eq!(refusals(Some(licence)), [""; 0], "{licence}");
        }
    }

    #[test]
    fn one_of_several_suffices_and_all_of_several_are_needed() {
        assert_eq!(refusals(Some("GPL-3.0-only OR MIT")), [""; 0]);
        assert_eq!(refusals(Some("MIT/Apache-2.0")), [""; 0]);
        let both = refusals(Some("GPL-3.0-only AND MIT"));
        assert_eq!(both, ["x 1.0.0: GPL-3.0-only AND MIT is not allowed"]);
        assert_eq!(
            refusals(Some("Apache-2.0 WITH Classpath-exception-2.0")).len(),
            1
        );
    }

    #[test]
    fn tests_and_builds_may_use_what_the_program_may_not() {
        let of = |licence: &str| Dependency {
            name: "x".to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some(licence.to_owned()),
            ..Dependency::default()
        };
        let everywhere = |licence| refused_everywhere([&of(licence)].into_iter());
        assert_eq!(everywhere("MPL-2.0"), [""; 0]);
        assert_eq!(everywhere("MIT"), [""; 0]);
        assert_eq!(everywhere("GPL-3.0-only").len(), 1);
        assert_eq!(refusals(Some("MPL-2.0")).len(), 1);
    }

    #[test]
    fn no_licence_or_none_that_can_be_read_is_refused() {
        assert_eq!(refusals(None), ["x 1.0.0: its manifest states no licence"]);
        assert!(refusals(Some("mine, all mine"))[0].contains("no SPDX expression"));
    }
}
