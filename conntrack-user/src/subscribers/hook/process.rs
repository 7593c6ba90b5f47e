//! Runs a program, and bounds its time and its output.
//!
//! The program is the leader of a process group of its own. ctdrop signals the group only before it
//! waits for the leader: until then, no other process group can have its number.

use std::{
    io::{self, Read, Write as _},
    os::{
        fd::AsFd,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::ioctl_fionbio,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};

use crate::subscribers::{hook::command::Program, hook_outcome::End};

/// How long ctdrop waits after SIGTERM, and again after SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// How often ctdrop checks whether the program has ended.
const TICK: Duration = Duration::from_millis(50);

/// The most bytes of each output stream that are kept.
const KEPT: usize = 4 << 10;

/// The most lines of the output that are kept.
const LINES: usize = 20;

/// Variables of the service manager, which a program must not inherit.
const OURS: [&str; 7] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "JOURNAL_STREAM",
];

/// How a program ended, and its output.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) end: End,
    pub(super) took: Duration,
    pub(super) output: Vec<String>,
    pub(super) cut: u64,
}

/// Runs a program with this input until `deadline` at the latest. The deadline may become earlier
/// meanwhile. Afterwards, the remaining processes of its group are ended, too.
pub(super) fn run(program: &Program, input: &[u8], deadline: &dyn Fn() -> Instant) -> Ran {
    let began = Instant::now();
    let mut child = match start(program) {
        Ok(child) => child,
        Err(error) => {
            return Ran {
                end: End::Failed(format!("{}: {error}", program.path.display())),
                took: began.elapsed(),
                output: Vec::new(),
                cut: 0,
            };
        }
    };
    let mut streams = Streams::of(&mut child, input);
    let end = ended(&mut child, &mut streams, deadline);
    let (output, cut) = streams.said();
    Ran {
        end,
        took: began.elapsed(),
        output,
        cut,
    }
}

fn start(program: &Program) -> io::Result<Child> {
    let mut command = Command::new(&program.path);
    for name in OURS {
        command.env_remove(name);
    }
    command
        .args(&program.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// What was done to end a program, and when.
#[derive(Clone, Copy)]
enum Step {
    Waiting,
    Terminated(Instant),
    Killed(Instant),
}

/// Waits until a program has ended, and ends it after the deadline.
fn ended(child: &mut Child, streams: &mut Streams<'_>, deadline: &dyn Fn() -> Instant) -> End {
    let leader = Pid::from_child(child);
    let mut step = Step::Waiting;
    while !has_exited(leader) {
        streams.exchange();
        let now = Instant::now();
        step = match step {
            Step::Waiting if now >= deadline() => {
                signal(leader, Signal::TERM);
                Step::Terminated(now)
            }
            Step::Terminated(at) if now >= at + GRACE => {
                signal(leader, Signal::KILL);
                Step::Killed(now)
            }
            // The program waits for a device or a file system that does not answer.
            Step::Killed(at) if now >= at + GRACE => return End::Stuck,
            step => step,
        };
    }
    end_the_rest(leader, streams);
    let status = child.wait();
    match (step, status) {
        (Step::Waiting, Ok(status)) => end_of(status),
        (Step::Waiting, Err(error)) => End::Failed(error.to_string()),
        _ => End::TimedOut,
    }
}

/// Ends the processes that are left in the group of a leader that has exited.
fn end_the_rest(leader: Pid, streams: &mut Streams<'_>) {
    streams.stop_writing();
    signal(leader, Signal::TERM);
    let until = Instant::now() + GRACE;
    // While a stream is open, a process that uses it still runs.
    while streams.are_open() && Instant::now() < until {
        streams.exchange();
    }
    signal(leader, Signal::KILL);
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or(0)),
    }
}

/// Whether it has exited; it can still be waited for.
fn has_exited(leader: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // An error means that there is no such child.
    !matches!(waitid(WaitId::Pid(leader), options), Ok(None))
}

fn signal(leader: Pid, signal: Signal) {
    // Fails if the processes have ended meanwhile, or run as another user.
    let _ = kill_process_group(leader, signal);
}

/// The standard streams of a program.
struct Streams<'a> {
    input: Option<(ChildStdin, &'a [u8])>,
    outputs: [Output; 2],
}

/// An output stream, and what was read from it.
struct Output {
    stream: Option<Box<dyn Stream>>,
    kept: Vec<u8>,
    cut: u64,
}

/// What can be read and polled.
trait Stream: Read + AsFd {}
impl<T: Read + AsFd> Stream for T {}

impl<'a> Streams<'a> {
    fn of(child: &mut Child, input: &'a [u8]) -> Self {
        let stdin = child.stdin.take().filter(is_prepared);
        Self {
            input: stdin.map(|stdin| (stdin, input)),
            outputs: [
                Output::of(child.stdout.take()),
                Output::of(child.stderr.take()),
            ],
        }
    }

    fn stop_writing(&mut self) {
        self.input = None;
    }

    /// Whether anybody can still write to an output stream.
    fn are_open(&self) -> bool {
        self.outputs.iter().any(|output| output.stream.is_some())
    }

    /// Writes and reads what is possible, and waits up to [`TICK`] for that.
    fn exchange(&mut self) {
        let mut waits = Vec::with_capacity(3);
        if let Some((stdin, _)) = &self.input {
            waits.push(PollFd::new(stdin, PollFlags::OUT));
        }
        let open = self
            .outputs
            .iter()
            .filter_map(|output| output.stream.as_ref());
        waits.extend(open.map(|stream| PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)));
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(TICK.subsec_nanos()),
        };
        if waits.is_empty() || poll(&mut waits, Some(&tick)).is_err() {
            thread::sleep(TICK);
        }
        self.write();
        // A program that writes a lot is slowed down, so that it does not load the host.
        let mut is_too_much = false;
        for output in &mut self.outputs {
            is_too_much |= output.read();
        }
        if is_too_much {
            thread::sleep(TICK);
        }
    }

    fn write(&mut self) {
        let Some((stdin, rest)) = &mut self.input else {
            return;
        };
        let is_done = match stdin.write(rest) {
            Ok(written) => {
                *rest = &rest[written..];
                rest.is_empty()
            }
            // The program may have closed its standard input.
            Err(error) => !is_for_later(&error),
        };
        if is_done {
            self.input = None;
        }
    }

    /// The first lines, and how many bytes there were after them.
    fn said(self) -> (Vec<String>, u64) {
        let mut lines = Vec::new();
        let mut cut = 0;
        for output in self.outputs {
            cut += output.cut;
            let text = String::from_utf8_lossy(&output.kept);
            for line in text.lines() {
                if lines.len() < LINES {
                    lines.push(line.to_owned());
                } else {
                    cut += line.len() as u64 + 1;
                }
            }
        }
        (lines, cut)
    }
}

impl Output {
    fn of<S: Stream + 'static>(stream: Option<S>) -> Self {
        let stream = stream.filter(is_prepared);
        Self {
            stream: stream.map(|stream| Box::new(stream) as Box<dyn Stream>),
            kept: Vec::new(),
            cut: 0,
        }
    }

    /// Reads some bytes. Returns whether some of them were not kept.
    fn read(&mut self) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let mut buffer = [0; 16 << 10];
        match stream.read(&mut buffer) {
            Ok(0) => self.stream = None,
            Ok(read) => {
                let room = (KEPT - self.kept.len()).min(read);
                self.kept.extend_from_slice(&buffer[..room]);
                self.cut += (read - room) as u64;
                return read > room;
            }
            Err(error) if is_for_later(&error) => {}
            Err(_) => self.stream = None,
        }
        false
    }
}

/// Makes a stream non-blocking. If that fails, the stream is not used.
fn is_prepared(stream: &impl AsFd) -> bool {
    ioctl_fionbio(stream, true).is_ok()
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
