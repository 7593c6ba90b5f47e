//! The ladder of ways to see refused packets, and how each is climbed.

use std::{
    collections::BTreeSet,
    fmt,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use Sees::{Allocations, Clashes, Confirmations, Evictions, Nothing};
use When::{Always, Armed, Skipping};
use anyhow::{Context as _, Result, anyhow};
use aya::programs::{KProbe, kprobe::KProbeLink};
use conntrack_ebpf::{ABSENT, Layout};
use serde::Serialize;

use crate::{
    btf::Btf,
    kernel::{
        surroundings::{Kprobes, Surroundings},
        symbols::Symbols,
    },
    observe::{
        object::Object,
        sys::{self, Kind, LoadError, Target},
        verdict::Missed,
    },
};

/// A way to see refused packets, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Programs at the exits of the functions that refuse: every reason, every
    /// flow.
    Fexit,
    /// Probes at the entries and returns of the same functions: the same, at
    /// more cost, on kernels without trampolines.
    Kprobe,
    /// The tracepoint of freed packets: those that got no entry, held against
    /// the kernel's counters.
    Tracepoint,
    /// The kernel's counters and its log, without any program: how many
    /// packets, and no flow.
    Counters,
}

impl Backend {
    /// Every rung, top first.
    pub const LADDER: [Self; 4] = [Self::Fexit, Self::Kprobe, Self::Tracepoint, Self::Counters];

    /// Those that have programs.
    pub const PROGRAMS: [Self; 3] = [Self::Fexit, Self::Kprobe, Self::Tracepoint];

    /// Its programs.
    fn programs(self, types: &Types) -> impl Iterator<Item = &'static Program> {
        let functions = match self {
            Self::Fexit => FEXIT,
            Self::Kprobe => KPROBE,
            Self::Tracepoint => TRACEPOINT,
            Self::Counters => &[],
        };
        let deletion: &[Program] = match (self, types.deletion) {
            (Self::Fexit, Deletion::Whole) => FEXIT_DELETION,
            // 5.11 to 5.18 in this form fail to attach, and kprobes serve.
            (Self::Fexit, Deletion::Parted | Deletion::PartedEarly) => FEXIT_DELETION_PARTED,
            (Self::Kprobe, Deletion::Whole) => KPROBE_DELETION,
            (Self::Kprobe, Deletion::Parted) => KPROBE_DELETION_PARTED,
            (Self::Kprobe, Deletion::PartedEarly) => KPROBE_DELETION_PARTED_EARLY,
            (Self::Tracepoint | Self::Counters, _) => &[],
        };
        deletion.iter().chain(functions)
    }

    /// Whether some of its programs run for each new flow, so that they are
    /// better not attached at rest.
    pub const fn can_rest(self) -> bool {
        matches!(self, Self::Fexit | Self::Kprobe)
    }
}

/// How `early_drop` deletes a victim, which is up to the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It calls `nf_ct_delete`.
    Whole,
    /// It calls a part of that function, which calls
    /// `__nf_ct_delete_from_lists` (5.19 and later).
    Parted,
    /// The same, and the function is called `nf_ct_delete_from_lists`.
    PartedEarly,
}

impl Deletion {
    fn of(symbols: &Symbols) -> Self {
        if !symbols.has("nf_ct_delete.part.0") {
            Self::Whole
        } else if symbols.has("__nf_ct_delete_from_lists") {
            Self::Parted
        } else {
            Self::PartedEarly
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
            Self::Counters => "counters",
        })
    }
}

/// A program of the object and where it goes.
#[derive(Debug)]
struct Program {
    name: &'static str,
    hook: Hook,
    sees: Sees,
    when: When,
}

#[derive(Debug)]
enum Hook {
    Fentry(&'static str),
    Fexit(&'static str),
    /// Entry or return, as the program itself says.
    Kprobe(&'static str),
    Tracepoint(&'static str),
}

/// What is lost if the kernel skips a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    Allocations,
    Confirmations,
    Evictions,
    Clashes,
    /// A mark or a second count, which nothing depends on alone.
    Nothing,
}

/// When a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always: its function runs only under pressure.
    Always,
    /// Only while armed: its function runs for each new flow.
    Armed,
    /// The same, and only once the kernel has skipped programs: it sees what
    /// another one sees.
    Skipping,
}

const fn program(name: &'static str, hook: Hook, sees: Sees, when: When) -> Program {
    Program {
        name,
        hook,
        sees,
        when,
    }
}

const fn fexit(name: &'static str, function: &'static str, sees: Sees, when: When) -> Program {
    program(name, Hook::Fexit(function), sees, when)
}

const fn kprobe(name: &'static str, function: &'static str, sees: Sees, when: When) -> Program {
    program(name, Hook::Kprobe(function), sees, when)
}

static FEXIT: &[Program] = &[
    program(
        "early_drop_enter",
        Hook::Fentry("early_drop"),
        Evictions,
        Always,
    ),
    fexit("early_drop_exit", "early_drop", Nothing, Always),
    fexit("early_drop_exit_again", "early_drop", Nothing, Always),
    fexit("resolve_clash_exit", "nf_ct_resolve_clash", Clashes, Always),
    fexit(
        "hash_check_insert_exit",
        "nf_conntrack_hash_check_insert",
        Nothing,
        Always,
    ),
    fexit("alloc_exit", "__nf_conntrack_alloc", Allocations, Armed),
    fexit(
        "alloc_exit_again",
        "__nf_conntrack_alloc",
        Nothing,
        Skipping,
    ),
    fexit(
        "confirm_exit",
        "__nf_conntrack_confirm",
        Confirmations,
        Armed,
    ),
];

static FEXIT_DELETION: &[Program] = &[fexit("delete_exit", "nf_ct_delete", Evictions, Armed)];

static FEXIT_DELETION_PARTED: &[Program] = &[program(
    "delete_from_lists_enter",
    Hook::Fentry("__nf_ct_delete_from_lists"),
    Evictions,
    Armed,
)];

static KPROBE: &[Program] = &[
    kprobe("early_drop_call", "early_drop", Evictions, Always),
    kprobe("early_drop_return", "early_drop", Nothing, Always),
    kprobe("resolve_clash_call", "nf_ct_resolve_clash", Clashes, Always),
    kprobe(
        "resolve_clash_return",
        "nf_ct_resolve_clash",
        Clashes,
        Always,
    ),
    kprobe(
        "hash_check_insert_call",
        "nf_conntrack_hash_check_insert",
        Nothing,
        Always,
    ),
    kprobe(
        "hash_check_insert_return",
        "nf_conntrack_hash_check_insert",
        Nothing,
        Always,
    ),
    kprobe("alloc_call", "__nf_conntrack_alloc", Allocations, Armed),
    kprobe("alloc_return", "__nf_conntrack_alloc", Allocations, Armed),
    kprobe(
        "confirm_call",
        "__nf_conntrack_confirm",
        Confirmations,
        Armed,
    ),
    kprobe(
        "confirm_return",
        "__nf_conntrack_confirm",
        Confirmations,
        Armed,
    ),
];

static KPROBE_DELETION: &[Program] = &[
    kprobe("delete_call", "nf_ct_delete", Evictions, Armed),
    kprobe("delete_return", "nf_ct_delete", Evictions, Armed),
];

static KPROBE_DELETION_PARTED: &[Program] = &[kprobe(
    "delete_from_lists_call",
    "__nf_ct_delete_from_lists",
    Evictions,
    Armed,
)];

static KPROBE_DELETION_PARTED_EARLY: &[Program] = &[kprobe(
    "delete_from_lists_call",
    "nf_ct_delete_from_lists",
    Evictions,
    Armed,
)];

/// Runs for dropped packets alone, so it never rests.
static TRACEPOINT: &[Program] = &[program(
    "kfree_skb",
    Hook::Tracepoint("kfree_skb"),
    Allocations,
    Always,
)];

/// The running kernel's types: its own, and those of the conntrack module.
pub struct Types {
    /// Of vmlinux.
    pub kernel: Arc<Btf>,
    /// Of `nf_conntrack`, where it is a module.
    pub module: Option<Btf>,
    /// How victims are deleted.
    pub deletion: Deletion,
    symbols: Symbols,
}

impl Types {
    /// Reads them from the running kernel.
    pub fn read(symbols: Symbols) -> Result<Self> {
        let kernel = Arc::new(Btf::vmlinux()?);
        let module = Btf::module("nf_conntrack", Arc::clone(&kernel))?;
        Ok(Self {
            kernel,
            module,
            deletion: Deletion::of(&symbols),
            symbols,
        })
    }

    /// The symbol table it was told from.
    pub const fn symbols(&self) -> &Symbols {
        &self.symbols
    }
}

/// The programs of a rung, loaded, and attached or not. Dropping this detaches
/// and unloads them.
#[derive(Debug)]
pub struct Programs(Vec<Loaded>);

#[derive(Debug)]
struct Loaded {
    program: &'static Program,
    fd: OwnedFd,
    link: Option<Link>,
}

/// Held for itself alone: dropping it detaches.
#[derive(Debug)]
enum Link {
    Descriptor { _fd: OwnedFd },
    Kprobe { _link: KProbeLink },
}

impl Programs {
    /// Loads all programs of a rung: when one is refused, nothing has been
    /// attached.
    pub fn load(
        backend: Backend,
        object: &mut Object,
        layout: &Layout,
        types: &Types,
    ) -> Result<Self> {
        if backend == Backend::Tracepoint && layout.reason_netfilter_drop == ABSENT {
            return Err(anyhow!(
                "this kernel does not give the reason of a dropped packet (5.18 and later do)"
            ));
        }
        if backend == Backend::Kprobe && Surroundings::read()?.kprobes != Kprobes::On {
            // Switched off they could be attached all the same, and see nothing.
            return Err(anyhow!("kprobes cannot be used here"));
        }
        let module = match &types.module {
            Some(_) if backend == Backend::Fexit => Some(open_module_btf()?),
            _ => None,
        };
        for program in backend.programs(types) {
            expect_function(program, &types.symbols)?;
        }
        backend
            .programs(types)
            .map(|program| {
                Ok(Loaded {
                    program,
                    fd: load(program, object, types, module.as_ref())?,
                    link: None,
                })
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Attaches those of that kind that are not attached yet.
    pub fn attach(&mut self, when: When, object: &mut Object) -> Result<()> {
        for loaded in &mut self.0 {
            if loaded.program.when == when && loaded.link.is_none() {
                loaded.link = Some(attach_one(loaded.program, object, loaded.fd.as_fd())?);
            }
        }
        Ok(())
    }

    /// Detaches those of that kind; they stay loaded.
    pub fn detach(&mut self, when: When) {
        for loaded in &mut self.0 {
            if loaded.program.when == when {
                loaded.link = None;
            }
        }
    }

    /// How many programs are loaded.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many functions have a program attached by a trampoline.
    pub fn functions(&self) -> usize {
        let functions: BTreeSet<&str> = self
            .0
            .iter()
            .filter(|loaded| loaded.link.is_some())
            .filter_map(|loaded| match loaded.program.hook {
                Hook::Fentry(function) | Hook::Fexit(function) => Some(function),
                Hook::Kprobe(_) | Hook::Tracepoint(_) => None,
            })
            .collect();
        functions.len()
    }

    /// How often the kernel skipped them since they were loaded.
    pub fn missed(&self) -> Result<Missed> {
        let mut missed = Missed::default();
        for Loaded { program, fd, .. } in &self.0 {
            let runs = sys::missed_runs(fd).with_context(|| {
                format!(
                    "cannot read the statistics of eBPF program {}",
                    program.name
                )
            })?;
            match program.sees {
                Allocations => missed.allocations += runs,
                Confirmations => missed.confirmations += runs,
                Evictions => missed.evictions += runs,
                Clashes => missed.clashes += runs,
                Nothing => {}
            }
        }
        Ok(missed)
    }
}

fn open_module_btf() -> Result<OwnedFd> {
    sys::module_btf("nf_conntrack")
        .context("cannot find the type information of module nf_conntrack")
}

fn load(
    program: &Program,
    object: &mut Object,
    types: &Types,
    module: Option<&OwnedFd>,
) -> Result<OwnedFd> {
    let kind = match program.hook {
        Hook::Fentry(function) => Kind::Fentry(target(function, types, module)?),
        Hook::Fexit(function) => Kind::Fexit(target(function, types, module)?),
        Hook::Tracepoint(tracepoint) => Kind::Tracepoint(tracepoint_of(tracepoint, types)?),
        Hook::Kprobe(_) => return load_kprobe(program.name, object.kprobe(program.name)?),
    };
    let (instructions, license) = object.program(program.name)?;
    sys::load_program(program.name, kind, instructions, &license)
        .map_err(|error| refusal(program.name, error))
}

/// Demands that a program's function is there under its own name: by any other
/// its arguments may be others.
fn expect_function(program: &Program, symbols: &Symbols) -> Result<()> {
    let (Hook::Fentry(function) | Hook::Fexit(function) | Hook::Kprobe(function)) = program.hook
    else {
        return Ok(());
    };
    if symbols.has(function) {
        return Ok(());
    }
    Err(match symbols.variant(function) {
        Some(variant) => anyhow!(
            "the compiler has made {variant} of the kernel's function {function}, and its \
             arguments may be others"
        ),
        None => anyhow!("the kernel has no function {function}"),
    })
}

fn target(function: &str, types: &Types, module: Option<&OwnedFd>) -> Result<Target> {
    let types = types.module.as_ref().unwrap_or(&types.kernel);
    let found = types
        .function(function)
        .with_context(|| format!("the kernel's type information has no function {function}"))?;
    Ok(Target {
        id: found.id,
        module: module
            .filter(|_| found.in_module)
            .map(|btf| btf.as_fd().as_raw_fd()),
    })
}

/// Tracepoints are in the kernel itself.
fn tracepoint_of(tracepoint: &str, types: &Types) -> Result<Target> {
    let id = types.kernel.tracepoint(tracepoint);
    let id = id
        .with_context(|| format!("the kernel's type information has no tracepoint {tracepoint}"))?;
    Ok(Target { id, module: None })
}

fn refusal(name: &str, LoadError { error, verifier }: LoadError) -> anyhow::Error {
    let error = anyhow!(error).context(format!("the kernel refuses eBPF program {name}"));
    if verifier.is_empty() {
        error
    } else {
        error.context(format!("the verifier says:\n{verifier}\n"))
    }
}

/// aya loads and attaches these by itself, in modules too.
fn load_kprobe(name: &str, program: &mut KProbe) -> Result<OwnedFd> {
    if program.fd().is_err() {
        program
            .load()
            .with_context(|| format!("the kernel refuses eBPF program {name}"))?;
    }
    let fd = program
        .fd()
        .with_context(|| format!("eBPF program {name}"))?;
    fd.as_fd()
        .try_clone_to_owned()
        .with_context(|| format!("eBPF program {name}"))
}

fn attach_one(program: &Program, object: &mut Object, fd: BorrowedFd<'_>) -> Result<Link> {
    let name = program.name;
    match program.hook {
        Hook::Fentry(place) | Hook::Fexit(place) | Hook::Tracepoint(place) => sys::attach(fd)
            .with_context(|| format!("cannot attach eBPF program {name} to {place}"))
            .map(|fd| Link::Descriptor { _fd: fd }),
        Hook::Kprobe(function) => attach_kprobe(object.kprobe(name)?, function),
    }
}

fn attach_kprobe(program: &mut KProbe, function: &str) -> Result<Link> {
    let link = program
        .attach(function, 0)
        .and_then(|id| program.take_link(id))
        .with_context(|| format!("cannot attach a kprobe to {function}"))?;
    Ok(Link::Kprobe { _link: link })
}
