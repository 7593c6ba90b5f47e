//! A guest that boots a Debian system from a disk of its own, does what it is told,
//! and can be rebooted with that disk.

use std::{
    fs,
    io::Write as _,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use super::{
    architecture::Architecture,
    binaries::Binaries,
    disk::Disk,
    initramfs,
    qemu::{self, Boot, Clock, Guest},
    systems::System,
    tools::Tools,
};
use crate::{
    agent::{Answer, Ended, PORT, Request, Table},
    net::Entry,
    stage::{
        console,
        places::{DISK, FILES},
    },
};

/// Wall-clock time that a boot, a shutdown or a program may take: a guard against
/// what hangs, ample for the slowest on a busy machine.
const LIMIT: Duration = Duration::from_mins(5);

/// Units that a guest does without. Under software emulation each costs as much as
/// everything that the stories are about; none of them sets a limit or loads
/// conntrack. Timers would start whatever is due in the middle of a story.
const MASKED: [&str; 14] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "e2scrub_reap.service",
    "getty.target",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "systemd-random-seed.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "timers.target",
];

/// Seconds until the kernel takes a processor for stuck: on a busy machine one may
/// get no time for as long as the defaults, 20 and 21. What hangs meets [`LIMIT`].
const PATIENCE: &str = "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120";

/// A file to be put onto a disk: its absolute path and its text.
pub type File = (&'static str, &'static str);

/// The same for a file that is no text, or is not known before.
pub type Content = (String, Vec<u8>);

/// How often a waiting host looks at the console.
const GLANCE: Duration = Duration::from_millis(100);

/// A running system, and the disk that its reboots keep.
#[derive(Debug)]
pub struct DiskGuest {
    /// What it boots the next time.
    boot: Boot,
    /// The disk, and the socket of the port.
    place: TempDir,
    /// The machine that runs now.
    guest: Guest,
    /// The agent in it.
    port: Port,
    /// The consoles of all its boots, with what was asked in between.
    transcript: Vec<String>,
    /// What systemd said of the last boot.
    state: String,
}

/// The host's end of the agent's port.
#[derive(Debug)]
struct Port {
    /// What the agent reads.
    requests: UnixStream,
    /// What it says.
    answers: Receiver<String>,
}

impl DiskGuest {
    /// Starts a system with a new copy of its disk, onto which `files` are put
    /// before anything there runs.
    pub(super) fn start(system: &System, binaries: &Binaries, files: &[Content]) -> Result<Self> {
        let binaries = &binaries.of(Architecture::HERE)?;
        let disk = Disk::provide(system)?;
        let place = tempfile::Builder::new().prefix("ctdrop-vm-").tempdir()?;
        let paths =
            ["disk.ext4", "first.cpio", "initramfs.cpio"].map(|name| place.path().join(name));
        let [copy, first, later] = paths;
        disk.copy(&copy)?;
        let inside = |(path, content)| (format!("{FILES}{path}"), content);
        let contents = files
            .iter()
            .map(|(path, content)| (path, content.as_slice()));
        let inside: Vec<_> = contents.map(inside).collect();
        initramfs::write(&disk.base(), binaries, &Tools::default(), &inside, &first)?;
        initramfs::write(&disk.base(), binaries, &Tools::default(), &[], &later)?;
        let mut boot = Boot {
            architecture: Architecture::HERE,
            kernel: disk.kernel(),
            initramfs: first,
            parameters: format!(
                "{}=/dev/vda systemd.unit=multi-user.target systemd.show_status=yes {PATIENCE} {}",
                DISK,
                MASKED.map(|unit| format!("systemd.mask={unit}")).join(" ")
            ),
            devices: devices(&copy, &socket(&place)),
            clock: Clock::Time,
            limit: LIMIT,
        };
        let (guest, port) = start(&boot, &place)?;
        // It has the files, and must not get them again.
        boot.initramfs = later;
        Ok(Self {
            boot,
            place,
            guest,
            port,
            transcript: Vec::new(),
            state: String::new(),
        })
    }

    /// Runs a program to its end, whatever its exit code; it is found in PATH, as
    /// ctdrop is. It must not leave a process behind that keeps its stdout open: such
    /// a one is for `systemd-run`.
    pub fn run<'a>(&mut self, command: impl IntoIterator<Item = &'a str>) -> Result<Ended> {
        self.run_with(command, "")
    }

    /// Runs a program that reads `input`.
    pub fn run_with<'a>(
        &mut self,
        command: impl IntoIterator<Item = &'a str>,
        input: &str,
    ) -> Result<Ended> {
        let request = Request::Run {
            command: command.into_iter().map(str::to_owned).collect(),
            input: input.to_owned(),
        };
        match self.ask(&request)? {
            Answer::Ended(ended) => Ok(ended),
            other => bail!("unexpected {other:?}"),
        }
    }

    /// Runs a program that must succeed and returns what it wrote to stdout.
    pub fn succeed<'a>(&mut self, command: impl IntoIterator<Item = &'a str>) -> Result<String> {
        let command: Vec<_> = command.into_iter().collect();
        let ended = self.run(command.iter().copied())?;
        ensure!(
            ended.code == Some(0),
            "{command:?} ended with {:?}: {}",
            ended.code,
            ended.stderr.trim()
        );
        Ok(ended.stdout)
    }

    /// Makes a file, or replaces its content; the directories above it, too.
    pub fn write(&mut self, path: &str, content: &str) -> Result<()> {
        let request = Request::Write {
            path: path.to_owned(),
            content: content.into(),
        };
        match self.ask(&request)? {
            Answer::Written => Ok(()),
            other => bail!("{path}: {other:?}"),
        }
    }

    /// What a file holds.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        let path = path.to_owned();
        match self.ask(&Request::Read { path })? {
            Answer::Content(content) => Ok(content),
            other => bail!("unexpected {other:?}"),
        }
    }

    /// Makes a firewall in a network namespace of the guest, with a table that is
    /// full by the limit in force; it is there until [`Self::forget_table`] or the
    /// next boot.
    pub fn fill_table(&mut self) -> Result<Table> {
        self.table(&Request::FillTable)
    }

    /// Makes a network namespace with these entries in its table, until the next boot.
    pub fn track(&mut self, netns: &str, entries: Vec<Entry>) -> Result<()> {
        let netns = netns.to_owned();
        match self.ask(&Request::Track { netns, entries })? {
            Answer::Tracked => Ok(()),
            other => bail!("unexpected {other:?}"),
        }
    }

    /// Sends through that firewall one packet of each of `flows` new flows; returns
    /// when all have been judged.
    pub fn flood(&mut self, flows: u32) -> Result<Table> {
        self.table(&Request::Flood { flows })
    }

    /// Takes that firewall away, so that nothing in it needs conntrack any more.
    pub fn forget_table(&mut self) -> Result<()> {
        match self.ask(&Request::ForgetTable)? {
            Answer::Forgotten => Ok(()),
            other => bail!("unexpected {other:?}"),
        }
    }

    /// Has something done with the firewall.
    fn table(&mut self, request: &Request) -> Result<Table> {
        match self.ask(request)? {
            Answer::Table(table) => Ok(table),
            other => bail!("unexpected {other:?}"),
        }
    }

    /// What `systemctl is-system-running` said when the last boot was over, such as
    /// `running` or `degraded`.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Shuts the system down as `systemctl reboot` does, and boots it again from
    /// the same disk; returns when all is started.
    pub fn reboot(&mut self) -> Result<()> {
        self.transcript.push("host: reboot".to_owned());
        // The answer may get lost in the shutdown.
        self.send(&Request::Run {
            command: ["systemctl", "reboot"].map(str::to_owned).to_vec(),
            input: String::new(),
        })?;
        let deadline = Instant::now() + LIMIT;
        while !self.guest.has_ended()? {
            self.take_console()?;
            ensure!(
                Instant::now() < deadline,
                "no end of the shutdown within {} s",
                LIMIT.as_secs()
            );
            thread::sleep(GLANCE);
        }
        self.take_console()?;
        (self.guest, self.port) = start(&self.boot, &self.place)?;
        self.await_boot()
    }

    /// Takes the power away in the middle of whatever runs, and boots again from the
    /// same disk; returns when all is started.
    pub fn cut_power(&mut self) -> Result<()> {
        self.transcript.push("host: the power is cut".to_owned());
        self.guest.cut_power()?;
        self.take_console()?;
        (self.guest, self.port) = start(&self.boot, &self.place)?;
        self.await_boot()
    }

    /// The consoles of all boots, with what was asked in between.
    pub fn into_transcript(mut self) -> Vec<String> {
        // What can be wrong with the console has been said, or does not matter now.
        let _ = self.take_console();
        std::mem::take(&mut self.transcript)
    }

    /// Waits until the agent says that the system has started.
    pub(super) fn await_boot(&mut self) -> Result<()> {
        let start = Instant::now();
        match self.answer().context("the system did not boot")? {
            Answer::Ready { state } => self.state = state,
            other => bail!("unexpected {other:?}"),
        }
        let took = start.elapsed().as_secs_f64();
        let line = format!("host: {} after {took:.1} s", self.state);
        self.transcript.push(line);
        Ok(())
    }

    /// Has the agent do something and returns what it says to that.
    fn ask(&mut self, request: &Request) -> Result<Answer> {
        self.transcript.push(format!("host: {request:?}"));
        self.send(request)?;
        let answer = self.answer().with_context(|| format!("{request:?}"))?;
        self.take_console()?;
        self.transcript.push(format!("guest: {answer:?}"));
        match answer {
            Answer::Failed(reason) => Err(anyhow!("in the guest: {reason}")),
            answer => Ok(answer),
        }
    }

    /// Sends the agent a request.
    fn send(&mut self, request: &Request) -> Result<()> {
        let mut line = serde_json::to_vec(request).context("cannot encode a request")?;
        line.push(b'\n');
        let sent = self.port.requests.write_all(&line);
        sent.context("cannot write to the agent's port")
    }

    /// Waits for what the agent says next.
    fn answer(&mut self) -> Result<Answer> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.port.answers.recv_timeout(GLANCE) {
                Ok(line) => {
                    return serde_json::from_str(&line)
                        .with_context(|| format!("not an answer of the agent: {line}"));
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the machine has ended"),
                Err(RecvTimeoutError::Timeout) => self.take_console()?,
            }
            let limit = LIMIT.as_secs();
            ensure!(Instant::now() < deadline, "no answer within {limit} s");
        }
    }

    /// Takes in what the console has; an error if the kernel broke.
    fn take_console(&mut self) -> Result<()> {
        let mut trouble = None;
        while let Some(line) = self.guest.console_line() {
            if console::trouble(&line).is_some() {
                trouble.get_or_insert_with(|| line.clone());
            }
            self.transcript.push(line);
        }
        match trouble {
            None => Ok(()),
            Some(line) => Err(anyhow!("the guest's kernel broke: {line}")),
        }
    }
}

/// Where the agent's port comes out.
fn socket(place: &TempDir) -> PathBuf {
    place.path().join("agent.socket")
}

/// The options of QEMU for disk and port. What the guest flushes need not reach the
/// host's disk: the copy ends with the trial.
fn devices(disk: &Path, socket: &Path) -> Vec<String> {
    let drive = format!("if=virtio,format=raw,cache=unsafe,file={}", disk.display());
    let chardev = format!("socket,id=agent,path={}", socket.display());
    let port = format!("virtserialport,chardev=agent,name={PORT}");
    let pairs = [
        ("-drive", drive),
        ("-device", "virtio-serial-pci".to_owned()),
        ("-chardev", chardev),
        ("-device", port),
    ];
    let options = pairs.into_iter();
    options
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect()
}

/// Starts a machine and waits until it has its port.
fn start(boot: &Boot, place: &TempDir) -> Result<(Guest, Port)> {
    let path = socket(place);
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("cannot listen at {}", path.display()))?;
    listener.set_nonblocking(true)?;
    let mut guest = boot.start()?;
    let requests = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(!guest.has_ended()?, "the emulator ended at its start");
                thread::sleep(GLANCE);
            }
            Err(error) => return Err(error).context("cannot accept the agent's port"),
        }
    };
    requests.set_nonblocking(false)?;
    let answers = qemu::lines(requests.try_clone()?);
    Ok((guest, Port { requests, answers }))
}
