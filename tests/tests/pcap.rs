//! tshark reads what `ctdrop watch --pcap` has written: the same packets, times and
//! comments. It is unpacked, not installed, and run in a directory of its own.

use std::{
    env,
    fs::File,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use ctdrop_tests::{
    capture,
    host::{Facts, Standing},
    scenario::refusal::pcap::KEEP,
    vm::unpacked,
};
use libtest_mimic::{Arguments, Trial};

const NAME: &str = "tshark_reads_a_capture";

/// What is asked of tshark for each packet.
const FIELDS: [&str; 8] = [
    "frame.time_epoch",
    "frame.len",
    "frame.cap_len",
    "frame.interface_name",
    "frame.comment",
    "frame.protocols",
    "ip.src",
    "ipv6.src",
];

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let trial = match (programs(), Facts::gather()?.standing()) {
        (None, _) => skipped("run `cargo xtask test`"),
        (_, Standing::Skipped(why)) => skipped(&why),
        (_, Standing::Broken(why)) => Trial::test(NAME, || Err(why.into())),
        (Some([ctdrop, tests]), Standing::Runs) => Trial::test(NAME, move || {
            reads_a_capture(&ctdrop, &tests).map_err(|error| format!("{error:#}").into())
        }),
    };
    Ok(libtest_mimic::run(&arguments, vec![trial]).exit_code())
}

/// ctdrop and the program of these tests, as `cargo xtask test` has built them.
fn programs() -> Option<[String; 2]> {
    let path = |name| env::var(name).ok();
    Some([path("CTDROP_BIN")?, path("CTDROP_TESTS_BIN")?])
}

fn skipped(why: &str) -> Trial {
    Trial::test(NAME, || Ok(()))
        .with_kind(format!("skipped: {why}"))
        .with_ignored_flag(true)
}

fn reads_a_capture(ctdrop: &str, tests: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("refused.pcapng");
    let mut scenario = Command::new(tests);
    scenario.args(["here", "pcap", "--ctdrop", ctdrop]);
    let output = scenario.env(KEEP, &file).output()?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let packets = capture::read(&file)?;
    let rows = by_tshark(&file)?;
    ensure!(rows.len() == packets.len(), "{} rows", rows.len());
    for (row, packet) in rows.iter().zip(&packets) {
        let fields: Vec<&str> = row.split('\t').collect();
        let source = match packet.bytes[0] >> 4 {
            4 => ["10.", ""],
            _ => ["", "fd00::"],
        };
        let length = packet.bytes.len().to_string();
        ensure!(
            fields.len() == FIELDS.len()
                && fields[0] == capture::epoch(packet.at)
                && fields[1] == length
                && fields[2] == length
                && fields[3] == "pcap-firewall"
                && fields[4] == packet.comment
                && fields[5].starts_with("raw:ip")
                && fields[6].starts_with(source[0])
                && fields[7].starts_with(source[1]),
            "tshark reads {row:?}, ctdrop has written {packet:?}"
        );
    }
    Ok(())
}

/// What tshark says of each packet, one a row.
fn by_tshark(file: &Path) -> Result<Vec<String>> {
    let tree = unpacked::provide("bookworm", "tshark")?;
    let mut tshark = Command::new("chroot");
    tshark
        .arg(tree)
        .args(["tshark", "-n", "-r", "-", "-T", "fields"]);
    for field in FIELDS {
        tshark.args(["-e", field]);
    }
    let output = tshark.stdin(File::open(file)?).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tshark: {said}");
    let rows = String::from_utf8(output.stdout).context("the output of tshark")?;
    Ok(rows.lines().map(str::to_owned).collect())
}
