//! Climbs the ladder of rungs: the first that holds is stood on, and the ones above
//! it say why they are not.

use std::{error::Error, fmt};

use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use crate::{
    kernel::{presence::Presence, surroundings::Surroundings},
    observe::{
        backend::Backend,
        observer::by_counters,
        programs::attachment::{Attachment, Ready},
        survey::diagnosis::{self, Missing},
    },
};

/// A rung that is not stood on, and why.
#[derive(Clone, Debug, Serialize)]
pub struct NotUsed {
    /// The rung.
    pub backend: Backend,
    /// What stands in the way, and the remedy.
    pub why: String,
    /// The same as codes.
    pub missing: Vec<Missing>,
}

impl NotUsed {
    /// Finds out what is behind an error.
    pub fn because(backend: Backend, error: &anyhow::Error) -> Self {
        let why = format!("{error:#}");
        let Ok(around) = Surroundings::read() else {
            return Self {
                backend,
                why,
                missing: vec![Missing::Unknown],
            };
        };
        let (missing, remedy) = diagnosis::explain(backend, error, &around);
        let why = match remedy.as_str() {
            "" => why,
            remedy => format!("{why}; {remedy}"),
        };
        Self {
            backend,
            why,
            missing,
        }
    }
}

/// Climbs the ladder; lets the programs count after `before`.
pub(crate) fn attach(
    wanted: Option<Backend>,
    armed: bool,
    before: impl FnOnce(),
) -> Result<(Backend, Attachment, Vec<NotUsed>)> {
    conntrack_is_loaded()?;
    let mut ready = Ready::prepare().map_err(|error| unprepared(wanted, &error))?;
    let (backend, placed, not_used) = climb(wanted, NotUsed::because, |backend| {
        ready.attach(backend, armed)
    })?;
    before();
    Ok((backend, Attachment::begin(ready, placed)?, not_used))
}

/// Demands that there is something to observe.
pub(crate) fn conntrack_is_loaded() -> Result<()> {
    if Presence::read()? == Presence::Absent {
        bail!(
            "conntrack is not loaded, so nothing is refused: load it (modprobe nf_conntrack), \
             or add the firewall or NAT rule that needs it"
        );
    }
    Ok(())
}

/// A rung that was asked for does not hold.
fn does_not_work(NotUsed { backend, why, .. }: NotUsed) -> anyhow::Error {
    anyhow!("backend {backend} does not work here: {why}")
}

/// What all rungs with programs need is missing, so none of them holds.
fn unprepared(wanted: Option<Backend>, error: &anyhow::Error) -> anyhow::Error {
    if let Some(backend) = wanted {
        return does_not_work(NotUsed::because(backend, error));
    }
    let not_used = Backend::PROGRAMS.map(|backend| NotUsed::because(backend, error));
    NoneHolds(not_used.into()).into()
}

/// Attaches the programs of a rung, which count nothing, and takes them away.
pub(crate) fn try_out(backend: Backend) -> Result<()> {
    conntrack_is_loaded()?;
    if backend == Backend::Counters {
        return by_counters::try_out();
    }
    Ready::prepare()?.attach(backend, true).map(drop)
}

/// No rung with programs holds: why each does not.
#[derive(Debug)]
pub(crate) struct NoneHolds(pub(crate) Vec<NotUsed>);

impl fmt::Display for NoneHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no program can be loaded on this host:")?;
        for NotUsed { backend, why, .. } in &self.0 {
            write!(f, "\n  {backend}: {why}")?;
        }
        Ok(())
    }
}

impl Error for NoneHolds {}

/// Tries the rungs from the top; gives the first that holds, and the refusals
/// above it.
fn climb<T>(
    wanted: Option<Backend>,
    explain: impl Fn(Backend, &anyhow::Error) -> NotUsed,
    mut attach: impl FnMut(Backend) -> Result<T>,
) -> Result<(Backend, T, Vec<NotUsed>)> {
    if let Some(backend) = wanted {
        let attached = attach(backend).map_err(|error| does_not_work(explain(backend, &error)))?;
        return Ok((backend, attached, Vec::new()));
    }
    let mut not_used = Vec::new();
    for backend in Backend::PROGRAMS {
        match attach(backend) {
            Ok(attached) => return Ok((backend, attached, not_used)),
            Err(error) => not_used.push(explain(backend, &error)),
        }
    }
    bail!(NoneHolds(not_used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_it_is(backend: Backend, error: &anyhow::Error) -> NotUsed {
        NotUsed {
            backend,
            why: format!("{error:#}"),
            missing: Vec::new(),
        }
    }

    #[test]
    fn the_first_rung_that_holds_is_taken_and_the_refusals_are_kept() {
        let (backend, (), not_used) = climb(None, as_it_is, |backend| match backend {
            Backend::Fexit | Backend::Kprobe => Err(anyhow!("locked down")),
            Backend::Tracepoint | Backend::Counters => Ok(()),
        })
        .unwrap();
        assert_eq!(backend, Backend::Tracepoint);
        let backends: Vec<Backend> = not_used.iter().map(|rung| rung.backend).collect();
        assert_eq!(backends, [Backend::Fexit, Backend::Kprobe]);
        assert_eq!(not_used[0].why, "locked down");
    }

    #[test]
    fn a_rung_asked_for_is_the_only_one_tried() {
        let mut tried = Vec::new();
        let outcome = climb(Some(Backend::Fexit), as_it_is, |backend| -> Result<()> {
            tried.push(backend);
            Err(anyhow!("locked down"))
        });
        assert_eq!(tried, [Backend::Fexit]);
        let message = format!("{:#}", outcome.unwrap_err());
        assert_eq!(message, "backend fexit does not work here: locked down");
    }

    #[test]
    fn when_no_rung_holds_each_is_named() {
        let message = climb(None, as_it_is, |_| -> Result<()> { Err(anyhow!("no")) })
            .unwrap_err()
            .to_string();
        for backend in Backend::PROGRAMS {
            assert!(message.contains(&backend.to_string()), "{message}");
        }
    }
}
