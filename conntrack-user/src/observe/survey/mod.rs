//! Which backends work on this host, best first: the one place where they are tried.
//!
//! `watch` takes the first that works (`attach`), `probe` tries them all
//! ([`try_all`]), and `status` only reads what is there and says what it expects
//! ([`expect`]). `diagnosis` decides what stands in the way of those
//! that do not work, [`remedy`] says it in words.

pub(crate) mod diagnosis;
mod expectation;
pub mod remedy;
pub(crate) mod trial;
pub mod unusable;

use std::{slice, sync::Arc};

use self::{
    expectation::Expectation,
    trial::{Trial, Works},
    unusable::Unusable,
};
use crate::{
    kernel::surroundings::Surroundings,
    observe::{arming::Attach, backend::Backend, failure::LoadFailure},
};

/// What has come of looking for a backend that works.
#[derive(Debug)]
pub struct Survey<T> {
    /// The first that works, if one does.
    pub works: Option<(Backend, T)>,
    /// The better ones, and why each does not.
    pub unusable: Vec<Unusable>,
}

/// Attaches the programs of the backend that is wanted, otherwise those of the best one that
/// works. If packets are to be copied, it must be one that sees packets.
pub(crate) fn attach(
    trial: &mut Trial<'_>,
    wanted: Option<Backend>,
    around: &Arc<Surroundings>,
) -> Survey<Works> {
    let all: &[Backend] = if trial.captures() {
        &Backend::PROGRAMS
    } else {
        &Backend::ALL
    };
    let backends = wanted.as_ref().map_or(all, slice::from_ref);
    first(tried(backends, around, |backend| trial.attempt(backend)))
}

/// Attaches the programs of each backend, which count nothing, and takes them away.
/// Gives why those do not work that do not.
pub fn try_all(around: &Arc<Surroundings>) -> Vec<(Backend, Option<Unusable>)> {
    let mut trial = Trial::new(around, Attach::All, None);
    tried(&Backend::ALL, around, |backend| trial.attempt(backend))
        .map(|(backend, outcome)| (backend, outcome.err()))
        .collect()
}

/// The backend that will probably be taken, told without loading anything into the
/// kernel.
pub fn expect(around: &Arc<Surroundings>) -> Survey<()> {
    let expectation = Expectation::read(around);
    first(tried(&Backend::ALL, around, |backend| {
        expectation.of(backend)
    }))
}

/// Tries these backends, one after the other.
fn tried<T>(
    backends: &[Backend],
    around: &Arc<Surroundings>,
    mut attempt: impl FnMut(Backend) -> Result<T, LoadFailure>,
) -> impl Iterator<Item = (Backend, Result<T, Unusable>)> {
    backends.iter().map(move |&backend| {
        let outcome = attempt(backend);
        let outcome = outcome.map_err(|failure| Unusable::new(backend, failure, around));
        (backend, outcome)
    })
}

/// Takes the first that works.
fn first<T>(tried: impl Iterator<Item = (Backend, Result<T, Unusable>)>) -> Survey<T> {
    let mut unusable = Vec::new();
    for (backend, outcome) in tried {
        match outcome {
            Ok(outcome) => {
                return Survey {
                    works: Some((backend, outcome)),
                    unusable,
                };
            }
            Err(why) => unusable.push(why),
        }
    }
    Survey {
        works: None,
        unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::failure::{Cause, Step};

    fn locked_down() -> LoadFailure {
        let cause = Cause::Other("locked down".to_owned());
        LoadFailure::new(Step::CreateMaps, cause)
    }

    fn survey(works: &[Backend], tried_ones: &mut Vec<Backend>) -> Survey<()> {
        let around = Arc::new(Surroundings::read());
        first(tried(&Backend::ALL, &around, |backend| {
            tried_ones.push(backend);
            if works.contains(&backend) {
                Ok(())
            } else {
                Err(locked_down())
            }
        }))
    }

    #[test]
    fn the_first_backend_that_works_is_taken_and_the_failures_are_kept() {
        let mut tried_ones = Vec::new();
        let works = [Backend::Tracepoint, Backend::Counters];
        let Survey { works, unusable } = survey(&works, &mut tried_ones);
        assert_eq!(works, Some((Backend::Tracepoint, ())));
        let backends: Vec<Backend> = unusable.iter().map(|it| it.backend).collect();
        assert_eq!(backends, [Backend::Fexit, Backend::Kprobe]);
        assert_eq!(
            unusable[0].why(),
            "cannot create the eBPF maps: locked down"
        );
        assert_eq!(
            tried_ones,
            [Backend::Fexit, Backend::Kprobe, Backend::Tracepoint],
            "the rest is not tried"
        );
    }

    #[test]
    fn a_backend_asked_for_is_the_only_one_that_is_blamed() {
        let around = Arc::new(Surroundings::read());
        let failed = tried(&[Backend::Fexit], &around, |_| -> Result<(), _> {
            Err(locked_down())
        });
        let message = Unusable::error(&first(failed).unusable).to_string();
        assert_eq!(
            message,
            "backend fexit does not work here: cannot create the eBPF maps: locked down"
        );
    }

    #[test]
    fn when_no_backend_works_each_is_named_unless_all_fail_alike() {
        let Survey { works, unusable } = survey(&[], &mut Vec::new());
        assert!(works.is_none());
        let message = Unusable::error(&unusable).to_string();
        assert_eq!(message, "cannot create the eBPF maps: locked down");
        let mut unusable = unusable;
        unusable[0].failure.step = Step::ReadBtf;
        let message = Unusable::error(&unusable).to_string();
        for backend in Backend::ALL {
            assert!(message.contains(&format!("\n  {backend}: ")), "{message}");
        }
    }
}
