//! `cargo xtask bench daemon`.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{build, host, needs::Purpose, setup};

use super::section;

const HEAD: &str = "\
| flows | observer | refused packets/s | of a processor | most memory | written |
| --- | --- | --- | --- | --- | --- |
";

/// Measures on this machine: a storm in a network namespace.
pub(super) fn bench() -> Result<()> {
    setup::setup(Purpose::Test)?;
    ensure!(
        host::is_root()?,
        "the bench loads programs into this machine's kernel: run it as root"
    );
    let (ctdrop, tests) = build::ctdrop_and_tests()?;
    let mut command = Command::new(&tests);
    command.args(["bench", "bench_daemon", "--ctdrop"]);
    let output = command.arg(&ctdrop).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the measurement failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let rows: String = rows.flat_map(|line| [line, "\n"]).collect();
    ensure!(!rows.is_empty(), "the measurement printed no figures");
    let table = HEAD.to_owned() + &rows;
    print!("{table}");
    section::write("daemon", &table)
}
