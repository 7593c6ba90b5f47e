//! Runs `ctdrop watch` beside a flood, and reads what it says.

mod summary;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

pub use self::summary::{Fixed, Flow, Log, Namespace, Range, Sender, Summary};
use crate::stage::Machine;

/// A `ctdrop watch -o json` that has attached its programs.
#[derive(Debug)]
pub struct Watch {
    child: Child,
    output: BufReader<ChildStdout>,
    skips_runs: bool,
    /// Its first line.
    pub start: Start,
    /// Whether it had to wait for conntrack before that.
    pub waited: bool,
}

/// The first line, as far as tests read it.
#[derive(Debug, Deserialize)]
pub struct Start {
    /// The backend it uses.
    pub backend: String,
    /// When it attaches what runs for each new flow.
    pub arm: String,
    /// Whether it keeps the module loaded.
    pub pins_module: bool,
    /// What it may not see.
    pub warnings: Vec<String>,
}

/// Any line, as far as it says what has changed.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    event: Option<String>,
}

impl Watch {
    /// Starts it, and waits until its programs are attached.
    pub fn start(machine: &Machine, arguments: &[&str]) -> Result<Self> {
        Self::start_by(Command::new(&machine.ctdrop), machine, arguments)
    }

    /// The same by a command that runs ctdrop with what is added to it.
    pub fn start_by(mut command: Command, machine: &Machine, arguments: &[&str]) -> Result<Self> {
        let mut child = command
            .args(["watch", "--output", "json"])
            .args(machine.arguments())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", machine.ctdrop.display()))?;
        let output = child.stdout.take().context("the output of ctdrop")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let waited = is_event(&line);
        if waited {
            line.clear();
            output.read_line(&mut line)?;
        }
        let start: Start = serde_json::from_str(&line)
            .with_context(|| format!("ctdrop watch began with {line:?}"))?;
        ensure!(
            start.backend == machine.backend.to_string(),
            "ctdrop uses {} here, not {}: {line}",
            start.backend,
            machine.backend
        );
        Ok(Self {
            child,
            output,
            skips_runs: machine.skips_runs(),
            start,
            waited,
        })
    }

    /// Watches all flows, quietly.
    pub fn all_flows(machine: &Machine) -> Result<Self> {
        Self::start(machine, &["--quiet", "--all-flows"])
    }

    /// Waits for the next line that says what ctdrop does otherwise from now on: changes
    /// of the limit, which scenarios make themselves, are passed over. It must not be
    /// quiet.
    pub fn next_event(&mut self) -> Result<String> {
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line)?;
            let heard: Line = serde_json::from_str(&line)
                .with_context(|| format!("ctdrop watch said {line:?} instead of an event"))?;
            match heard.event {
                Some(event) if event == "limit_changed" => {}
                Some(event) => return Ok(event),
                None if heard.kind == "interval" => {}
                None => bail!("ctdrop watch ended with {line:?} instead of an event"),
            }
        }
    }

    /// Waits for the next line about a fix.
    pub fn next_fix(&mut self) -> Result<Value> {
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line)?;
            let heard: Value = serde_json::from_str(&line)
                .with_context(|| format!("ctdrop watch said {line:?} instead of a fix"))?;
            match heard["type"].as_str() {
                Some("fix") => return Ok(heard),
                Some("event" | "interval") => {}
                _ => bail!("ctdrop watch ended with {line:?} instead of a fix"),
            }
        }
    }

    /// Process number.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Ends it with a signal that it answers with its totals.
    pub fn finish(self) -> Result<Summary> {
        self.finish_with_fixes().map(|(summary, _)| summary)
    }

    /// The same, with the lines about fixes that came before the totals.
    pub fn finish_with_fixes(self) -> Result<(Summary, Vec<String>)> {
        self.finish_with_lines("fix")
    }

    /// The same, with lines of any type.
    pub fn finish_with_lines(mut self, kind: &str) -> Result<(Summary, Vec<String>)> {
        signal(self.pid(), libc::SIGINT)?;
        let mut lines = Vec::new();
        let mut last = String::new();
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            if serde_json::from_str(&line).is_ok_and(|line: Line| line.kind == kind) {
                lines.push(line.clone());
            }
            std::mem::swap(&mut last, &mut line);
            line.clear();
        }
        let (code, memory) = wait(self.pid())?;
        ensure!(code == 0, "ctdrop watch ended with exit code {code}");
        let mut summary: Summary = serde_json::from_str(&last).with_context(|| {
            let begin: String = last.chars().take(200).collect();
            format!("ctdrop watch ended with {begin:?}")
        })?;
        summary.memory = memory;
        summary.skips_runs = self.skips_runs;
        Ok((summary, lines))
    }
}

fn is_event(line: &str) -> bool {
    serde_json::from_str(line).is_ok_and(|line: Line| line.kind == "event")
}

/// Sends a signal.
pub fn signal(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: `kill` touches no memory.
    let result = unsafe { libc::kill(pid, signal) };
    if result != 0 {
        bail!(
            "cannot send signal {signal} to process {pid}: {}",
            std::io::Error::last_os_error()
        );
    }
    Ok(())
}

/// Waits for a child; its exit code (128 + signal), and the most memory it had.
pub(crate) fn wait(pid: i32) -> Result<(i32, u64)> {
    let mut status = 0;
    // SAFETY: integers only; all zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    ensure!(
        waited == pid,
        "cannot wait for process {pid}: {}",
        std::io::Error::last_os_error()
    );
    let code = if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    };
    // ru_maxrss is in KiB (getrusage(2)).
    Ok((code, usage.ru_maxrss.cast_unsigned() * 1024))
}
