//! Which programs each backend has, and where they go.

use Sees::{Allocations, Clashes, Confirmations, EarlyDrops, Evictions, Nothing};
use When::{Always, Armed, Rare, Skipping, Witnessing};

use crate::observe::{backend::Backend, programs::types::Deletion};

/// A program of the object and where it goes.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) hook: Hook,
    pub(crate) sees: Sees,
    pub(crate) when: When,
}

/// What a program is attached to.
#[derive(Debug)]
pub(crate) enum Hook {
    Fentry(&'static str),
    Fexit(&'static str),
    /// Entry or return, as the program itself says.
    Kprobe(&'static str),
    Tracepoint(&'static str),
    /// A tracepoint of which the program reads the first argument alone, the packet.
    TracepointSkb(&'static str),
}

/// What is lost if the kernel skips a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sees {
    Allocations,
    Confirmations,
    Evictions,
    /// Both of them.
    EarlyDrops,
    Clashes,
    /// A mark or a second count, which nothing depends on alone.
    Nothing,
}

/// When a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Always: its function runs only under pressure.
    Always,
    /// Only while armed: its function runs for each new flow.
    Armed,
    /// The same, and only once the kernel has skipped programs: it sees what
    /// another one sees.
    Skipping,
    /// Only while armed, and only after packets were refused that no other program sees: its
    /// function runs for each new flow, too.
    Rare,
    /// When the programs of [`When::Armed`] are not enough: at rest, and after the kernel has
    /// skipped programs.
    Witnessing,
}

impl Program {
    /// The programs of a backend, with what it needs to copy packets if that is wanted.
    pub(crate) fn of(
        backend: Backend,
        deletion: Deletion,
        capture: bool,
    ) -> impl Iterator<Item = &'static Program> {
        let functions = match backend {
            Backend::Fexit => FEXIT,
            Backend::Kprobe => KPROBE,
            Backend::Tracepoint => TRACEPOINT,
            Backend::Counters => &[],
        };
        let deletions: &[Program] = match (backend, deletion) {
            (Backend::Fexit, Deletion::Whole) => FEXIT_DELETION,
            // 5.11 to 5.18 in this form fail to attach, and kprobes serve.
            (Backend::Fexit, Deletion::Parted | Deletion::PartedEarly) => FEXIT_DELETION_PARTED,
            (Backend::Kprobe, Deletion::Whole) => KPROBE_DELETION,
            (Backend::Kprobe, Deletion::Parted) => KPROBE_DELETION_PARTED,
            (Backend::Kprobe, Deletion::PartedEarly) => KPROBE_DELETION_PARTED_EARLY,
            (Backend::Tracepoint | Backend::Counters, _) => &[],
        };
        let copies = match backend {
            Backend::Fexit | Backend::Kprobe if capture => COPIES,
            _ => &[],
        };
        deletions.iter().chain(functions).chain(copies)
    }
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
    fexit("early_drop_exit", "early_drop", Nothing, Witnessing),
    fexit("early_drop_exit_again", "early_drop", Nothing, Witnessing),
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
        Rare,
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
    kprobe("early_drop_call", "early_drop", EarlyDrops, Always),
    kprobe("early_drop_return", "early_drop", Allocations, Always),
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
    // Where it is skipped, a packet is counted without its flow.
    kprobe("alloc_call", "__nf_conntrack_alloc", Nothing, Armed),
    kprobe("alloc_return", "__nf_conntrack_alloc", Allocations, Rare),
    kprobe(
        "confirm_call",
        "__nf_conntrack_confirm",
        Confirmations,
        Rare,
    ),
    kprobe(
        "confirm_return",
        "__nf_conntrack_confirm",
        Confirmations,
        Rare,
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

/// Sees the packets of refused allocations.
static COPIES: &[Program] = &[program(
    "freed_packet",
    Hook::TracepointSkb("kfree_skb"),
    Nothing,
    Armed,
)];

/// Runs for dropped packets alone, so it never rests.
static TRACEPOINT: &[Program] = &[program(
    "kfree_skb",
    Hook::Tracepoint("kfree_skb"),
    Allocations,
    Always,
)];
