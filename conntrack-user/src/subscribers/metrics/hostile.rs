//! Clients that behave badly.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::subscribers::metrics::{
    server::{CONNECTIONS, DEADLINE},
    shared::Shared,
    tests::{get, observing, serve, serve_shared},
};

/// How long a client waits until the server reads.
const SOON: Duration = Duration::from_secs(4);

/// A client that is answered later than this is kept out. Nothing else may take the
/// processors for so long.
const LATE: Duration = Duration::from_secs(20);

/// What a client at most gets rid of that is not read: buffers of the two sockets.
const BUFFERED: usize = 64 << 20;

/// Opens so many connections, if this process may. A connection has both its ends here.
fn allow(connections: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let wanted = (connections + 2 * CONNECTIONS as u64 + 256).min(most);
    let raised = Rlimit {
        current: Some(wanted.max(limit.current.unwrap_or(most))),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let allowed = connections.min(wanted.saturating_sub(2 * CONNECTIONS as u64 + 256));
    if allowed < connections {
        eprintln!("only {allowed} connections: ulimit -n is {most}");
    }
    allowed
}

/// A client that begins a request and does not end it; none if it was sent away before.
fn slow(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may have been closed already.
    let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
    stream
}

fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    match stream.read(&mut [0; 512]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Asks until it is told to end; gives how often, and the longest time that an answer took.
fn ask_on(address: SocketAddr, ends: &AtomicBool) -> (u64, Duration) {
    let (mut often, mut longest) = (0, Duration::ZERO);
    while !ends.load(Ordering::Relaxed) {
        for (path, end) in [
            ("/metrics", "# EOF\n"),
            ("/healthz", "ctdrop observes\n"),
            ("/readyz", "ctdrop observes\n"),
        ] {
            let begun = Instant::now();
            let answer = get(address, path);
            assert!(answer.ends_with(end), "{path}: {answer:?}");
            longest = longest.max(begun.elapsed());
            often += 1;
        }
    }
    (often, longest)
}

/// Counts on until it is told to end; gives the last count.
fn count_on(shared: &Shared, ends: &AtomicBool) -> u64 {
    let mut numbers = observing();
    while !ends.load(Ordering::Relaxed) {
        numbers.refused_elsewhere += 1;
        shared.put(&numbers);
        thread::sleep(Duration::from_millis(5));
    }
    numbers.refused_elsewhere
}

/// So many connections are opened, and stay so, while others ask and the counts go on.
fn is_served_beside(connections: u64) {
    let shared = Arc::new(Shared::default());
    shared.put(&observing());
    let (_server, address) = serve_shared(Arc::clone(&shared));
    let ends = Arc::new(AtomicBool::new(false));
    let other = thread::spawn({
        let ends = Arc::clone(&ends);
        move || ask_on(address, &ends)
    });
    let counting = thread::spawn({
        let (shared, ends) = (Arc::clone(&shared), Arc::clone(&ends));
        move || count_on(&shared, &ends)
    });
    let held: Vec<TcpStream> = (0..connections).map(|_| slow(address)).collect();
    assert!(get(address, "/metrics").contains("# EOF"));
    ends.store(true, Ordering::Relaxed);
    let (often, longest) = other.join().unwrap();
    eprintln!("{connections} connections: {often} answers to another one, in {longest:?} at most");
    assert!(longest < LATE, "{longest:?}");
    let counted = counting.join().unwrap();
    let line = format!("ctdrop_netns_refused_packets_total{{netns=\"other\"}} {counted}\n");
    let answer = get(address, "/metrics");
    assert!(answer.contains(&line), "{line}: {answer}");
    // The oldest had to go.
    assert!(is_closed(&held[0]));
}

#[test]
fn a_thousand_slow_clients_keep_nobody_out() {
    is_served_beside(allow(1000));
}

#[test]
fn ten_thousand_connections_keep_nobody_out() {
    is_served_beside(allow(10_000));
}

/// Writes a gibibyte, or as much of it as is taken.
fn pour(stream: &mut TcpStream, line: &[u8]) -> usize {
    stream.set_write_timeout(Some(SOON)).unwrap();
    let mut sent = 0;
    while sent < 1 << 30 && stream.write_all(line).is_ok() {
        sent += line.len();
    }
    sent
}

#[test]
fn a_request_of_a_gibibyte_is_not_read() {
    let (_server, address) = serve(&observing());
    // A head without an end.
    let mut head = TcpStream::connect(address).unwrap();
    head.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    let line = format!("X-Huge: {}\r\n", "x".repeat(4000));
    let sent = pour(&mut head, line.as_bytes());
    assert!(sent < BUFFERED, "{sent} bytes are taken");
    // A head of one line.
    let mut path = TcpStream::connect(address).unwrap();
    path.write_all(b"GET /").unwrap();
    let sent = pour(&mut path, &[b'x'; 4096]);
    assert!(sent < BUFFERED, "{sent} bytes are taken");
    // A body is refused before it comes.
    let mut body = TcpStream::connect(address).unwrap();
    let request = "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 1073741824\r\n\r\n";
    body.write_all(request.as_bytes()).unwrap();
    body.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = [0; 12];
    body.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405");
    let sent = pour(&mut body, &[0; 4096]);
    assert!(sent < BUFFERED, "{sent} bytes are taken");
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn the_thread_that_strangers_talk_to_has_no_capability() {
    let (_server, address) = serve(&observing());
    // It has begun once it answers.
    get(address, "/healthz");
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let status = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let servers: Vec<String> = status
        .filter(|status| status.starts_with("Name:\tmetrics-http\n"))
        .collect();
    assert!(!servers.is_empty());
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        let none = format!("\n{set}:\t0000000000000000\n");
        // Servers of other tests may not have begun.
        assert!(
            servers.iter().any(|status| status.contains(&none)),
            "{servers:?}"
        );
    }
}
