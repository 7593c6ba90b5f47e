//! A daemon that runs, and what it answers.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long it may take to begin.
const BEGIN: Duration = Duration::from_mins(1);

/// A daemon that runs until it is dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    _state: TempDir,
}

impl Daemon {
    /// Starts it by `setpriv` with these arguments, as this user, and waits until it
    /// observes.
    pub(crate) fn start(setpriv: &[String], user: u32) -> Self {
        Self::start_with(setpriv, user, Path::new("/dev/null"))
    }

    /// The same with these settings.
    pub(crate) fn start_with(setpriv: &[String], user: u32, settings: &Path) -> Self {
        let state = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(state.path(), Some(user), Some(user)).unwrap();
        let address = free_address();
        let child = Command::new("setpriv")
            .args(setpriv)
            .arg(env!("CARGO_BIN_EXE_ctdrop"))
            .args(["daemon", "--config"])
            .arg(settings)
            .arg("--state-dir")
            .arg(state.path())
            .args(["--metrics-listen", &address.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self {
            child,
            address,
            _state: state,
        };
        let began = Instant::now();
        while !daemon.get("/readyz").is_ok_and(|answer| is_ok(&answer)) {
            assert!(began.elapsed() < BEGIN, "it does not observe");
            thread::sleep(Duration::from_millis(100));
        }
        daemon
    }

    /// What it answers.
    pub(crate) fn get(&self, path: &str) -> io::Result<String> {
        get(self.address, path)
    }

    /// Its metrics.
    pub(crate) fn metrics(&self) -> String {
        let answer = self.get("/metrics").unwrap();
        assert!(is_ok(&answer) && answer.ends_with("# EOF\n"), "{answer}");
        answer
    }

    /// The first sample whose line begins so.
    pub(crate) fn sample(&self, begin: &str) -> Option<String> {
        let metrics = self.metrics();
        let line = metrics.lines().find(|line| line.starts_with(begin));
        line.map(str::to_owned)
    }

    /// What the kernel says of each of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        tasks
            .map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap())
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether an answer is code 200.
pub(crate) fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 ")
}

/// What a server answers.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// A field of `/proc/PID/status`.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}: {status}")).trim()
}

/// Whether programs can be loaded; else it says that the test is skipped.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::getuid().is_root();
    if !root {
        eprintln!("skipped: it needs root to start a daemon");
    }
    root
}
