//! Boots a guest and follows its console: to the end, or from one request to
//! the next.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{architecture::Architecture, command};
use crate::stage::console::{self, READY, Verdict};

/// How long a guest may take to power off after its verdict, or to write the
/// rest of its trace after a failure of the kernel.
const GRACE: Duration = Duration::from_secs(15);

/// What to boot.
#[derive(Debug)]
pub struct Boot {
    /// What the kernel is for.
    pub architecture: Architecture,
    /// The compressed kernel.
    pub kernel: PathBuf,
    /// The initial file system.
    pub initramfs: PathBuf,
    /// Kernel parameters, after those that every guest has.
    pub parameters: String,
    /// Options of QEMU for devices that not every guest has.
    pub devices: Vec<String>,
    /// What its clock shows.
    pub clock: Clock,
    /// Wall-clock time after which the guest is ended.
    pub limit: Duration,
}

/// What a guest's clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The time that passes here.
    Time,
    /// A nanosecond for each instruction that its one CPU executes; while that
    /// has nothing to do, the clock jumps to its next timer.
    Instructions,
}

/// What came of it.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// Every line of the console, without line ends.
    pub console: Vec<String>,
    /// Wall-clock time from start to end.
    pub took: Duration,
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It stated a verdict, and its kernel had no trouble.
    Verdict(Verdict),
    /// Its kernel broke: the line that says so.
    Trouble(String),
    /// It ended without a verdict.
    Silent,
    /// It did not end in time.
    Late,
}

/// A running guest: a QEMU process, which ends with this value or with the
/// thread that started it.
#[derive(Debug)]
pub struct Guest {
    process: Child,
    /// What the guest reads from its console.
    input: ChildStdin,
    /// What it writes there.
    lines: Receiver<String>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only if the process has ended and has been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Boot {
    /// Runs the guest to its end, with `watch` called for every console line.
    pub fn run(&self, watch: &mut dyn FnMut(&str)) -> Result<Run> {
        let start = Instant::now();
        let guest = self.start()?;
        let mut follow = Follow::new(start + self.limit);
        follow.until(&guest.lines, watch, |_| false);
        Ok(follow.into_run(start))
    }

    /// Starts the guest.
    pub fn start(&self) -> Result<Guest> {
        let mut process = self
            .command()?
            .spawn()
            .with_context(|| format!("cannot start {}", self.architecture.emulator()))?;
        let input = process.stdin.take().context("qemu has no stdin")?;
        let output = process.stdout.take().context("qemu has no stdout")?;
        Ok(Guest {
            process,
            input,
            lines: lines(output),
        })
    }

    /// The command line of QEMU. Software emulation is asked for by name: other
    /// accelerators may exist on a machine and not work. Both CPUs take turns in
    /// one thread: with a thread each, QEMU before 8.1 can translate code that
    /// the other CPU is changing, and the guest then dies of a breakpoint that the
    /// kernel has long taken out again while it attached a program
    /// (`Oops: int3` in the traced function).
    fn command(&self) -> Result<Command> {
        let console = self.architecture.console();
        let parameters = format!("console={console} quiet panic=-1 {}", self.parameters);
        let mut command = Command::new(command::find(self.architecture.emulator())?);
        command
            .args(["-accel", "tcg,thread=single", "-m", "2048"])
            .args(self.architecture.hardware())
            .args(match self.clock {
                Clock::Time => ["-smp", "2"].as_slice(),
                Clock::Instructions => &["-smp", "1", "-icount", "shift=0,sleep=off"],
            })
            .args([
                "-no-user-config",
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", &parameters])
            .args(&self.devices)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        // SAFETY: prctl is async-signal-safe and takes no memory of this process.
        unsafe { command.pre_exec(end_with_parent) };
        Ok(command)
    }
}

impl Guest {
    /// Has the guest do what `request` names and follows its console to the
    /// verdict, for `limit` at most; whatever it wrote since the last verdict
    /// is part of that.
    pub fn ask(
        &mut self,
        request: &str,
        limit: Duration,
        watch: &mut dyn FnMut(&str),
    ) -> Result<Run> {
        let start = Instant::now();
        let mut follow = Follow::new(start + limit);
        // What is sent before the guest reads may be lost.
        if follow.until(&self.lines, watch, Follow::is_ready) {
            writeln!(self.input, "{request}").context("cannot write to the guest's console")?;
            follow.until(&self.lines, watch, Follow::is_decided);
        }
        Ok(follow.into_run(start))
    }
}

impl Guest {
    /// The next line of the console, if there is one already.
    pub(super) fn console_line(&mut self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// Takes the power away: what the guest has not yet given to its disk is lost.
    pub(super) fn cut_power(&mut self) -> Result<()> {
        self.process.kill().context("cannot kill qemu")?;
        self.process.wait().context("cannot wait for qemu")?;
        Ok(())
    }

    /// Whether the machine is off.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        let status = self.process.try_wait().context("cannot wait for qemu")?;
        Ok(status.is_some())
    }
}

/// Lets the kernel end this process when the thread that started it is gone.
fn end_with_parent() -> std::io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and no pointer.
    let done = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if done == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Reads lines in a thread of its own, so that the reader can have a deadline.
/// The thread ends with the process that writes.
pub(super) fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line);
            if sender
                .send(text.trim_end_matches(['\r', '\n']).to_owned())
                .is_err()
            {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// What is known of a running guest.
struct Follow {
    /// How it ended, as far as its console says.
    end: End,
    /// The console up to now.
    console: Vec<String>,
    /// When to stop.
    deadline: Instant,
}

impl Follow {
    /// Nothing is known yet.
    fn new(deadline: Instant) -> Self {
        Self {
            end: End::Silent,
            console: Vec::new(),
            deadline,
        }
    }

    /// Follows the console until `reached` (then true), until it closes, or
    /// until the time is over.
    fn until(
        &mut self,
        lines: &Receiver<String>,
        watch: &mut dyn FnMut(&str),
        reached: impl Fn(&Self) -> bool,
    ) -> bool {
        while !reached(self) {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    watch(&line);
                    self.line(line);
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {
                    if self.end == End::Silent {
                        self.end = End::Late;
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Whether a sound guest waits for a request.
    fn is_ready(&self) -> bool {
        self.end == End::Silent && self.console.last().is_some_and(|line| line == READY)
    }

    /// Whether there is a verdict.
    fn is_decided(&self) -> bool {
        matches!(self.end, End::Verdict(_))
    }

    /// What came of it since `start`.
    fn into_run(self, start: Instant) -> Run {
        Run {
            end: self.end,
            console: self.console,
            took: start.elapsed(),
        }
    }

    /// Takes in one line. A broken kernel outweighs every verdict; of two
    /// verdicts the first counts.
    fn line(&mut self, line: String) {
        let news = if console::trouble(&line).is_some() {
            let first = !matches!(self.end, End::Trouble(_));
            first.then(|| End::Trouble(line.clone()))
        } else {
            let silent = self.end == End::Silent;
            Verdict::in_line(&line).filter(|_| silent).map(End::Verdict)
        };
        if let Some(end) = news {
            self.end = end;
            self.deadline = self.deadline.min(Instant::now() + GRACE);
        }
        self.console.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a guest with this console ended.
    fn end(console: &[&str]) -> End {
        let (sender, receiver) = mpsc::channel();
        for line in console {
            sender.send((*line).to_owned()).unwrap();
        }
        drop(sender);
        let mut follow = Follow::new(Instant::now() + Duration::from_mins(1));
        let mut watched = Vec::new();
        let mut watch = |line: &str| watched.push(line.to_owned());
        assert!(!follow.until(&receiver, &mut watch, |_| false));
        assert_eq!(watched, console);
        assert_eq!(follow.console, console);
        follow.end
    }

    #[test]
    fn the_first_verdict_counts() {
        let failed = End::Verdict(Verdict::Failed("boom".to_owned()));
        assert_eq!(
            end(&["x", "ctdrop-result: ok", "y"]),
            End::Verdict(Verdict::Ok)
        );
        assert_eq!(
            end(&["ctdrop-result: failed: boom", "ctdrop-result: ok"]),
            failed
        );
    }

    #[test]
    fn no_verdict_is_a_failure_of_its_own() {
        assert_eq!(end(&[]), End::Silent);
        assert_eq!(end(&["all is fine"]), End::Silent);
    }

    #[test]
    fn a_broken_kernel_outweighs_a_verdict() {
        let panic = "Kernel panic - not syncing: Fatal exception";
        for console in [["ctdrop-result: ok", panic], [panic, "ctdrop-result: ok"]] {
            assert_eq!(end(&console), End::Trouble(panic.to_owned()));
        }
    }

    #[test]
    fn a_guest_that_does_not_end_is_late() {
        let (_sender, receiver) = mpsc::channel();
        let mut follow = Follow::new(Instant::now() + Duration::from_millis(20));
        assert!(!follow.until(&receiver, &mut |_| {}, |_| false));
        assert_eq!(follow.end, End::Late);
    }

    #[test]
    fn a_request_goes_to_a_sound_guest_only() {
        let ready = |console: &[&str]| {
            let (sender, receiver) = mpsc::channel();
            for line in console {
                sender.send((*line).to_owned()).unwrap();
            }
            drop(sender);
            let mut follow = Follow::new(Instant::now() + Duration::from_mins(1));
            follow.until(&receiver, &mut |_| {}, Follow::is_ready)
        };
        assert!(ready(&["[    1.0] booting", READY]));
        assert!(!ready(&["Kernel panic - not syncing", READY]));
        assert!(!ready(&["ctdrop-result: failed: no /proc"]));
    }
}
