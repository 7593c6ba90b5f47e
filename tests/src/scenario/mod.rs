//! What is tried on a kernel, each scenario in one file.

use std::{
    any::Any,
    fmt, fs,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};

use crate::bench::{footprint, limit_raised, packets, rate};

pub mod arming;
pub mod bench_who;
pub mod boots;
pub mod churn;
pub mod confirm;
pub mod counters;
pub mod demo;
pub mod errors;
pub mod eviction;
pub mod fix;
pub mod lifecycle;
pub mod module_life;
pub mod net_check;
pub mod probe;
pub mod senders;
pub mod setup;
pub mod status;
pub mod table_full;
pub mod unload;
pub mod who;

/// One thing to try on a kernel.
#[derive(Debug)]
pub struct Scenario {
    /// What tests and commands call it.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// The rungs of the attach ladder it is tried on; none for one that is no
    /// test.
    pub rungs: &'static [Rung],
    /// Whether it has a guest to itself, because it wants one that nothing was
    /// done to, or does to it what others should not find.
    pub alone: bool,
    /// Where it is tried, too, with programs that pressure attaches.
    pub auto: Auto,
    /// Whether it does not depend on the rung, so that one stand of a kernel is
    /// enough.
    pub once: bool,
    /// Runs it; an error is a failed assertion or a machine that does not work.
    pub run: fn(&Machine) -> Result<()>,
}

/// On which rungs a scenario is tried with programs that pressure attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto {
    /// On none.
    No,
    /// On the one that ctdrop reaches by itself.
    OneRung,
    /// On each.
    EachRung,
}

/// A rung of the ladder by which ctdrop attaches to a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// fexit programs on the functions of the module `nf_conntrack`.
    Fexit,
    /// Probes at the entries and returns of the same functions.
    Kprobe,
    /// The tracepoint `skb:kfree_skb`, as on this machine's own kernel.
    Tracepoint,
    /// The kernel's counters alone, which every kernel has.
    Counters,
}

impl Rung {
    /// Every rung that some kernel is tried on. The last one is reached by
    /// telling ctdrop, on each of them.
    pub const ALL: &[Self] = &[Self::Fexit, Self::Kprobe, Self::Tracepoint];

    /// Those that have programs inside conntrack, tried in guests.
    pub const INSIDE: &[Self] = &[Self::Fexit, Self::Kprobe];
}

/// As `--backend` has it.
impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fexit => "fexit",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
            Self::Counters => "counters",
        })
    }
}

/// The machine that a scenario runs on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The ctdrop under test.
    pub ctdrop: PathBuf,
    /// The rung that ctdrop must reach here.
    pub rung: Rung,
    /// Whether ctdrop must be told to stand there.
    pub forced: bool,
    /// Whether pressure attaches what runs for each new flow.
    pub auto: bool,
    /// Whether this is a guest, where everything may be changed.
    pub guest: bool,
}

impl Machine {
    /// The arguments by which ctdrop is told where and how to stand.
    pub fn standing(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if self.forced {
            arguments.extend(["--backend".to_owned(), self.rung.to_string()]);
        }
        if self.auto {
            arguments.extend(["--arm", "auto"].map(str::to_owned));
        }
        arguments
    }

    /// Whether the kernel may skip programs here. One that preempts itself skips a
    /// program while a task is preempted inside of it, and kprobes while user space
    /// takes counts out of a map on the same CPU.
    pub fn skips_runs(&self) -> bool {
        // Such as `full (lazy)`; only kernels with a choice have the file.
        let preemption = fs::read_to_string("/sys/kernel/debug/sched/preempt").unwrap_or_default();
        let preempts = preemption.contains("(full)") || preemption.contains("(lazy)");
        self.rung != Rung::Tracepoint && preempts
    }
}

/// All scenarios.
pub static ALL: &[&Scenario] = &[
    &boots::BOOTS,
    &net_check::NET_CHECK,
    &table_full::TABLE_FULL,
    &table_full::MANY_FLOWS,
    &table_full::PROTOCOLS,
    &table_full::TWO_NAMESPACES,
    &table_full::LOCAL,
    &table_full::ZONES,
    &eviction::EVICTION,
    &confirm::CLASH,
    &confirm::CLASH_BY_COUNTERS,
    &confirm::NAT_EXHAUSTED,
    &confirm::CHAIN_TOO_LONG,
    &confirm::NON_PACKET,
    &arming::ARMING,
    &senders::SENDERS,
    &counters::TABLE_FULL,
    &counters::PROTOCOLS,
    &counters::TWO_NAMESPACES,
    &counters::CLASH,
    &counters::REFUSALS,
    &unload::DYING,
    &unload::STALE_EXTENSION,
    &churn::NETNS_CHURN,
    &churn::CPU_HOTPLUG,
    &lifecycle::LEAVES_NOTHING,
    &lifecycle::EDGES,
    &lifecycle::PINS_MODULE,
    &module_life::WAITS,
    &module_life::RELOADS,
    &errors::ERRORS,
    &errors::NO_KERNEL_SUPPORT,
    &probe::PROBE,
    &probe::CONFINED,
    &probe::BENT,
    &status::STATUS,
    &status::MODULE,
    &fix::AUTO,
    &fix::PLAN,
    &fix::BACKS_OFF,
    &fix::CEILING,
    &fix::BUCKETS,
    &fix::UNDONE,
    &fix::UNWRITABLE,
    &fix::RULES,
    &demo::DEMO,
    &who::WHO,
    &who::CHOSEN,
    &who::CHANGING,
    &bench_who::BENCH_WHO,
    &packets::PACKETS,
    &rate::RATE,
    &limit_raised::LIMIT_RAISED,
    &footprint::FOOTPRINT,
];

/// The scenario of that name.
pub fn find(name: &str) -> Result<&'static Scenario> {
    let found = ALL.iter().copied().find(|scenario| scenario.name == name);
    found.with_context(|| format!("no scenario {name}: ctdrop-tests list shows all"))
}

impl Scenario {
    /// Runs the scenario on this machine; a panic in it is an error.
    pub fn on(&self, machine: &Machine) -> Result<()> {
        match panic::catch_unwind(AssertUnwindSafe(|| (self.run)(machine))) {
            Ok(result) => result,
            Err(panic) => bail!("panicked: {}", message(&*panic)),
        }
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_into_a_kernel_parameter() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(names.iter().all(|name| name.bytes().all(fits)), "{names:?}");
    }

    #[test]
    fn a_panic_is_a_failure_with_its_message() {
        let scenario = Scenario {
            name: "panics",
            about: "fails",
            rungs: &[Rung::Fexit],
            alone: false,
            auto: Auto::No,
            once: false,
            run: |_| panic!("expected {}", 5),
        };
        let machine = Machine {
            ctdrop: PathBuf::new(),
            rung: Rung::Fexit,
            forced: false,
            auto: false,
            guest: false,
        };
        let error = scenario.on(&machine).unwrap_err();
        assert_eq!(error.to_string(), "panicked: expected 5");
    }
}
