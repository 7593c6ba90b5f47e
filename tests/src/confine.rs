//! Lets a program run with less than root has.

use std::{
    ffi::CStr,
    fs, io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    ptr,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// A copy of a program that everybody may run, whoever owns the original.
#[derive(Debug)]
pub struct Public {
    directory: TempDir,
}

impl Public {
    /// Copies it.
    pub fn copy(program: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("ctdrop")
            .tempdir_in("/tmp")?;
        let public = Self { directory };
        fs::copy(program, public.path())
            .with_context(|| format!("cannot copy {}", program.display()))?;
        for path in [public.directory.path(), &public.path()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(public)
    }

    /// Runs it.
    pub fn command(&self) -> Command {
        Command::new(self.path())
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("ctdrop")
    }
}

/// What is taken from a program.
#[derive(Clone, Copy, Debug)]
pub enum Confinement {
    /// It is nobody, who owns nothing and may do nothing.
    Nobody,
    /// It is root without these capabilities.
    Without(&'static [Capability]),
    /// It is root of a user namespace of its own, and nobody outside.
    UserNamespace,
    /// `bpf(2)` answers that it is not permitted, as in a container.
    FilteredBpf,
    /// `bpf(2)` and `perf_event_open(2)`, without which no program is loaded or
    /// attached, end it at once.
    KilledByBpf,
}

/// Capabilities, by their numbers in the kernel.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "capabilities(7) says what each is")]
pub enum Capability {
    SysPtrace = 19,
    SysAdmin = 21,
    Syslog = 34,
    Perfmon = 38,
    Bpf = 39,
}

const NOBODY: u32 = 65_534;

impl Confinement {
    /// Confines a command that is yet to run.
    pub fn apply(self, command: &mut Command) -> &mut Command {
        if let Self::Nobody = self {
            return command.uid(NOBODY).gid(NOBODY);
        }
        let confine = move || match self {
            Self::Nobody => Ok(()),
            Self::Without(capabilities) => drop_from_bounding_set(capabilities),
            Self::UserNamespace => enter_user_namespace(),
            Self::FilteredBpf => filter(
                [libc::SYS_bpf; 2],
                libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            ),
            Self::KilledByBpf => filter(
                [libc::SYS_bpf, libc::SYS_perf_event_open],
                libc::SECCOMP_RET_KILL_PROCESS,
            ),
        };
        // SAFETY: between fork and exec it only makes system calls, on values
        // that lie on the stack or are static.
        unsafe { command.pre_exec(confine) }
    }
}

/// What root gets from exec is limited by this set.
fn drop_from_bounding_set(capabilities: &[Capability]) -> io::Result<()> {
    for &capability in capabilities {
        // SAFETY: `PR_CAPBSET_DROP` takes a number and no pointer.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong) };
        succeeded(result)?;
    }
    Ok(())
}

fn enter_user_namespace() -> io::Result<()> {
    // SAFETY: `unshare` takes a number and no pointer.
    succeeded(unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
    write(c"/proc/self/setgroups", b"deny")?;
    write(c"/proc/self/uid_map", b"0 0 1")?;
    write(c"/proc/self/gid_map", b"0 0 1")
}

fn write(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: the path is a string that ends with NUL.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    succeeded(file)?;
    // SAFETY: the text is as long as is said.
    let written = unsafe { libc::write(file, text.as_ptr().cast(), text.len()) };
    if written < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has the kernel do something else instead of these system calls: a filter in classic
/// BPF over `struct seccomp_data`, whose first field is the number of the call.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes have 16 bits, numbers of system calls 32 and no sign"
)]
fn filter([one, other]: [libc::c_long; 2], action: u32) -> io::Result<()> {
    let statement = |code: u32, k: u32, jt: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf: 0,
        k,
    };
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, one as u32, 2),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, other as u32, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
        statement(libc::BPF_RET | libc::BPF_K, action, 0),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and its filter outlive the call.
    succeeded(unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            ptr::from_ref(&program),
        )
    })
}

fn succeeded(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
