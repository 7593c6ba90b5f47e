//! The kernels that scenarios are tried on, and the backends they are tried with.

use std::fmt;

use anyhow::{Context as _, Result};

use crate::stage::{
    Auto, Backend,
    Backend::{Fexit, Kprobe},
    Scenario,
};

/// A stock Debian kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What tests and commands call it: its series, or the suite whose newest
    /// kernel it is.
    pub name: &'static str,
    /// The Debian suite that ships it.
    pub suite: &'static str,
    /// The package that stands for the newest image of that series.
    pub package: &'static str,
    /// The backends to be tried: first the one that ctdrop
    /// must choose by itself, then those it must use when told to.
    pub backends: &'static [Backend],
    /// What is tried there by default.
    pub tried: Tried,
}

/// Which scenarios are tried on a kernel by default. Of kernels with the same drop paths and
/// the same backend only the newest has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Those that each backend has, in which packets are lost on every path.
    Paths,
    /// Those in which packets are held against the counters.
    Counts,
    /// All, those of every path with each backend and with programs attached by pressure.
    All,
}

/// All kernels, oldest first.
pub const ALL: &[Kernel] = &[
    Kernel {
        name: "5.10",
        suite: "bullseye",
        package: "linux-image-amd64",
        backends: &[Kprobe],
        tried: Tried::All,
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
        package: "linux-image-amd64",
        backends: &[Fexit],
        tried: Tried::Paths,
    },
    Kernel {
        name: "6.12",
        suite: "bookworm",
        package: "linux-image-6.12-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::Counts,
    },
    // No package here stands for a series: the newest kernel of the suite.
    Kernel {
        name: "backports",
        suite: "trixie-backports",
        package: "linux-image-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::All,
    },
];

/// A kernel, and the backend to be tried there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// One of its backends.
    pub backend: Backend,
    /// Whether pressure attaches what runs for each new flow.
    pub auto: bool,
}

impl Target {
    /// Whether ctdrop must be told to use that backend.
    pub fn is_forced(&self) -> bool {
        self.kernel.backends.first() != Some(&self.backend)
    }
}

/// `6.12`, or `6.12-kprobe` for a backend that ctdrop must be told; with `-auto`
/// where pressure attaches what runs for each new flow.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel.name)?;
        if self.is_forced() {
            write!(f, "-{}", self.backend)?;
        }
        if self.auto {
            f.write_str("-auto")?;
        }
        Ok(())
    }
}

/// Every backend of every kernel, with programs attached always and by pressure.
pub fn targets() -> impl Iterator<Item = Target> {
    let backends = ALL.iter().flat_map(|kernel| {
        kernel
            .backends
            .iter()
            .map(move |&backend| (kernel, backend))
    });
    backends.flat_map(|(kernel, backend)| {
        [false, true].map(|auto| Target {
            kernel,
            backend,
            auto,
        })
    })
}

impl Target {
    /// Whether a scenario is tried there: `all` of them, or what is chosen for the kernel.
    pub fn fits(&self, scenario: &Scenario, all: bool) -> bool {
        let second_look = self.auto || self.is_forced();
        let twice_over = self.auto && self.is_forced();
        let there_is = match scenario.auto {
            Auto::No => !self.auto,
            Auto::OneBackend => !twice_over,
            Auto::EachBackend => true,
        };
        let chosen = match self.kernel.tried {
            Tried::Paths => scenario.auto == Auto::EachBackend && !second_look,
            Tried::Counts => scenario.auto != Auto::No && !second_look,
            Tried::All => !second_look || scenario.auto == Auto::EachBackend && !twice_over,
        };
        let newest = Some(self.kernel) == ALL.last();
        scenario.backends.contains(&self.backend)
            && there_is
            && (all || chosen)
            && !(scenario.once && (self.is_forced() || !(all || newest)))
    }
}

/// The kernel and backend of that name.
pub fn find(name: &str) -> Result<Target> {
    targets()
        .find(|target| target.to_string() == name)
        .with_context(|| {
            let names: Vec<_> = targets().map(|target| target.to_string()).collect();
            format!("no kernel {name}: there are {}", names.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_look_is_short_unless_all_is_asked_for() {
        use crate::scenario::{
            command::who::WHO,
            life::churn::CPU_HOTPLUG,
            refusal::{eviction::EVICTION, table_full::TABLE_FULL},
        };
        let fits = |name, scenario, all| find(name).unwrap().fits(scenario, all);
        assert!(fits("backports", &CPU_HOTPLUG, false));
        assert!(!fits("backports-kprobe", &CPU_HOTPLUG, false));
        assert!(fits("backports-kprobe", &CPU_HOTPLUG, true));
        assert!(fits("backports-kprobe", &TABLE_FULL, false));
        assert!(!fits("backports-kprobe-auto", &TABLE_FULL, false));
        assert!(fits("backports-kprobe-auto", &TABLE_FULL, true));
        assert!(!fits("6.12", &CPU_HOTPLUG, false) && fits("6.12", &CPU_HOTPLUG, true));
        assert!(fits("6.12", &EVICTION, false) && !fits("6.1", &EVICTION, false));
        assert!(fits("6.1", &EVICTION, true) && fits("6.1", &TABLE_FULL, false));
        assert!(!fits("6.12-kprobe", &TABLE_FULL, false));
        assert!(!fits("6.12-auto", &TABLE_FULL, false));
        assert!(fits("6.12-auto", &TABLE_FULL, true));
        assert!(fits("backports", &WHO, false) && !fits("6.1", &WHO, false));
        assert!(fits("6.1", &WHO, true) && !fits("6.12-kprobe", &WHO, true));
    }

    #[test]
    fn a_rung_that_must_be_told_is_in_the_name() {
        assert_eq!(find("6.12").unwrap().backend, Fexit);
        let told = find("6.12-kprobe").unwrap();
        assert_eq!((told.backend, told.is_forced()), (Kprobe, true));
        assert!(!find("5.10").unwrap().is_forced());
        assert!(find("6.12-tracepoint").is_err());
        assert!(find("6.12-kprobe-auto").unwrap().auto);
    }
}
