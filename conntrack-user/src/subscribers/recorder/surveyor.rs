//! Predicts which limit would be in force after a boot and the like, in a thread of its
//! own: reading the files of a host takes a while.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{self, Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    facts::{Facts, root::Root},
    store::{moment::Moment, record::Survival},
    survival::{self, Outcome, Start},
};

/// How long the end of a run waits for a prediction.
const PATIENCE: Duration = Duration::from_secs(2);

type Survey = Arc<dyn Fn() -> Result<Survival> + Send + Sync>;

/// Predicts, one time after the other.
pub(super) struct Surveyor {
    /// None in tests that have no host.
    survey: Option<Survey>,
    /// Why it is to be done again.
    wanted: Option<&'static str>,
    at_work: Option<(&'static str, Receiver<Result<Survival>>)>,
}

impl Surveyor {
    /// Predicts for this host.
    pub(super) fn of_this_host() -> Self {
        Self::by(survey)
    }

    /// Predicts in this way.
    pub(super) fn by(survey: impl Fn() -> Result<Survival> + Send + Sync + 'static) -> Self {
        Self {
            survey: Some(Arc::new(survey)),
            ..Self::of_nothing()
        }
    }

    /// Predicts nothing.
    pub(super) const fn of_nothing() -> Self {
        Self {
            survey: None,
            wanted: None,
            at_work: None,
        }
    }

    /// Asks for a prediction. Never waits.
    pub(super) fn ask(&mut self, cause: &'static str) {
        self.wanted = Some(cause);
        self.begin_next();
    }

    /// A prediction, if one is done. One that was not possible is left out.
    pub(super) fn taken(&mut self, at: Moment) -> Option<Survival> {
        let (cause, receiver) = self.at_work.as_ref()?;
        let cause = *cause;
        let outcome = match receiver.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => None,
            Ok(outcome) => outcome.ok(),
        };
        self.at_work = None;
        self.begin_next();
        outcome.map(|survival| named(survival, cause, at))
    }

    /// The same at the end, for which it waits a little.
    pub(super) fn last(&mut self, at: Moment) -> Vec<Survival> {
        let mut last = Vec::new();
        while let Some((cause, receiver)) = self.at_work.take() {
            let outcome = receiver.recv_timeout(PATIENCE).ok().and_then(Result::ok);
            last.extend(outcome.map(|survival| named(survival, cause, at)));
            self.begin_next();
        }
        last
    }

    fn begin_next(&mut self) {
        if self.at_work.is_some() {
            return;
        }
        let (Some(cause), Some(survey)) = (self.wanted.take(), self.survey.clone()) else {
            return;
        };
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("survival".to_owned());
        // Without a thread there is no prediction.
        let started = thread.spawn(move || {
            // Nobody waits for it any more at the end.
            let _ = sender.send(survey());
        });
        if started.is_ok() {
            self.at_work = Some((cause, receiver));
        }
    }
}

fn named(survival: Survival, cause: &str, at: Moment) -> Survival {
    Survival {
        at,
        cause: cause.to_owned(),
        ..survival
    }
}

/// Predicts for this host, as its files are now.
fn survey() -> Result<Survival> {
    let facts = Facts::read(&Root::open(Path::new("/"))?)?;
    let predicted = survival::simulate(&facts, Start::of(&facts));
    let caveats = predicted.caveats();
    let caveats: Vec<String> = caveats.iter().map(ToString::to_string).collect();
    let limits = &facts.numbers.limits;
    let body = json!({
        "boot": decided(&predicted.boot),
        "service_restart": decided(&predicted.service_restart),
        "module_reload": decided(&predicted.module_reload),
        "caveats": caveats,
    });
    Ok(Survival {
        in_force: limits.max.zip(limits.buckets),
        boot: predicted.boot.value,
        restart: predicted.service_restart.value,
        reload: predicted.module_reload.value,
        body: body.to_string(),
        ..Survival::default()
    })
}

/// What decides an outcome.
fn decided(outcome: &Outcome) -> Value {
    json!({
        "code": outcome.origin.code(),
        "because": outcome.origin.sentence(),
        "buckets": outcome.buckets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_meanwhile_comes_next_and_the_end_waits() {
        let mut surveyor = Surveyor::by(|| Ok(Survival::default()));
        for cause in ["started", "opened", "fix"] {
            surveyor.ask(cause);
        }
        let at = Moment::default();
        let causes: Vec<String> = surveyor.last(at).into_iter().map(|it| it.cause).collect();
        assert_eq!(causes, ["started", "fix"]);
        assert_eq!(surveyor.taken(at), None);
    }

    #[test]
    fn this_host_has_a_prediction() {
        let survival = survey().unwrap();
        assert!(survival.body.contains("\"module_reload\""));
    }
}
