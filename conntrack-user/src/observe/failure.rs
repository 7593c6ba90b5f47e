//! Why a backend cannot be used: at which step it failed, and for what cause.
//!
//! A failure is made where it arises, and says only what is known there. What stands
//! in the way, and what to do about it, is decided later, from the failure and the
//! surroundings ([`crate::observe::survey`]).

use std::{error::Error, fmt, io};

use aya::programs::ProgramError;

use crate::{kernel::surroundings::Kprobes, observe::obstacle::Obstacle};

/// A step of making a backend work that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadFailure {
    /// What was being done.
    pub step: Step,
    /// What was in the way.
    pub cause: Cause,
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Looking for conntrack in the kernel.
    FindConntrack,
    /// Reading the kernel's symbols.
    ReadSymbols,
    /// Reading the type information (BTF) of the kernel and of the conntrack module.
    ReadBtf,
    /// Finding the fields of the kernel's structures that the programs read.
    FindFields,
    /// Creating the maps.
    CreateMaps,
    /// Looking for what programs are attached to: kernel functions, a tracepoint.
    FindTargets,
    /// Opening the type information of the conntrack module by `bpf(2)`.
    OpenModuleBtf,
    /// Loading a program.
    LoadProgram(&'static str),
    /// Attaching a program.
    AttachProgram {
        /// The program.
        program: &'static str,
        /// The function or tracepoint.
        target: &'static str,
    },
    /// Reading conntrack's counters.
    ReadCounters,
    /// Nothing was tried: what can be read without loading a program says that the
    /// backend would not work.
    Expect,
}

/// What was in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Conntrack is neither built in nor loaded.
    ConntrackNotLoaded,
    /// The kernel shows no type information.
    NoBtf,
    /// The kernel shows no type information of the conntrack module.
    NoModuleBtf,
    /// The kernel shows none of it, but some of a module that it needs.
    ModuleBtfLeftOut,
    /// The kernel shows some that cannot be used, for this reason.
    BadModuleBtf(String),
    /// The type information lacks these fields.
    NoFields(Vec<String>),
    /// The kernel has no such function.
    NoFunction(&'static str),
    /// The kernel has the function, and its type information does not.
    NoFunctionType(&'static str),
    /// The compiler has made a variant of the function, whose arguments may be
    /// others.
    FunctionChanged {
        /// Its name in the source.
        function: &'static str,
        /// Its symbol.
        variant: String,
    },
    /// The compiler has made another function of this one besides, which some callers
    /// may call instead.
    FunctionPassedBy {
        /// Its name in the source.
        function: &'static str,
        /// The symbol of the other.
        detour: String,
    },
    /// A function or tracepoint passes other arguments than the programs read, or
    /// the function returns something else.
    PrototypeChanged {
        /// Which one, as `function early_drop`.
        hook: String,
        /// What it has, as `has 3 parameters`.
        found: String,
        /// What was expected, as `2`.
        expected: String,
    },
    /// The kernel has no such tracepoint.
    NoTracepoint(&'static str),
    /// The tracepoint does not give the reason of a drop (before 5.18).
    NoDropReason,
    /// The type information does not say where the counter `drop` is.
    NoDropCounter,
    /// Kprobes are not built in, or switched off.
    Kprobes(Kprobes),
    /// The kernel has no files with conntrack's counters.
    NoCounters,
    /// A system call failed.
    Errno(i32),
    /// The verifier rejected the program.
    Rejected {
        /// What `bpf(2)` returned.
        errno: i32,
        /// The last lines of the verifier's log.
        log: String,
    },
    /// Told from what can be read: see [`Step::Expect`].
    Expected(Vec<Obstacle>),
    /// Anything else, in words.
    Other(String),
}

impl LoadFailure {
    /// A step that failed for this cause.
    pub const fn new(step: Step, cause: Cause) -> Self {
        Self { step, cause }
    }

    /// A step that failed with this error: a system call's, if one is behind it.
    pub fn of(step: Step, error: &anyhow::Error) -> Self {
        Self::new(step, Cause::of(error))
    }

    /// What the kernel answered, if it was asked.
    pub const fn errno(&self) -> Option<i32> {
        match self.cause {
            Cause::Errno(errno) | Cause::Rejected { errno, .. } => Some(errno),
            _ => None,
        }
    }
}

impl Cause {
    /// What is behind an error.
    pub fn of(error: &anyhow::Error) -> Self {
        let errno =
            |cause: &(dyn Error + 'static)| cause.downcast_ref::<io::Error>()?.raw_os_error();
        error
            .chain()
            .find_map(errno)
            .map_or_else(|| Self::Other(one_line(&format!("{error:#}"))), Self::Errno)
    }

    /// The kernel did not take a program. Without a log it never came to the verifier.
    pub(crate) fn refused(error: io::Error, log: &str) -> Self {
        /// Lines of the log that are kept: its end says why.
        const KEPT: usize = 8;
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(KEPT)..].join("\n");
        match Self::from(error) {
            Self::Errno(errno) if !end.is_empty() => Self::Rejected { errno, log: end },
            cause => cause,
        }
    }
}

/// What is behind an error of aya, whose text may have the whole log of the verifier.
impl From<ProgramError> for Cause {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError {
                io_error,
                verifier_log,
            } => Self::refused(io_error, &verifier_log.to_string()),
            error => Self::of(&error.into()),
        }
    }
}

/// The lines of a text as one.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

impl fmt::Display for LoadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step;
        match &self.cause {
            Cause::ConntrackNotLoaded => f.write_str(
                "conntrack is not loaded, so no packet is refused: load it (modprobe \
                 nf_conntrack), or add the firewall or NAT rule that needs it",
            ),
            Cause::NoBtf => f.write_str(
                "the kernel has no type information (/sys/kernel/btf/vmlinux): it must be built \
                 with CONFIG_DEBUG_INFO_BTF=y, and sysfs mounted on /sys",
            ),
            Cause::NoModuleBtf => f.write_str(
                "module nf_conntrack has no type information: modules have it since Linux 5.11, \
                 if the kernel is built with CONFIG_DEBUG_INFO_BTF_MODULES=y",
            ),
            Cause::ModuleBtfLeftOut => f.write_str(
                "module nf_conntrack has no type information though other modules have: it was \
                 stripped, or is of another build than the kernel, which then refuses its types; \
                 install the modules of this kernel again and load them",
            ),
            Cause::BadModuleBtf(why) => write!(
                f,
                "the type information of module nf_conntrack cannot be used ({why}): install the \
                 modules of this kernel again and load them"
            ),
            Cause::NoFields(fields) => write!(
                f,
                "this kernel's type information lacks {}, so ctdrop cannot read its packets: \
                 please report the kernel's release",
                fields.join(", ")
            ),
            Cause::NoFunction(function) => write!(
                f,
                "the kernel has no function {function}: the compiler has inlined it or left it out"
            ),
            Cause::NoFunctionType(function) => write!(
                f,
                "the kernel's type information has no function {function}"
            ),
            Cause::FunctionChanged { function, variant } => write!(
                f,
                "the compiler has changed the kernel's function {function} to {variant}, whose \
                 arguments may differ"
            ),
            Cause::FunctionPassedBy { function, detour } => write!(
                f,
                "the compiler has made {detour} of the kernel's function {function}, so that some \
                 calls pass it by"
            ),
            Cause::PrototypeChanged {
                hook,
                found,
                expected,
            } => write!(
                f,
                "this kernel's {hook} {found}, and ctdrop expects {expected}"
            ),
            Cause::NoTracepoint(tracepoint) => {
                write!(f, "the kernel has no tracepoint {tracepoint}")
            }
            Cause::NoDropReason => f.write_str(
                "this kernel does not give the reason of a dropped packet: Linux 5.18 and later do",
            ),
            Cause::NoDropCounter => f.write_str(
                "this kernel's type information does not say where conntrack's counter `drop` is, \
                 so a refused packet cannot be told from one that a rule dropped: please report \
                 the kernel's release",
            ),
            Cause::Kprobes(Kprobes::Off) => f.write_str("kprobes are switched off"),
            Cause::Kprobes(_) => f.write_str("the kernel has no kprobes"),
            Cause::NoCounters => f.write_str(
                "conntrack's counters cannot be read (/proc/net/stat/nf_conntrack): the kernel \
                 must be built with CONFIG_NF_CONNTRACK_PROCFS=y",
            ),
            &Cause::Errno(errno) => write!(f, "{step}: {}", answer(errno)),
            &Cause::Rejected { errno, .. } => {
                write!(f, "{step}: the verifier rejects it: {}", answer(errno))
            }
            Cause::Expected(_) => f.write_str("not tried: it would not work"),
            Cause::Other(text) => write!(f, "{step}: {text}"),
        }
    }
}

impl Error for LoadFailure {}

/// The kernel's own number for what it does not support, which the C library does not know
/// (`ENOTSUPP`, `include/linux/errno.h`).
const NOT_SUPPORTED: i32 = 524;

/// What the kernel answered, in words.
fn answer(errno: i32) -> String {
    if errno == NOT_SUPPORTED {
        return format!("the kernel does not support it (os error {errno})");
    }
    io::Error::from_raw_os_error(errno).to_string()
}

/// That it failed.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FindConntrack => f.write_str("cannot tell whether conntrack is loaded"),
            Self::ReadSymbols => f.write_str("cannot read the kernel's symbols (/proc/kallsyms)"),
            Self::ReadBtf => {
                f.write_str("cannot read the kernel's type information (/sys/kernel/btf)")
            }
            Self::FindFields => f.write_str("cannot find the fields of the kernel's structures"),
            Self::CreateMaps => f.write_str("cannot create the eBPF maps"),
            Self::FindTargets => f.write_str("cannot find what to attach eBPF programs to"),
            Self::OpenModuleBtf => {
                f.write_str("cannot open the type information of module nf_conntrack")
            }
            Self::LoadProgram(program) => write!(f, "cannot load eBPF program {program}"),
            Self::AttachProgram { program, target } => {
                write!(f, "cannot attach eBPF program {program} to {target}")
            }
            Self::ReadCounters => f.write_str("cannot read conntrack's counters"),
            Self::Expect => f.write_str("not tried"),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        error
            .raw_os_error()
            .map_or_else(|| Self::Other(error.to_string()), Self::Errno)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};
    use aya_obj::VerifierLog;

    use super::*;

    #[test]
    fn an_error_keeps_what_the_kernel_answered() {
        let answer = io::Error::from_raw_os_error(libc::EPERM);
        let error = Err::<(), _>(answer)
            .context("cannot load")
            .context("backend")
            .unwrap_err();
        let failure = LoadFailure::of(Step::CreateMaps, &error);
        assert_eq!(failure.errno(), Some(libc::EPERM));
        let failure = LoadFailure::of(Step::CreateMaps, &anyhow!("no").context("why"));
        assert_eq!(failure.cause, Cause::Other("why: no".to_owned()));
        assert_eq!(failure.errno(), None);
    }

    #[test]
    fn a_failure_is_one_line_however_long_the_verifiers_log_is() {
        let log: Vec<String> = (0..170).map(|line| format!("{line}: R1_w=0")).collect();
        let rejected = ProgramError::LoadError {
            io_error: io::Error::from_raw_os_error(libc::EINVAL),
            verifier_log: VerifierLog::new(log.join("\n")),
        };
        let step = Step::LoadProgram("alloc_call");
        let failure = LoadFailure::new(step, rejected.into());
        assert_eq!(
            failure.to_string(),
            "cannot load eBPF program alloc_call: the verifier rejects it: Invalid argument (os \
             error 22)"
        );
        let Cause::Rejected { log, .. } = &failure.cause else {
            panic!("{failure:?}");
        };
        assert_eq!(
            (log.lines().count(), log.lines().last()),
            (8, Some("169: R1_w=0"))
        );

        let refused = ProgramError::LoadError {
            io_error: io::Error::from_raw_os_error(libc::EPERM),
            verifier_log: VerifierLog::new(String::new()),
        };
        assert_eq!(Cause::from(refused), Cause::Errno(libc::EPERM));
        let failure = LoadFailure::of(step, &anyhow!("one\n  two\n").context("why"));
        assert_eq!(failure.cause, Cause::Other("why: one; two".to_owned()));
    }
}
