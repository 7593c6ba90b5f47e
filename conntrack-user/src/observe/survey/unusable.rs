//! A backend that cannot be used, and why.

use std::sync::Arc;

use anyhow::anyhow;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{
    kernel::surroundings::Surroundings,
    observe::{
        backend::Backend,
        failure::{Cause, LoadFailure},
        obstacle::Obstacle,
        survey::{diagnosis, remedy},
    },
};

/// A backend that cannot be used, and why.
#[derive(Clone, Debug)]
pub struct Unusable {
    /// The backend.
    pub backend: Backend,
    /// What failed, and for what cause.
    pub failure: LoadFailure,
    /// What stands in the way.
    pub obstacles: Vec<Obstacle>,
    /// What that was decided from.
    around: Arc<Surroundings>,
}

impl Unusable {
    /// Decides what stands in the way of a backend that failed.
    pub fn new(backend: Backend, failure: LoadFailure, around: &Arc<Surroundings>) -> Self {
        Self {
            backend,
            obstacles: diagnosis::obstacles(backend, &failure, around),
            failure,
            around: Arc::clone(around),
        }
    }

    /// What stands in the way, and what to do about it, as one clause.
    pub fn why(&self) -> String {
        remedy::sentence(&self.failure, &self.obstacles, &self.around)
    }

    /// The last lines of the verifier's log, if it rejected a program.
    pub fn verifier_log(&self) -> Option<&str> {
        match &self.failure.cause {
            Cause::Rejected { log, .. } => Some(log),
            _ => None,
        }
    }

    /// That none of these backends works.
    pub(crate) fn error(of: &[Self]) -> anyhow::Error {
        if let [only] = of {
            return anyhow!(
                "backend {} does not work here: {}",
                only.backend,
                only.why()
            );
        }
        let whys: Vec<String> = of.iter().map(Self::why).collect();
        match whys.as_slice() {
            [why, rest @ ..] if rest.iter().all(|it| it == why) => anyhow!("{why}"),
            _ => {
                let lines = of.iter().zip(&whys);
                let lines = lines.map(|(it, why)| format!("\n  {}: {why}", it.backend));
                anyhow!(
                    "no backend works on this host:{}",
                    lines.collect::<String>()
                )
            }
        }
    }
}

impl Serialize for Unusable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let log = self.verifier_log();
        let mut object = serializer.serialize_struct("Unusable", 3 + usize::from(log.is_some()))?;
        object.serialize_field("backend", &self.backend)?;
        object.serialize_field("why", &self.why())?;
        object.serialize_field("missing", &self.obstacles)?;
        if let Some(log) = log {
            object.serialize_field("verifier_log", log)?;
        }
        object.end()
    }
}
