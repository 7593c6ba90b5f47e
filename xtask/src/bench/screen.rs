//! `cargo xtask bench screen`.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{build, cargo, host, needs::Purpose, section::Section, setup};

const HEAD: &str = "\
| program | terminal | refused packets/s | of a processor | memory |
| --- | --- | --- | --- | --- |
";

const FRAMES: &str = "\
\n| what | at 100,000 flows |
| --- | --- |
";

/// Measures on this machine: a storm in a network namespace, and frames in memory.
pub(super) fn bench() -> Result<()> {
    setup::setup(Purpose::Bench)?;
    ensure!(
        host::is_root()?,
        "the bench loads programs into this machine's kernel: run it as root"
    );
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Release)?;
    let mut command = Command::new(&tests);
    command.args(["bench", "bench_screen", "--ctdrop"]);
    let measured = rows(command.arg(&ctdrop))?;
    let mut test = cargo::cargo()?;
    test.args(["test", "--release", "--package", "conntrack-user", "--lib"])
        .args(["a_frame_costs_little", "--", "--ignored", "--nocapture"]);
    let tables = [HEAD, &measured, FRAMES, &rows(&mut test)?].concat();
    print!("{tables}");
    Section::of_bench("screen").write(&tables)
}

/// The rows of tables in what a command prints.
fn rows(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the measurement failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let rows: String = rows.flat_map(|line| [line, "\n"]).collect();
    ensure!(
        !rows.is_empty(),
        "the measurement printed no figures: {text}"
    );
    Ok(rows)
}
