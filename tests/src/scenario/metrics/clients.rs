//! Clients that behave badly while packets are refused: the counts stay those of the
//! kernel, memory stays bounded, and a well-behaved scrape is answered.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{
    net::{Counters, LanOptions},
    record::Daemon,
    scenario::staged::under_load,
    scrape::{self, Samples, refused_in},
    stage::{Auto, Backend, Machine, Scenario, Takes, setup},
};

/// Slow scrapes, many connections, and requests without an end.
pub static CLIENTS: Scenario = Scenario {
    name: "hostile_clients",
    about: "daemon: 1,000 slow scrapes, 10,000 connections and requests of 1 GiB change neither \
            counts nor memory",
    backends: Backend::ALL,
    alone: false,
    auto: Auto::No,
    once: true,
    takes: Takes::Minutes,
    run,
};

/// Scrapes that are slow at the same time.
const SLOW: usize = 1000;

/// How long clients stay.
const STAY: Duration = Duration::from_secs(4);

/// Bytes of a request that has no end.
const REQUEST: usize = 1 << 30;

/// The most bytes that a client can send and nobody reads: they fill the buffers of both sockets.
const BUFFERED: usize = 64 << 20;

/// How long Prometheus waits for an answer by default.
const IN_TIME: Duration = Duration::from_secs(10);

/// How much the memory of the daemon may grow, and how much it may have, in KiB.
const GROWTH: u64 = 16 << 10;
const MEMORY: u64 = 128 << 10;

fn run(machine: &Machine) -> Result<()> {
    // Software emulation takes a tenth of a second for some of them.
    let connections = if machine.guest { 2_000 } else { 10_000 };
    allow(connections)?;
    let lan = setup::full_lan(machine, "clients", &LanOptions::default())?;
    let before = Counters::read(&lan.firewall)?;
    let directory = tempfile::tempdir()?;
    let address = scrape::free_address()?;
    let listen = address.to_string();
    let daemon = Daemon::start(machine, directory.path(), &["--metrics-listen", &listen])?;
    let ends = AtomicBool::new(false);
    under_load(&lan, || {
        thread::scope(|scope| {
            let scraping = scope.spawn(|| scrape_on(address, &ends));
            let attacked = attack(address, daemon.pid(), connections);
            ends.store(true, Ordering::Relaxed);
            let scraped = scraping.join().map_err(|_| anyhow!("a thread panicked"))?;
            attacked.and(scraped)
        })
    })?;
    let dropped = Counters::read(&lan.firewall)?.since(&before).get("drop");
    ensure!(dropped > 0, "nothing was refused");
    let name = lan.firewall.name();
    counted(address, &refused_in(name), dropped)?;
    daemon.finish()?;
    let recorded = crate::record::Database::of(directory.path())?.refused_in(name)?;
    ensure!(recorded == dropped, "{recorded} of {dropped} are recorded");
    println!("{dropped} packets");
    Ok(())
}

/// Waits until the daemon has counted exactly so many.
fn counted(address: SocketAddr, series: &str, expected: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let counted = Samples::of(address)?.count(series)?;
        if counted == Some(expected) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < IN_TIME,
            "the kernel has dropped {expected}, and {counted:?} are counted"
        );
        thread::sleep(Duration::from_millis(200));
    }
}

/// Scrapes like Prometheus until it ends. Each scrape is answered in time, except one: while
/// thousands of connections wait to be accepted, the kernel has no room for another, and that
/// scrape tries again after seconds.
fn scrape_on(address: SocketAddr, ends: &AtomicBool) -> Result<()> {
    let (mut answers, mut missed, mut longest) = (0, Vec::new(), Duration::ZERO);
    while !ends.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match Samples::of(address) {
            Ok(_) if begun.elapsed() < IN_TIME => {
                longest = longest.max(begun.elapsed());
                answers += 1;
            }
            late => missed.push((answers, begun.elapsed(), late.err())),
        }
        thread::sleep(Duration::from_millis(100));
    }
    ensure!(
        answers > 5 && missed.len() <= 1,
        "{answers} answers, and {missed:?}"
    );
    println!(
        "{answers} answers, each within {:.3} s",
        longest.as_secs_f64()
    );
    Ok(())
}

/// Everything that clients do wrong.
fn attack(address: SocketAddr, daemon: i32, connections: usize) -> Result<()> {
    // By then it has the memory for the refused flows.
    thread::sleep(STAY);
    let before = most_memory(daemon)?;
    for number in [SLOW, connections] {
        let held: Vec<TcpStream> = (0..number)
            .map(|number| slow(address, number.is_multiple_of(2)))
            .collect::<Result<_>>()?;
        thread::sleep(STAY);
        drop(held);
    }
    trickle(address)?;
    for head in [
        "GET /metrics HTTP/1.1\r\n",
        "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 1073741824\r\n\r\n",
    ] {
        let sent = pour(address, head)?;
        ensure!(sent < BUFFERED, "{sent} bytes of a request were taken");
    }
    let after = most_memory(daemon)?;
    println!("{before} KiB before, {after} KiB at most");
    ensure!(
        after < before + GROWTH && after < MEMORY,
        "memory has grown from {before} KiB to {after} KiB"
    );
    Ok(())
}

/// A client that asks and reads no answer, or one that does not end its request.
fn slow(address: SocketAddr, asks: bool) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).context("the daemon takes no connections")?;
    let end = if asks { "\r\n\r\n" } else { "" };
    // It may have been closed already.
    let _ = write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: here\r\nX-Slow: 1{end}"
    );
    Ok(stream)
}

/// Clients that send a header now and then, and never the last one.
fn trickle(address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    let mut streams: Vec<TcpStream> = Vec::new();
    while begun.elapsed() < 2 * STAY {
        streams.retain_mut(|stream| stream.write_all(b"\r\nX-Slow: 1").is_ok());
        while streams.len() < 100 {
            streams.push(slow(address, false)?);
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Writes a request of a gibibyte, or as much of it as is taken.
fn pour(address: SocketAddr, head: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_write_timeout(Some(STAY))?;
    stream.write_all(head.as_bytes())?;
    let line = format!("X-Huge: {}\r\n", "x".repeat(4000));
    let mut sent = 0;
    while sent < REQUEST && stream.write_all(line.as_bytes()).is_ok() {
        sent += line.len();
    }
    Ok(sent)
}

/// The most memory that a process has had, in KiB.
fn most_memory(pid: i32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    most.with_context(|| format!("no VmHWM of {pid}: {status}"))
}

/// Lets this process hold so many connections, and those that each scenario needs.
fn allow(connections: usize) -> Result<()> {
    let wanted = u64::try_from(connections)? + 500;
    let limit = libc::rlimit {
        rlim_cur: wanted,
        rlim_max: wanted,
    };
    // SAFETY: the pointer is to a variable of this function.
    let failed = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    ensure!(failed == 0, "{wanted} files cannot be open at a time");
    Ok(())
}
