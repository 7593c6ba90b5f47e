//! A disk that is full for a while: counting goes on, and nothing of it is lost.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    net::{Counters, Flood, Lan, LanOptions},
    record::{Daemon, Database},
    stage::{Auto, Backend, Machine, Scenario, Takes, mount_small, setup, unmount},
};

/// Full, and then not.
pub static DISK: Scenario = Scenario {
    name: "disk_full",
    about: "daemon: a full disk is told, counting goes on, and all counts are written in the end",
    backends: Backend::INSIDE,
    alone: true,
    auto: Auto::No,
    once: true,
    takes: Takes::Seconds,
    run,
};

/// For how long it is full: longer than what waits in memory as it is.
const FULL: Duration = Duration::from_secs(65);

/// Bytes on that disk: twice what the evidence may take.
const ROOM: u64 = 8 << 20;

fn run(machine: &Machine) -> Result<()> {
    let lan = setup::full_lan(machine, "disk", &LanOptions::default())?;
    let place = Path::new("/run/evidence");
    fs::create_dir_all(place)?;
    mount_small("/run/evidence", ROOM)?;
    let before = Counters::read(&lan.firewall)?;
    let daemon = Daemon::start(machine, place, &["--max-size", "4MiB"])?;
    send(&lan)?;
    let filler = fill(place)?;
    let start = Instant::now();
    send(&lan)?;
    let failing = daemon.next("it cannot write", |line| line["action"] == "failing")?;
    let error = failing["error"].as_str().unwrap_or_default();
    ensure!(error.contains("full"), "{failing}");
    while start.elapsed() < FULL {
        send(&lan)?;
        thread::sleep(Duration::from_millis(500));
    }
    fs::remove_file(filler)?;
    let resumed = daemon.next("it writes again", |line| line["action"] == "resumed")?;
    ensure!(resumed["lost"] == 0, "{resumed}");
    // Nobody but the kernel decides about root; it must not matter.
    fs::set_permissions(place, std::os::unix::fs::PermissionsExt::from_mode(0o000))?;
    send(&lan)?;
    let (totals, _) = daemon.finish()?;
    let dropped = Counters::read(&lan.firewall)?.since(&before).get("drop");
    let evidence = Database::of(place)?;
    evidence.demand_integrity()?;
    let recorded = evidence.refused_in("%")?;
    ensure!(
        recorded == dropped,
        "the kernel has dropped {dropped} packets, {recorded} are recorded; in all {totals}"
    );
    let gaps = evidence.gaps()?;
    ensure!(
        gaps.len() == 1 && gaps[0].why == "not_written" && gaps[0].lost == 0,
        "{gaps:?}"
    );
    println!("{recorded} packets, {:?}", gaps[0]);
    drop(evidence);
    unmount("/run/evidence")
}

/// Packets that are refused.
fn send(lan: &Lan) -> Result<()> {
    Flood {
        flows: 100,
        packets: 300,
        ..Flood::default()
    }
    .send(lan)
    .map(drop)
}

/// Writes a file until nothing more fits.
fn fill(place: &Path) -> Result<std::path::PathBuf> {
    let path = place.join("filler");
    let mut file =
        File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    for size in [1 << 20, 1 << 12] {
        let block = vec![0_u8; size];
        while file.write_all(&block).is_ok() {}
    }
    Ok(path)
}
