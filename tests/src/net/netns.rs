//! A named network namespace that lives as long as its value.

use std::{
    fs::{self, File},
    io::{self, Seek as _, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    path::PathBuf,
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};

/// A network namespace made by `ip netns add`, deleted when dropped; or that of the
/// host, which stays.
#[derive(Debug)]
pub struct Netns {
    /// The name that `ip netns` knows it by.
    name: String,
    /// The open namespace: valid even if somebody deletes the name.
    handle: File,
    /// Whether it was made here.
    made: bool,
}

impl Netns {
    /// That of the host, in a guest.
    pub fn of_host() -> Result<Self> {
        let path = "/proc/1/ns/net";
        let handle = File::open(path).with_context(|| format!("cannot open {path}"))?;
        Ok(Self {
            name: "host".to_owned(),
            handle,
            made: false,
        })
    }

    /// Makes the namespace `name` and brings its loopback device up.
    pub fn create(name: &str) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", name]))?;
        let path = path(name);
        let handle = File::open(&path).with_context(|| {
            format!(
                "cannot open the namespace {}; is /run mounted?",
                path.display()
            )
        })?;
        let netns = Self {
            name: name.to_owned(),
            handle,
            made: true,
        };
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The name that `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode number by which the kernel and `ctdrop` name it.
    pub fn inode(&self) -> Result<u64> {
        let metadata = self.handle.metadata();
        Ok(metadata
            .with_context(|| format!("cannot read the inode of namespace {}", self.name))?
            .ino())
    }

    /// Runs `work` inside, on a thread of its own: `setns` changes the thread
    /// that calls it for good.
    ///
    /// Sockets that `work` returns stay in the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let enter_and_work = || {
            enter(&self.handle).with_context(|| format!("cannot enter namespace {}", self.name))?;
            work()
        };
        thread::scope(|scope| scope.spawn(enter_and_work).join())
            .map_err(|_| anyhow!("the work in namespace {} panicked", self.name))?
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let handle = self.handle.as_raw_fd();
        let mut command = Command::new(program);
        // SAFETY: between fork and exec the closure makes one system call and
        // touches no memory; `handle` is inherited because fork copies it.
        unsafe {
            command.pre_exec(move || set_netns(handle));
        }
        command
    }

    /// Runs the commands of `ip` in `lines` inside, up to the first that fails.
    pub fn ip(&self, lines: &str) -> Result<()> {
        run_with_input(self.command("ip").args(["-batch", "-"]), lines)
    }

    /// Loads an nftables `ruleset` inside, as one transaction.
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        run_with_input(self.command("nft").args(["-f", "-"]), ruleset)
    }

    /// The value of a sysctl inside, `net.ipv4.ip_forward` for example.
    pub fn sysctl(&self, name: &str) -> Result<String> {
        self.run(|| {
            let path = sysctl_path(name);
            let value = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok(value.trim().to_owned())
        })
    }

    /// Sets a sysctl inside; those of conntrack's limit are read-only here.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.run(|| {
            let path = sysctl_path(name);
            fs::write(&path, value)
                .with_context(|| format!("cannot write {value} to {}", path.display()))
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.made {
            return;
        }
        if let Err(error) = run(Command::new("ip").args(["netns", "delete", &self.name])) {
            eprintln!("cannot delete namespace {}: {error:#}", self.name);
        }
    }
}

/// Where `ip netns add` binds a namespace, whichever way it was compiled.
fn path(name: &str) -> PathBuf {
    let path = PathBuf::from("/run/netns").join(name);
    if path.exists() {
        return path;
    }
    PathBuf::from("/var/run/netns").join(name)
}

/// The file of a sysctl: names without dots inside a component only.
fn sysctl_path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace('.', "/"))
}

/// Moves the calling thread into `handle`.
fn enter(handle: &File) -> io::Result<()> {
    set_netns(handle.as_raw_fd())
}

/// Moves the calling thread into the namespace behind a descriptor.
fn set_netns(handle: i32) -> io::Result<()> {
    // SAFETY: setns takes two integers; a bad descriptor gives EBADF.
    let result = unsafe { libc::setns(handle, libc::CLONE_NEWNET) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Runs a command to its end, with `input` to read.
fn run_with_input(command: &mut Command, input: &str) -> Result<()> {
    let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
    file.write_all(input.as_bytes())?;
    file.rewind()?;
    run(command.stdin(file)).with_context(|| format!("its input was:\n{input}"))
}

/// Runs a command to its end; its standard error becomes the message.
fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}; is the program installed?"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
