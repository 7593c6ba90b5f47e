//! A scenario: one thing to try on a kernel.

use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
};

use anyhow::{Result, bail};

use super::machine::{Backend, Machine};

/// One thing to try on a kernel.
#[derive(Debug)]
pub struct Scenario {
    /// What tests and commands call it.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// The backends it is tried on; none for one that is no
    /// test.
    pub backends: &'static [Backend],
    /// Whether it has a guest to itself, because it wants one that nothing was
    /// done to, or does to it what others should not find.
    pub alone: bool,
    /// Where it is tried, too, with programs that pressure attaches.
    pub auto: Auto,
    /// Whether it does not depend on the backend, so that one target of a kernel is
    /// enough.
    pub once: bool,
    /// How long it takes in a guest.
    pub takes: Takes,
    /// Runs it; an error is a failed assertion or a machine that does not work.
    pub run: fn(&Machine) -> Result<()>,
}

/// How long a scenario takes in a guest, which decides where it is tried unless all is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Up to a minute.
    Seconds,
    /// One or two minutes: once, on the newest kernel, unless each backend is to have it.
    AMinute,
    /// Longer: in no guest.
    Minutes,
}

/// On which backends a scenario is tried with programs that pressure attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto {
    /// On none.
    No,
    /// On the one that ctdrop reaches by itself.
    OneBackend,
    /// On each.
    EachBackend,
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
    use std::path::PathBuf;

    use super::*;
    use crate::stage::machine::Extent;

    #[test]
    fn a_panic_is_a_failure_with_its_message() {
        let scenario = Scenario {
            name: "panics",
            about: "fails",
            backends: &[Backend::Fexit],
            alone: false,
            auto: Auto::No,
            once: false,
            takes: Takes::Seconds,
            run: |_| panic!("expected {}", 5),
        };
        let machine = Machine {
            ctdrop: PathBuf::new(),
            backend: Backend::Fexit,
            forced: false,
            auto: false,
            extent: Extent::Short,
            guest: false,
        };
        let error = scenario.on(&machine).unwrap_err();
        assert_eq!(error.to_string(), "panicked: expected 5");
    }
}
