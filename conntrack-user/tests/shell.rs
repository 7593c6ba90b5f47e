//! Shell fragments, held against what a shell makes of them.

use std::process::Command;

use conntrack_user::facts::shell::Fragment;
use proptest::{prelude::*, test_runner::RngSeed};

/// What a shell makes of a fragment.
enum Outcome {
    NotUnderstood,
    Unset,
    Set(String),
}

/// Runs a fragment, with nothing that it could call, and gives what `A` is
/// afterwards.
fn run(fragment: &str) -> Outcome {
    let script = format!("{fragment}\nprintf '%s' \"<${{A-unset}}>\"\n");
    let output = Command::new("/bin/bash")
        .args(["--norc", "--noprofile", "-c", &script])
        .env_clear()
        .env("PATH", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("bash runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if ["syntax error", "unexpected EOF"]
        .iter()
        .any(|error| errors.contains(error))
    {
        return Outcome::NotUnderstood;
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = said
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.strip_suffix('>'));
    match value {
        None => Outcome::NotUnderstood,
        Some("unset") => Outcome::Unset,
        Some(value) => Outcome::Set(value.to_owned()),
    }
}

/// Pieces that fragments are put together from.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "A=",
        "A=",
        "\nA=",
        "B=",
        ".x",
        "y",
        "\"",
        "'",
        " ",
        "\t",
        "\n",
        ";",
        "#",
        "\\",
        "\\\n",
        "”",
        "\u{a0}",
        "\nif :; then\n",
        "\nfi\n",
        " && ",
        " || ",
        "export ",
        "A=\".x .y\"\n",
        "$B",
        "é",
    ])
}

proptest! {
    // The same fragments each time: another seed (PROPTEST_RNG_SEED) is for who looks for more.
    #![proptest_config(ProptestConfig { cases: 500, rng_seed: RngSeed::Fixed(5), ..ProptestConfig::default() })]

    #[test]
    fn a_value_that_is_told_is_the_shell_s(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = pieces.concat();
        let value = match run(&text) {
            Outcome::NotUnderstood => return Ok(()),
            Outcome::Unset => None,
            Outcome::Set(value) => Some(value),
        };
        let fragment = Fragment::parse(&text);
        match fragment.last("A") {
            // Only for a command, or never: then it is not set.
            None => prop_assert_eq!(value, None, "{:?}", text),
            Some(last) => {
                if let Some(literal) = last.literal() {
                    prop_assert_eq!(value.as_deref(), Some(literal), "{:?}", text);
                }
            }
        }
    }
}
