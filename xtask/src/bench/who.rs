//! `cargo xtask bench who`.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{build, host, needs::Purpose, section::Section, setup};

/// The kernel of the virtual machine.
const KERNEL: &str = "6.12";

const HEAD: &str = "\
| where | entries | look idle | `ctdrop who` | `conntrack -L` into awk | ratio | of processor time | memory of ctdrop |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

/// Measures in a virtual machine, where the table may hold a million entries,
/// and, as root, on this machine, in as many namespaces as its limit takes.
pub(super) fn bench() -> Result<()> {
    setup::setup(Purpose::Test)?;
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Release)?;
    let measure = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(&tests);
        command.args(["bench", "bench_who", "--ctdrop"]);
        let output = command.arg(&ctdrop).args(arguments).output()?;
        ensure!(
            output.status.success(),
            "the measurement failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let rows = rows(&String::from_utf8_lossy(&output.stdout));
        ensure!(!rows.is_empty(), "the measurement printed no figures");
        Ok(rows)
    };
    let mut table = HEAD.to_owned();
    if host::is_root()? {
        eprintln!("bench: measuring on this machine");
        table += &measure(&[])?;
    } else {
        eprintln!("bench: skipping this machine: run the bench as root to measure here, too");
    }
    eprintln!("bench: measuring in a virtual machine; this takes some minutes");
    table += &measure(&["--kernel", KERNEL])?;
    print!("{table}");
    Section::of_bench("who").write(&table)
}

/// The rows of the table in what was printed.
fn rows(text: &str) -> String {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|line| [line, "\n"]).collect()
}
