//! Every scenario on every kernel it is for, each a trial of its own: in a guest
//! of its own if it needs one, else in one that trials share.

use std::{
    cell::RefCell,
    env,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use ctdrop_tests::{
    host,
    host::Standing,
    scenario,
    stage::{Backend, Scenario},
    vm,
    vm::{
        Binaries, Shared, kernels,
        kernels::{Asked, Target},
    },
};
use libtest_mimic::{Arguments, Failed, Trial};

/// Guests that run at the same time: each has two processors.
const GUESTS: usize = 2;

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(GUESTS);
    let trials = match binaries() {
        Some(binaries) => trials(&binaries)?,
        None => vec![skipped("kernels", "run `cargo xtask test`")],
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

/// All trials on the kernels that `$CTDROP_KERNELS` names; without it on all, and
/// all that there are only with `$CTDROP_ALL`.
fn trials(binaries: &Binaries) -> Result<Vec<Trial>> {
    let named = env::var("CTDROP_KERNELS").unwrap_or_default();
    let wanted = |name: &str| named.is_empty() || named.split(',').any(|wanted| wanted == name);
    let standing = host::Facts::gather()?.standing();
    let asked = if !named.is_empty() || env::var_os("CTDROP_ALL").is_some() {
        Asked::All
    } else {
        Asked::Chosen {
            here: standing == Standing::Runs,
        }
    };
    let mut trials = Vec::new();
    for target in kernels::targets().filter(|target| wanted(&target.to_string())) {
        let mut fitting: Vec<_> = scenario::ALL
            .iter()
            .filter(|scenario| target.fits(scenario, asked))
            .collect();
        // Those that need a guest to themselves first: the others can then share.
        fitting.sort_by_key(|scenario| !scenario.alone);
        let trial = |scenario: &&'static Scenario| in_vm(target, scenario, binaries.clone());
        trials.extend(fitting.into_iter().map(trial));
    }
    if wanted(host::NAME) {
        let fitting = scenario::ALL
            .iter()
            .filter(|scenario| scenario.backends.contains(&Backend::HERE));
        trials.extend(fitting.map(|scenario| here(scenario, &standing, binaries.clone())));
    }
    Ok(trials)
}

/// A trial in a virtual machine.
fn in_vm(target: Target, scenario: &'static Scenario, binaries: Binaries) -> Trial {
    let name = format!("{target}::{}", scenario.name);
    Trial::test(name, move || {
        let kept = GUEST.take().filter(|guest| *guest.target() == target);
        let tried = if scenario.alone {
            vm::run(&target, scenario, &binaries, &mut |_| {}).map(drop)
        } else {
            kept.map_or_else(|| Shared::boot(&target, &binaries), Ok)
                .and_then(|guest| try_in(guest, scenario))
        };
        tried.map_err(|error| failed(&error))
    })
}

thread_local! {
    /// The guest that the trials of this thread share. It goes with the first
    /// trial that fails in it, that wants another target, or one to itself.
    static GUEST: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// Runs a scenario in a guest and keeps that for the next one.
fn try_in(mut guest: Shared, scenario: &Scenario) -> Result<()> {
    guest.run(scenario)?;
    GUEST.set(Some(guest));
    Ok(())
}

/// This machine, which has one kernel for all trials.
static HOST: Mutex<()> = Mutex::new(());

/// A trial on this machine's own kernel.
fn here(scenario: &'static Scenario, standing: &Standing, binaries: Binaries) -> Trial {
    let name = format!("{}::{}", host::NAME, scenario.name);
    match standing.clone() {
        Standing::Runs => Trial::test(name, move || {
            // One at a time: each counts everything that happens on the host.
            let _turn = HOST.lock().unwrap_or_else(PoisonError::into_inner);
            host::run(scenario, &binaries).map_err(|error| failed(&error))
        }),
        Standing::Skipped(reason) => skipped(&name, &reason),
        Standing::Broken(reason) => Trial::test(name, move || Err(reason.into())),
    }
}

/// A trial that only says why it does not run.
fn skipped(name: &str, reason: &str) -> Trial {
    Trial::test(name, || Ok(()))
        .with_kind(format!("skipped: {reason}"))
        .with_ignored_flag(true)
}

/// An error with all its causes.
fn failed(error: &anyhow::Error) -> Failed {
    format!("{error:#}").into()
}
