//! What can be told of a backend without loading anything into the kernel.

use crate::{
    kernel::surroundings::Surroundings,
    observe::{
        backend::Backend,
        failure::{Cause, LoadFailure, Step},
        programs::{requirements, types::Types},
        survey::{
            diagnosis,
            trial::{find_conntrack, find_counters},
        },
    },
};

/// What the expectation is told from: files only.
pub(super) struct Expectation<'a> {
    around: &'a Surroundings,
    types: Result<Types, LoadFailure>,
}

impl<'a> Expectation<'a> {
    /// Reads the kernel's symbols and types.
    pub(super) fn read(around: &'a Surroundings) -> Self {
        Self {
            around,
            types: Types::read(),
        }
    }

    /// Whether a backend will probably work.
    pub(super) fn of(&self, backend: Backend) -> Result<(), LoadFailure> {
        find_conntrack()?;
        if backend == Backend::Counters {
            return find_counters();
        }
        self.of_programs(backend)
    }

    /// Whether the programs of a backend will probably work where there is conntrack.
    fn of_programs(&self, backend: Backend) -> Result<(), LoadFailure> {
        let types = self.types.as_ref().map_err(Clone::clone)?;
        requirements::check(backend, types, false, self.around)?;
        let obstacles = diagnosis::expected(backend, types.has_direct_calls(), self.around);
        if obstacles.is_empty() {
            return Ok(());
        }
        Err(LoadFailure::new(Step::Expect, Cause::Expected(obstacles)))
    }
}

#[cfg(test)]
mod tests;
