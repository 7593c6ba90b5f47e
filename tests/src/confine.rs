//! Lets a program run with less than root has.

use std::{
    ffi::CStr,
    fs, io,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    ptr,
};

use anyhow::{Context as _, Result, ensure};
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

/// The unit of the service.
const UNIT: &str = include_str!("../../packaging/systemd/ctdrop.service");

/// What is taken from a program.
#[derive(Clone, Copy, Debug)]
pub enum Confinement {
    /// It is nobody, who owns nothing and may do nothing.
    Nobody,
    /// It is root without these capabilities.
    Without(&'static [Capability]),
    /// It runs as user `nobody` with these capabilities, a bit for each, and in a network namespace
    /// of its own: like the unit of the service ([`capabilities_of_unit`]).
    Unit(u64),
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
    DacReadSearch = 2,
    NetAdmin = 12,
    SysPtrace = 19,
    SysAdmin = 21,
    Syslog = 34,
    Perfmon = 38,
    Bpf = 39,
}

impl Capability {
    /// All that are known here.
    const ALL: [Self; 7] = [
        Self::DacReadSearch,
        Self::NetAdmin,
        Self::SysPtrace,
        Self::SysAdmin,
        Self::Syslog,
        Self::Perfmon,
        Self::Bpf,
    ];

    /// As units have it.
    const fn name(self) -> &'static str {
        match self {
            Self::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Syslog => "CAP_SYSLOG",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

/// The capabilities that the unit of the service grants, a bit for each.
pub fn capabilities_of_unit() -> Result<u64> {
    let setting = |key: &str| {
        let mut lines = UNIT.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.with_context(|| format!("the unit has no {key}"))
    };
    let bounding = setting("CapabilityBoundingSet")?;
    ensure!(
        setting("AmbientCapabilities")? == bounding,
        "a user other than root has only the ambient capabilities"
    );
    ensure!(
        setting("DynamicUser")? == "yes" && setting("PrivateNetwork")? == "yes",
        "the unit differs from what is tried here"
    );
    bounding.split_whitespace().try_fold(0, |bits, name| {
        let known = Capability::ALL.into_iter().find(|it| it.name() == name);
        let known = known.with_context(|| format!("{name} is not known here"))?;
        Ok(bits | 1 << known as u32)
    })
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
            Self::Unit(capabilities) => become_service(capabilities),
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

/// Does what systemd does for the unit, in the same order.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves of 64 bits have 32 each"
)]
fn become_service(capabilities: u64) -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3` (`include/uapi/linux/capability.h`).
    const VERSION: u32 = 0x2008_0522;
    let prctl = |option, argument: libc::c_ulong, capability: libc::c_ulong| {
        // SAFETY: these options take numbers and no pointer.
        unsafe { libc::prctl(option, argument, capability, 0, 0) }
    };
    for (resource, most) in [
        (libc::RLIMIT_MEMLOCK, libc::RLIM_INFINITY),
        (libc::RLIMIT_RTPRIO, 1),
    ] {
        let limit = libc::rlimit {
            rlim_cur: most,
            rlim_max: most,
        };
        // SAFETY: the limits outlive the call.
        succeeded(unsafe { libc::setrlimit(resource, &raw const limit) })?;
    }
    // SAFETY: `unshare` takes a number and no pointer.
    succeeded(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    let each = |wanted: bool| (0..64).filter(move |bit| (capabilities >> bit & 1 == 1) == wanted);
    for other in each(false) {
        // It fails for numbers that the kernel does not know.
        prctl(libc::PR_CAPBSET_DROP, other, 0);
    }
    succeeded(prctl(libc::PR_SET_KEEPCAPS, 1, 0))?;
    // SAFETY: no groups need no pointer.
    succeeded(unsafe { libc::setgroups(0, ptr::null()) })?;
    // SAFETY: it takes a number and no pointer.
    succeeded(unsafe { libc::setgid(NOBODY) })?;
    // SAFETY: it takes a number and no pointer.
    succeeded(unsafe { libc::setuid(NOBODY) })?;
    let header: [u32; 2] = [VERSION, 0];
    let [low, high] = [capabilities & 0xffff_ffff, capabilities >> 32].map(|half| half as u32);
    // Effective, permitted and inheritable, of the low half and of the high one.
    let sets: [u32; 6] = [low, low, low, high, high, high];
    // SAFETY: header and sets have the layout that the version has, and outlive the call.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    for one in each(true) {
        let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
        succeeded(prctl(libc::PR_CAP_AMBIENT, raise, one))?;
    }
    succeeded(prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_grants_what_is_known_here() {
        let bits = capabilities_of_unit().unwrap();
        for capability in Capability::ALL {
            assert_ne!(bits & 1 << capability as u32, 0, "{capability:?}");
        }
        assert_eq!(bits.count_ones(), 7);
    }
}
