//! `cargo xtask bench fix`.

use std::{fmt::Write as _, process::Command};

use anyhow::Result;

use super::figures::Figures;
use crate::{build, needs::Purpose, section::Section, setup};

/// The kernel of the virtual machine.
const KERNEL: &str = "6.12";

/// The backend that it reaches there.
const BACKEND: &str = "fexit";

/// The 99th percentile of the time that may pass, in milliseconds.
const AIM: f64 = 50.0;

/// Measures in a virtual machine, whose limit may be changed.
pub(super) fn bench() -> Result<()> {
    setup::setup(Purpose::Test)?;
    let (ctdrop, tests) = build::ctdrop_and_tests(build::Profile::Release)?;
    eprintln!("bench: measuring in a virtual machine; this takes some minutes");
    let mut command = Command::new(&tests);
    command.args(["bench", "bench_fix", "--kernel", KERNEL, "--ctdrop"]);
    let text = table(&Figures::of(command.arg(&ctdrop))?)?;
    print!("{text}");
    Section::of_bench("fix").write(&text)
}

fn table(figures: &Figures) -> Result<String> {
    let mut text = "\
| what | half of the runs | 99 of 100 | most |
| --- | --- | --- | --- |
"
    .to_owned();
    let rows = [
        (
            "first refused packet to raised limit, ms",
            "first_refused_to_raised_ms",
            1,
        ),
        ("packets lost until the limit was raised", "lost_packets", 0),
        ("packets sent each second", "sent_per_second", 0),
    ];
    for (name, what, digits) in rows {
        let figure = |share: &str| figures.get(&format!("{what}_{share}"), BACKEND);
        let (half, p99, most) = (figure("p50")?, figure("p99")?, figure("most")?);
        let _ = writeln!(
            text,
            "| {name} | {half:.digits$} | {p99:.digits$} | {most:.digits$} |"
        );
    }
    let p99 = figures.get("first_refused_to_raised_ms_p99", BACKEND)?;
    let met = if p99 <= AIM {
        "met".to_owned()
    } else {
        format!("missed by {:.1} ms", p99 - AIM)
    };
    let _ = writeln!(text, "\nAim: 99 of 100 within {AIM} ms: {met}.");
    Ok(text)
}
