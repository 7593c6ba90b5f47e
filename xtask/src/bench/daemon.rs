//! `cargo xtask bench daemon`.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{build, cargo, host, needs::Purpose, section::Section, setup};

const STORE: &str = "\
\n| evidence | intervals | read for a report |
| --- | --- | --- |
";

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
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Release)?;
    let mut command = Command::new(&tests);
    command.args(["bench", "bench_daemon", "--ctdrop"]);
    let output = command.arg(&ctdrop).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "the measurement failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tables = [HEAD, &rows(&text)?, STORE, &rows(&read()?)?].concat();
    print!("{tables}");
    Section::of_bench("daemon").write(&tables)
}

/// How long a report reads a full store, as a test that makes one tells.
fn read() -> Result<String> {
    let mut test = cargo::cargo()?;
    test.args(["test", "--release", "--package", "conntrack-user", "--lib"])
        .args(["a_full_store_is_read", "--", "--ignored", "--nocapture"]);
    let output = test.output()?;
    ensure!(
        output.status.success(),
        "the test of a full store failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rows of tables in an output.
fn rows(text: &str) -> Result<String> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let rows: String = rows.flat_map(|line| [line, "\n"]).collect();
    ensure!(!rows.is_empty(), "the measurement printed no figures");
    Ok(rows)
}
