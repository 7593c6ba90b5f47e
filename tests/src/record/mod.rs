//! Runs `ctdrop daemon`, and reads what it has recorded.

mod database;

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

pub use self::database::{Database, Gap};
use crate::{
    stage::Machine,
    watch::{signal, wait},
};

/// How long it may take to start, or to say what is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

/// A daemon that observes, and records into a directory.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// What it says, line by line.
    lines: Receiver<Value>,
}

impl Daemon {
    /// Starts one, and waits until its programs are attached.
    pub fn start(machine: &Machine, directory: &Path, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(&machine.ctdrop)
            .args(["daemon", "--output", "json", "--state-dir"])
            .arg(directory)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", machine.ctdrop.display()))?;
        let output = child.stdout.take().context("the output of ctdrop")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let daemon = Self { child, lines };
        daemon.next("it observes", |line| line["type"] == "start")?;
        Ok(daemon)
    }

    /// Waits for a line, and passes over those before it.
    pub fn next(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is_it(&line) => return Ok(line),
                Ok(line) => passed.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("ctdrop did not say that {what}, but {passed:?}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("ctdrop has ended; it did not say that {what}, but {passed:?}")
                }
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Kills it in the middle of what it does.
    pub fn kill(self) -> Result<()> {
        signal(self.pid(), libc::SIGKILL)?;
        let (code, _) = wait(self.pid())?;
        ensure!(
            code == 128 + libc::SIGKILL,
            "ctdrop had ended before it was killed, with exit code {code}"
        );
        Ok(())
    }

    /// Ends it as a service manager does, and gives its totals and the most memory that
    /// it had, in bytes.
    pub fn finish(self) -> Result<(Value, u64)> {
        signal(self.pid(), libc::SIGTERM)?;
        let totals = self.next("it is at its end", |line| line["type"] == "summary")?;
        let (code, memory) = wait(self.pid())?;
        ensure!(code == 0, "ctdrop daemon ended with exit code {code}");
        Ok((totals, memory))
    }
}

/// What a command says of the evidence in a directory, line by line.
pub fn said(machine: &Machine, directory: &Path, arguments: &[&str]) -> Result<Vec<Value>> {
    let output = Command::new(&machine.ctdrop)
        .args(arguments)
        .arg("--state-dir")
        .arg(directory)
        .output()
        .with_context(|| format!("cannot run {}", machine.ctdrop.display()))?;
    ensure!(
        output.status.success(),
        "{arguments:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let lines = text.lines().map(serde_json::from_str);
    let lines: Result<_, _> = lines.collect();
    lines.with_context(|| format!("{arguments:?} said {text}"))
}
