//! Shell fragments, held against what bash and dash make of them: the same value, or
//! unknown, and never another one.

use std::{fs, process::Command};

use conntrack_user::facts::shell::{Dialect, Fragment, Value};
use proptest::{prelude::*, test_runner::RngSeed};

/// What a shell makes of a fragment.
#[derive(Debug)]
enum Outcome {
    /// It does not come to its end.
    Ended,
    Unset,
    Set(String),
}

/// The name of the file that a fragment writes to.
const FRAGMENT: &str = "fragment";

/// Sources a fragment, with nothing that it could call, and gives what `A` is
/// afterwards.
fn run(shell: &str, fragment: &str) -> Outcome {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join(FRAGMENT), fragment).expect("it is written");
    let script = format!(". ./{FRAGMENT}\nprintf '%s' \"@@<${{A-unset}}>@@\"\n");
    let mut command = Command::new(shell);
    if shell.ends_with("bash") {
        command.args(["--norc", "--noprofile"]);
    }
    let output = command
        .args(["-c", &script])
        .current_dir(directory.path())
        .env_clear()
        .env("PATH", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("the shell runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = said
        .rsplit_once("@@<")
        // What runs in the background may print afterwards.
        .and_then(|(_, rest)| rest.split_once(">@@"))
        .map(|(value, _)| value);
    match value {
        None => Outcome::Ended,
        Some("unset") => Outcome::Unset,
        Some(value) => Outcome::Set(value.to_owned()),
    }
}

/// Pieces that fragments are put together from.
fn piece() -> impl Strategy<Value = &'static str> {
    let words = vec![
        "A=", "A=", "\nA=", "B=", ".x", "y", "\"", "'", " ", "\t", "\n", ";", "#", "\\", "\\\n",
        "”", "\u{a0}", "é", "$B", "\r\n", "$'", "\\n", "~", "*", "{x,y}", "=", "+=",
    ];
    let lines = vec![
        "\nif :; then\n",
        "\nif false; then\n",
        "\nelse\n",
        "\nfi\n",
        " && ",
        " || ",
        " | ",
        " & ",
        "export ",
        "readonly ",
        "unset A\n",
        "A=\".x .y\"\n",
        "B=.z\n",
        "A+=x\n",
        "A=${B:-y}\n",
        "A=\"${B}\"\n",
        ": ${A:=z}\n",
        "A=`echo y`\n",
        "A=$(echo \"$B\")\n",
        "[ \"$B\" = .z ] && ",
        "[ x = y ] || ",
        "[ -n \"$A\" ] && ",
        "case $B in\n.z) A=1;;\n*) A=2;;\nesac\n",
        "f() {\n",
        "\n}\n",
        "{ ",
        "; }\n",
        "( ",
        " )\n",
        "\nf\n",
        "return\n",
        "exit 0\n",
        "eval A=9\n",
        "cat <<E\n",
        "\nE\n",
        "for i in x y; do\n",
        "while false; do\n",
        "\ndone\n",
        "break\n",
        "set -e\n",
        "true\n",
        "false\n",
        "local A=7\n",
        "A=5 :\n",
        "A=5 f\n",
        "B=A; ",
        "$B=1\n",
        "echo x > /dev/null\n",
    ];
    prop_oneof![
        prop::sample::select(words),
        prop::sample::select(lines.clone()),
        prop::sample::select(lines),
    ]
}

/// Whether a value that is told is the one that a shell came to.
fn agrees(shell: &str, dialect: Dialect, text: &str) -> Result<(), TestCaseError> {
    let told = match Fragment::parse_as(text, dialect).value("A") {
        Value::Unknown(_) => return Ok(()),
        told => told,
    };
    match run(shell, text) {
        // Then nothing is there to have a value.
        Outcome::Ended => prop_assert!(false, "{} ends: {:?}, told {:?}", shell, text, told),
        Outcome::Unset => prop_assert_eq!(told.text(), None, "{}: {:?}", shell, text),
        Outcome::Set(value) => {
            prop_assert_eq!(told.text(), Some(value.as_str()), "{}: {:?}", shell, text);
        }
    }
    Ok(())
}

/// How many fragments each shell judges; `CTDROP_SHELL_CASES` is for who looks for more.
fn cases() -> u32 {
    let asked = std::env::var("CTDROP_SHELL_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(500)
}

proptest! {
    // The same fragments each time: another seed (PROPTEST_RNG_SEED) is for who looks for more.
    #![proptest_config(ProptestConfig { cases: cases(), rng_seed: RngSeed::Fixed(5), ..ProptestConfig::default() })]

    #[test]
    fn a_value_that_is_told_is_the_shell_s(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = pieces.concat();
        agrees("/bin/bash", Dialect::Bash, &text)?;
        agrees("/bin/bash", Dialect::Sh, &text)?;
        if fs::exists("/bin/dash").is_ok_and(|there| there) {
            agrees("/bin/dash", Dialect::Sh, &text)?;
        }
    }
}
