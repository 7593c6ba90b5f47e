//! Every story on every Debian system, each a trial with a disk of its own.

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::Result;
use ctdrop_tests::{
    host,
    system::{self, Story, packages_are_there},
    vm::{
        Binaries,
        systems::{self, System},
    },
};
use libtest_mimic::{Arguments, Trial};

/// Guests that run at the same time.
const GUESTS: usize = 2;

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(GUESTS);
    let trials = match binaries() {
        None => vec![skipped("systems", "run `cargo xtask test`")],
        Some(_) if !host::Facts::gather()?.root => {
            vec![skipped("systems", "making a disk needs root")]
        }
        Some(binaries) => trials(&binaries),
    };
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// The static programs that `cargo xtask test` has built.
fn binaries() -> Option<Binaries> {
    let path = |name| env::var_os(name).map(PathBuf::from);
    Some(Binaries {
        ctdrop: path("CTDROP_BIN")?,
        init: path("CTDROP_TESTS_BIN")?,
    })
}

/// All trials on the systems that `$CTDROP_KERNELS` names; without it on all, and all
/// that there are only with `$CTDROP_ALL`.
fn trials(binaries: &Binaries) -> Vec<Trial> {
    let named = env::var("CTDROP_KERNELS").unwrap_or_default();
    let wanted =
        |system: &&System| named.is_empty() || named.split(',').any(|name| name == system.name);
    let all = !named.is_empty() || env::var_os("CTDROP_ALL").is_some();
    let systems = systems::ALL.iter().filter(wanted);
    let stories = systems.flat_map(|system| system::ALL.iter().map(move |story| (system, *story)));
    // Podman takes a disk of its own.
    let with_podman = system::WITH_PODMAN.iter();
    let with_podman = with_podman.map(|story| (&systems::WITH_PODMAN, *story));
    let with_podman = with_podman.filter(|(system, _)| all && wanted(system));
    stories
        .filter(|(system, story)| all || !story.once || Some(*system) == systems::ALL.last())
        // Packages take a guest ten minutes.
        .filter(|(_, story)| all || !story.packages)
        .chain(with_podman)
        .map(|(system, story)| on(system, story, binaries.clone()))
        .collect()
}

/// A trial of a story on a system.
fn on(system: &'static System, story: &'static Story, binaries: Binaries) -> Trial {
    let name = format!("{}::{}", system.name, story.name);
    if story.packages && !packages_are_there() {
        return skipped(
            &name,
            "CTDROP_PACKAGES says where `cargo xtask dist` has put packages",
        );
    }
    Trial::test(name, move || {
        story
            .tell(system, &binaries)
            .map_err(|error| format!("{error:#}").into())
    })
}

/// A trial that only says why nothing runs.
fn skipped(name: &str, reason: &str) -> Trial {
    Trial::test(name, || Ok(()))
        .with_kind(format!("skipped: {reason}"))
        .with_ignored_flag(true)
}
