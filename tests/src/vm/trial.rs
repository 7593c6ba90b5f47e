//! A trial in a guest: what is booted, how it ended, and what is kept of it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use tempfile::TempDir;

use super::{
    binaries::Binaries,
    disk_guest::{Content, DiskGuest},
    image::Image,
    initramfs,
    kernels::Target,
    packages,
    qemu::{Boot, Clock, End, Run},
    systems::System,
    tools::Tools,
};
use crate::stage::{Scenario, console::Verdict};

/// Wall-clock time that a scenario may take, boot included: a guard against one
/// that hangs, ample for the slowest on a busy machine.
pub const LIMIT: Duration = Duration::from_mins(10);

/// How many lines of a console a failure shows.
const TAIL: usize = 80;

/// Runs a scenario on a kernel, in a guest of its own that ends with it, with
/// `watch` called for every console line. The error of a failed one holds the
/// end of the console and says where the rest is.
pub fn run(
    target: &Target,
    scenario: &Scenario,
    binaries: &Binaries,
    watch: &mut dyn FnMut(&str),
) -> Result<Duration> {
    let task = format!("ctdrop.scenario={}", scenario.name);
    let tools = packages::tools(target.kernel.architecture, scenario)?;
    let (boot, _files) = prepare(target, binaries, &tools, &task)?;
    judge(target, scenario, &boot.run(watch)?)
}

/// Boots a system from a disk of its own, onto which `files` were put before, and
/// acts on it. The error of what failed holds the end of the console and says where
/// the rest is: under the name of the `trial`.
pub fn on_system<T>(
    system: &System,
    binaries: &Binaries,
    files: &[Content],
    trial: &str,
    act: impl FnOnce(&mut DiskGuest) -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let mut guest = DiskGuest::start(system, binaries, files)?;
    let done = guest.await_boot().and_then(|()| act(&mut guest));
    let console = guest.into_transcript();
    let log = write_log(&format!("{}.{trial}", system.name), &console)?;
    let told = |error| report(&format!("{error:#}"), &console, start.elapsed(), &log);
    done.map_err(|error| anyhow!("{}", told(error)))
}

/// Runs a bench likewise, in a guest that has bpftrace and dropwatch too, and whose
/// clock counts instructions: these do not depend on what else this machine does.
pub fn bench(
    target: &Target,
    scenario: &Scenario,
    binaries: &Binaries,
    watch: &mut dyn FnMut(&str),
) -> Result<Duration> {
    let task = format!("ctdrop.scenario={}", scenario.name);
    // bpftrace asks a shell where clang has its headers, and crashes without one.
    let peers = ["bpftrace", "dropwatch", "sh"];
    let peers = Tools::find(target.kernel.architecture, &peers)?;
    let (mut boot, _files) = prepare(target, binaries, &peers, &task)?;
    boot.clock = Clock::Instructions;
    judge(target, scenario, &boot.run(watch)?)
}

/// What a guest boots, with `more` programs than every guest has, and the
/// directory that must last until it has; its kernel parameters name the target and what it is to do.
pub(super) fn prepare(
    target: &Target,
    binaries: &Binaries,
    more: &Tools,
    task: &str,
) -> Result<(Boot, TempDir)> {
    let architecture = target.kernel.architecture;
    let binaries = binaries.of(architecture)?;
    let image = Image::provide(target.kernel)?;
    let files = tempfile::Builder::new().prefix("ctdrop-vm-").tempdir()?;
    let initramfs = files.path().join("initramfs.cpio");
    initramfs::write(&image.base(), &binaries, more, &[], &initramfs)?;
    let boot = Boot {
        architecture,
        kernel: image.kernel(),
        initramfs,
        parameters: format!(
            "ctdrop.kernel={target} {} {}{task}",
            target.kernel.parameters,
            all()
        ),
        devices: Vec::new(),
        clock: Clock::Time,
        limit: LIMIT,
    };
    Ok((boot, files))
}

/// The kernel parameter that has a guest try what takes minutes, too.
fn all() -> &'static str {
    if env::var_os("CTDROP_ALL").is_some() {
        "ctdrop.all=1 "
    } else {
        ""
    }
}

/// Keeps the console of a run, and says how long it took or why it failed.
pub(super) fn judge(target: &Target, scenario: &Scenario, run: &Run) -> Result<Duration> {
    let log = write_log(&format!("{target}.{}", scenario.name), &run.console)?;
    match failure(run) {
        None => Ok(run.took),
        Some(reason) => Err(anyhow!("{}", report(&reason, &run.console, run.took, &log))),
    }
}

/// Why a run failed, if it did.
fn failure(run: &Run) -> Option<String> {
    match &run.end {
        End::Verdict(Verdict::Ok) => None,
        End::Verdict(Verdict::Failed(reason)) => Some(reason.clone()),
        End::Trouble(line) => Some(format!("the guest's kernel broke: {line}")),
        End::Silent => Some("the guest ended without a result".to_owned()),
        End::Late => Some(format!("no result within {} s", LIMIT.as_secs())),
    }
}

/// The message about a failed run.
fn report(reason: &str, console: &[String], took: Duration, log: &Path) -> String {
    let tail = &console[console.len().saturating_sub(TAIL)..];
    format!(
        "{reason}\n--- last {} of {} console lines after {:.1} s; all of them: {}\n{}\n---",
        tail.len(),
        console.len(),
        took.as_secs_f64(),
        log.display(),
        tail.join("\n"),
    )
}

/// Writes the console of a trial to a file and returns its path.
fn write_log(trial: &str, console: &[String]) -> Result<PathBuf> {
    let directory = log_directory()?;
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let path = directory.join(format!("{trial}.log"));
    fs::write(&path, console.join("\n") + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Where consoles are kept: `$CTDROP_VM_LOGS`, by default `target/vm-logs`.
fn log_directory() -> Result<PathBuf> {
    match env::var_os("CTDROP_VM_LOGS") {
        Some(directory) => Ok(directory.into()),
        None => Ok(env::current_dir()?.join("target/vm-logs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that ended so, with a console of `lines` numbered lines.
    fn ended(end: End, lines: usize) -> Run {
        let console = (1..=lines).map(|number| format!("line {number}")).collect();
        Run {
            end,
            console,
            took: Duration::from_secs(9),
        }
    }

    #[test]
    fn only_an_ok_is_no_failure() {
        let failed = Verdict::Failed("4 flows, expected 5".to_owned());
        assert_eq!(failure(&ended(End::Verdict(Verdict::Ok), 1)), None);
        assert_eq!(
            failure(&ended(End::Verdict(failed), 1)).unwrap(),
            "4 flows, expected 5"
        );
        assert!(
            failure(&ended(End::Silent, 0))
                .unwrap()
                .contains("without a result")
        );
        assert!(
            failure(&ended(End::Late, 0))
                .unwrap()
                .contains("within 600 s")
        );
        let trouble = End::Trouble("Kernel panic - not syncing".to_owned());
        assert!(
            failure(&ended(trouble, 0))
                .unwrap()
                .contains("Kernel panic")
        );
    }

    #[test]
    fn a_failure_shows_the_end_of_the_console_and_where_the_rest_is() {
        let run = ended(End::Silent, 100);
        let report = report("boom", &run.console, run.took, Path::new("/logs/x.log"));
        let lines: Vec<_> = report.lines().collect();
        assert_eq!(lines[0], "boom");
        assert!(lines[1].contains("last 80 of 100") && lines[1].ends_with("/logs/x.log"));
        assert_eq!((lines[2], lines[81]), ("line 21", "line 100"));
    }
}
