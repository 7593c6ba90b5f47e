//! Clients that behave badly cost neither memory nor intervals.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::daemon::{Daemon, field, is_ok, is_root};

/// Kibibytes by which the memory of the daemon may grow.
const GROWTH: u64 = 16 << 10;

/// Raises how many connections this process may hold; gives how many of those that are
/// wanted it may.
fn allow(connections: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let most = limit.maximum.unwrap_or(u64::MAX).saturating_sub(100);
    if most < connections {
        eprintln!("only {most} connections: so says ulimit -n");
    }
    connections.min(most)
}

/// A request that begins, and does not end.
fn slow(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may have been closed already.
    let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
    stream
}

/// Writes a gibibyte, or as much of it as is taken.
fn pour(address: SocketAddr, head: &str) -> u64 {
    let mut stream = TcpStream::connect(address).unwrap();
    let timeout = Some(Duration::from_secs(4));
    stream.set_write_timeout(timeout).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let line = format!("X-Huge: {}\r\n", "x".repeat(4000));
    let mut sent = 0;
    while sent < 1 << 30 && stream.write_all(line.as_bytes()).is_ok() {
        sent += line.len() as u64;
    }
    sent
}

/// The most memory that a daemon has taken, in kibibytes.
fn most_memory(daemon: &Daemon) -> u64 {
    let threads = daemon.threads();
    let most = field(&threads[0], "VmHWM");
    most.trim_end_matches(" kB").parse().unwrap()
}

/// Waits until it counts another interval.
fn wait_for_interval(daemon: &Daemon) {
    let last = || daemon.sample("ctdrop_last_interval_timestamp_seconds ");
    let (before, began) = (last(), Instant::now());
    while last().is_none() || last() == before {
        assert!(began.elapsed() < Duration::from_secs(20), "none is counted");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn its_memory_is_bounded_and_it_counts_on() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start(&["--no-new-privs".to_owned()], 0);
    wait_for_interval(&daemon);
    let before = most_memory(&daemon);
    let mut held = Vec::new();
    for connections in [1000, 10_000] {
        held.clear();
        held.extend((0..allow(connections)).map(|_| slow(daemon.address)));
        daemon.metrics();
        wait_for_interval(&daemon);
    }
    for head in [
        "GET /metrics HTTP/1.1\r\n",
        "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 1073741824\r\n\r\n",
    ] {
        let sent = pour(daemon.address, head);
        assert!(sent < 64 << 20, "{sent} bytes are taken");
    }
    wait_for_interval(&daemon);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert!(is_ok(&daemon.get(path).unwrap()), "{path}");
    }
    let after = most_memory(&daemon);
    eprintln!("{before} kB before, {after} kB at most");
    assert!(
        after < before + GROWTH,
        "{before} kB before, {after} kB after"
    );
}
