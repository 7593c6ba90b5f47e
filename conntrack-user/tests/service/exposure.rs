//! How much the unit exposes, as systemd rates it.

use std::{path::Path, process::Command};

/// The most, in tenths.
const MOST: u32 = 25;

/// It needs systemd 250.
#[test]
fn the_unit_exposes_no_more_than_is_documented() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd/ctdrop.service");
    let analysed = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(format!("--threshold={MOST}"))
        .arg(unit)
        .output();
    let Ok(analysed) = analysed else {
        eprintln!("skipped: it needs systemd-analyze");
        return;
    };
    let [out, err] = [&analysed.stdout, &analysed.stderr].map(|text| String::from_utf8_lossy(text));
    if err.contains("unrecognized option") {
        eprintln!("skipped: this systemd-analyze reads no unit that is not loaded");
        return;
    }
    assert!(out.contains("Overall exposure level"), "{out}{err}");
    assert!(analysed.status.success(), "{out}{err}");
}
