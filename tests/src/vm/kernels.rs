//! The kernels that scenarios are tried on, and the backends they are tried with.

use std::fmt;

use anyhow::{Context as _, Result};

use super::architecture::Architecture::{self, Arm64, X86_64};
use crate::stage::{
    Auto, Backend,
    Backend::{Counters, Fexit, Kprobe, Tracepoint},
    Scenario, Takes,
    places::USER_NAMESPACE,
};

/// A stock Debian kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What tests and commands call it: its series, or the suite whose newest
    /// kernel it is.
    pub name: &'static str,
    /// What it is built for.
    pub architecture: Architecture,
    /// The Debian suite that ships it.
    pub suite: &'static str,
    /// The package that stands for the newest image of that series.
    pub package: &'static str,
    /// The backends to be tried: first the one that ctdrop
    /// must choose by itself, then those it must use when told to.
    pub backends: &'static [Backend],
    /// What is tried there by default.
    pub tried: Tried,
    /// Kernel parameters besides those of every guest.
    pub parameters: &'static str,
}

impl Kernel {
    /// What the packages and the image of the kernel are kept under: the name of the first that has
    /// the same. They do not depend on how it is booted.
    pub fn image(&self) -> &'static str {
        let same = |other: &&Self| (other.suite, other.package) == (self.suite, self.package);
        ALL.iter().find(same).map_or(self.name, |first| first.name)
    }
}

/// Which scenarios are tried on a kernel by default. Of kernels with the same drop paths and
/// the same backend only the newest has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// None: those of `SHORT` if all are asked for.
    Asked,
    /// None, unless all are asked for.
    Nothing,
    /// Those of `ELSEWHERE`, with one backend.
    Elsewhere,
    /// Those in which packets are lost on every path, with one backend.
    Paths,
    /// Those in which packets are held against the counters, as far as they take seconds. Those of
    /// every path also with each backend and with programs attached by pressure.
    Counts,
    /// All but those that take minutes. Those of every path as with `Counts`.
    All,
}

/// All kernels, those of each architecture oldest first.
pub const ALL: &[Kernel] = &[
    Kernel {
        name: "5.10",
        architecture: X86_64,
        suite: "bullseye",
        package: "linux-image-amd64",
        backends: &[Kprobe],
        tried: Tried::Counts,
        parameters: "",
    },
    Kernel {
        name: "6.1",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-amd64",
        backends: &[Fexit],
        tried: Tried::Paths,
        parameters: "",
    },
    Kernel {
        name: "6.12",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-6.12-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::Paths,
        parameters: "",
    },
    // No package here stands for a series: the newest kernel of the suite.
    Kernel {
        name: "backports",
        architecture: X86_64,
        suite: "trixie-backports",
        package: "linux-image-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::All,
        parameters: "",
    },
    // The same kernels, built or booted otherwise.
    Kernel {
        name: "6.12-rt",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-6.12-rt-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::Asked,
        parameters: "",
    },
    Kernel {
        name: "6.12-cloud",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-6.12-cloud-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::Asked,
        parameters: "",
    },
    Kernel {
        name: "6.12-integrity",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-6.12-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::Asked,
        parameters: "lockdown=integrity module.sig_enforce=1",
    },
    Kernel {
        name: "6.12-confidentiality",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-6.12-amd64",
        backends: &[Counters],
        tried: Tried::Asked,
        parameters: "lockdown=confidentiality",
    },
    Kernel {
        name: "5.10-confidentiality",
        architecture: X86_64,
        suite: "bullseye",
        package: "linux-image-amd64",
        backends: &[Counters],
        tried: Tried::Asked,
        parameters: "lockdown=confidentiality",
    },
    Kernel {
        name: "6.12-restricted",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-6.12-amd64",
        backends: &[Fexit, Kprobe],
        tried: Tried::Asked,
        parameters: "sysctl.kernel.kptr_restrict=2 sysctl.kernel.unprivileged_bpf_disabled=1",
    },
    Kernel {
        name: "6.12-user-namespace",
        architecture: X86_64,
        suite: "bookworm",
        package: "linux-image-6.12-amd64",
        backends: &[Counters],
        tried: Tried::Asked,
        parameters: USER_NAMESPACE,
    },
    // It has no fexit: that came with 6.4 there.
    Kernel {
        name: "6.1-arm64",
        architecture: Arm64,
        suite: "bookworm",
        package: "linux-image-arm64",
        backends: &[Kprobe],
        tried: Tried::Elsewhere,
        parameters: "",
    },
    Kernel {
        name: "6.12-arm64",
        architecture: Arm64,
        suite: "bookworm",
        package: "linux-image-6.12-arm64",
        backends: &[Fexit, Kprobe, Tracepoint],
        tried: Tried::Elsewhere,
        parameters: "",
    },
    // With pages of 16 KiB.
    Kernel {
        name: "6.12-16k-arm64",
        architecture: Arm64,
        suite: "bookworm",
        package: "linux-image-6.12-arm64-16k",
        backends: &[Fexit],
        tried: Tried::Nothing,
        parameters: "",
    },
];

/// What shows on another architecture that the programs read its registers, its stacks and its
/// structures right: exact counts of all protocols and of two namespaces, victims, and senders.
const ELSEWHERE: [&str; 4] = ["protocols", "two_namespaces", "eviction", "senders"];

/// What is tried on a kernel that differs only in how it is built or booted.
const SHORT: [&str; 5] = ["matrix", "protocols", "eviction", "clash", "senders"];

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

/// What of all scenarios is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What finds most in little time.
    Chosen {
        /// Whether this machine's own kernel tries what it can: guests need not try again what
        /// does not depend on the backend.
        here: bool,
    },
    /// All.
    All,
}

impl Target {
    /// Whether a scenario is tried there.
    pub fn fits(&self, scenario: &Scenario, asked: Asked) -> bool {
        scenario.backends.contains(&self.backend)
            && self.has(scenario)
            && match asked {
                Asked::All if self.kernel.tried == Tried::Asked => {
                    SHORT.contains(&scenario.name) && !self.auto && !self.is_forced()
                }
                Asked::All => true,
                Asked::Chosen { here } => {
                    let tried_here =
                        here && scenario.once && scenario.backends.contains(&Backend::HERE);
                    !tried_here && self.has_chosen(scenario)
                }
            }
    }

    /// Whether a scenario tells more there than on the kernel's other targets.
    fn has(&self, scenario: &Scenario) -> bool {
        let twice_over = self.auto && self.is_forced();
        let with_auto = match scenario.auto {
            Auto::No => !self.auto,
            Auto::OneBackend => !twice_over,
            Auto::EachBackend => true,
        };
        with_auto && !(scenario.once && self.is_forced())
    }

    /// Whether a scenario is among those chosen for the kernel.
    fn has_chosen(&self, scenario: &Scenario) -> bool {
        let second_look = self.auto || self.is_forced();
        let twice_over = self.auto && self.is_forced();
        let newest = self.kernel.tried == Tried::All;
        let of_every_path = scenario.auto == Auto::EachBackend && scenario.takes == Takes::Seconds;
        scenario.takes != Takes::Minutes
            && (newest || !scenario.once)
            && match self.kernel.tried {
                Tried::Asked | Tried::Nothing => false,
                Tried::Elsewhere => ELSEWHERE.contains(&scenario.name) && !second_look,
                Tried::Paths => of_every_path && !second_look,
                Tried::Counts if !second_look => match scenario.auto {
                    Auto::No => false,
                    Auto::OneBackend => scenario.takes == Takes::Seconds,
                    Auto::EachBackend => true,
                },
                Tried::All if !second_look => true,
                Tried::Counts | Tried::All => of_every_path && !twice_over,
            }
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
            fix::AUTO,
            life::{churn::CPU_HOTPLUG, module_life::RELOADS},
            refusal::{
                eviction::EVICTION,
                senders::SENDERS,
                table_full::{PROTOCOLS, TABLE_FULL},
            },
        };
        let chosen = Asked::Chosen { here: false };
        let fits = |name, scenario, asked| find(name).unwrap().fits(scenario, asked);
        let only_asked_for =
            |name, scenario| !fits(name, scenario, chosen) && fits(name, scenario, Asked::All);
        assert!(fits("backports", &CPU_HOTPLUG, chosen));
        assert!(only_asked_for("backports-kprobe", &CPU_HOTPLUG));
        assert!(only_asked_for("5.10", &CPU_HOTPLUG) && only_asked_for("6.12", &CPU_HOTPLUG));
        assert!(only_asked_for("backports", &RELOADS) && only_asked_for("5.10", &RELOADS));
        assert!(fits("5.10", &EVICTION, chosen) && only_asked_for("6.1", &EVICTION));
        assert!(fits("backports", &SENDERS, chosen) && only_asked_for("5.10", &SENDERS));
        assert!(fits("6.1", &PROTOCOLS, chosen) && fits("5.10-auto", &PROTOCOLS, chosen));
        assert!(fits("backports-kprobe", &PROTOCOLS, chosen));
        assert!(only_asked_for("backports-kprobe-auto", &PROTOCOLS));
        assert!(only_asked_for("6.12-kprobe", &PROTOCOLS));
        assert!(only_asked_for("6.12-auto", &PROTOCOLS));
        assert!(fits("backports", &AUTO, chosen) && fits("5.10", &TABLE_FULL, chosen));
        assert!(only_asked_for("5.10-auto", &TABLE_FULL) && only_asked_for("6.1", &TABLE_FULL));
    }

    #[test]
    fn another_architecture_has_a_short_look() {
        use crate::scenario::{self, command::who::WHO, refusal::senders::SENDERS};
        let chosen = Asked::Chosen { here: false };
        for name in ["6.1-arm64", "6.12-arm64"] {
            let target = find(name).unwrap();
            let fitting = |asked| {
                let all = scenario::ALL.iter();
                all.filter(|it| target.fits(it, asked)).count()
            };
            assert_eq!(fitting(chosen), ELSEWHERE.len());
            assert!(fitting(Asked::All) > 2 * ELSEWHERE.len());
            assert!(target.fits(&SENDERS, chosen) && !target.fits(&WHO, chosen));
        }
        assert!(!find("6.12-16k-arm64").unwrap().fits(&SENDERS, chosen));
        let kprobe = find("6.12-arm64-kprobe").unwrap();
        assert!(!kprobe.fits(&SENDERS, chosen) && kprobe.fits(&SENDERS, Asked::All));
    }

    #[test]
    fn another_way_to_boot_has_a_short_look_if_asked_for() {
        use crate::scenario::{self, command::matrix::MATRIX, life::churn::CPU_HOTPLUG};
        let fitting = |name, asked| {
            let target = find(name).unwrap();
            let all = scenario::ALL.iter();
            let fit = all.filter(|scenario| target.fits(scenario, asked));
            fit.map(|scenario| scenario.name).collect::<Vec<_>>()
        };
        let chosen = Asked::Chosen { here: false };
        for kernel in ALL {
            assert!(find(kernel.name).unwrap().fits(&MATRIX, Asked::All));
            assert!(!find(kernel.name).unwrap().fits(&MATRIX, chosen));
            if kernel.tried == Tried::Asked {
                assert!(fitting(kernel.name, chosen).is_empty());
                assert!(fitting(kernel.name, Asked::All).len() <= SHORT.len());
            }
        }
        assert!(!find("6.12-rt").unwrap().fits(&CPU_HOTPLUG, Asked::All));
        assert_eq!(fitting("6.12-rt", Asked::All).len(), SHORT.len());
        assert_eq!(fitting("6.12-confidentiality", Asked::All), ["matrix"]);
        assert!(fitting("6.12-rt-kprobe", Asked::All).is_empty());
    }

    #[test]
    fn an_image_does_not_depend_on_how_it_is_booted() {
        let image = |name| find(name).unwrap().kernel.image();
        assert_eq!(image("6.12-confidentiality"), "6.12");
        assert_eq!(image("5.10-confidentiality"), "5.10");
        assert_eq!(image("6.12-rt"), "6.12-rt");
        assert_eq!(image("backports"), "backports");
    }

    #[test]
    fn what_this_machine_tries_no_guest_tries_again() {
        use crate::scenario::{command::who::WHO, fix::RULES, refusal::table_full::PROTOCOLS};
        let chosen = |here, scenario| {
            find("backports")
                .unwrap()
                .fits(scenario, Asked::Chosen { here })
        };
        assert!(chosen(false, &WHO) && !chosen(true, &WHO));
        assert!(chosen(true, &RULES), "this machine cannot");
        assert!(chosen(true, &PROTOCOLS), "it depends on the backend");
        assert!(find("backports").unwrap().fits(&WHO, Asked::All));
        assert!(find("6.1").unwrap().fits(&WHO, Asked::All));
        assert!(!find("6.12-kprobe").unwrap().fits(&WHO, Asked::All));
    }

    #[test]
    fn a_rung_that_must_be_told_is_in_the_name() {
        assert_eq!(find("6.12").unwrap().backend, Fexit);
        let told = find("6.12-kprobe").unwrap();
        assert_eq!((told.backend, told.is_forced()), (Kprobe, true));
        assert!(!find("5.10").unwrap().is_forced());
        assert!(find("6.12-tracepoint").is_err());
        assert!(find("6.12-arm64-tracepoint").unwrap().is_forced());
        assert!(!find("6.1-arm64").unwrap().is_forced());
        assert!(find("6.12-kprobe-auto").unwrap().auto);
    }
}
