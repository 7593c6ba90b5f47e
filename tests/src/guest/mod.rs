//! The first process of a guest: prepares the machine, runs a scenario or
//! several, and states each verdict on the console.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use anyhow::{Context as _, Error, Result, bail, ensure};

use crate::{
    scenario,
    stage::{
        Extent, Machine,
        console::{READY, Verdict},
        kernel_log, mount_all,
        places::{CTDROP, DISK},
    },
    vm::kernels,
};

pub mod disk;
mod init;

/// The argument by which init starts the process that runs the scenario.
pub const CHILD: &str = "guest";

/// Where a guest's programs are.
const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

/// Where that process leaves its verdict.
const VERDICT: &str = "/run/ctdrop-verdict";

/// What tells the distribution whose kernel runs here.
const DISTRIBUTION: (&str, &str) = (
    "/etc/os-release",
    "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
);

/// What tells that systemd has booted the machine (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

/// Whether this is the first process of a guest, and not merely of a container.
pub fn is_init() -> bool {
    process::id() == 1 && env::args().next().is_some_and(|name| name == "/init")
}

/// Does the work of init and ends the machine.
pub fn init() -> ! {
    if let Err(error) = prepare_and_serve() {
        state(&failed(&error));
    }
    init::power_off()
}

/// Prepares the machine and runs the scenario that the kernel's command line
/// names; if it names none, those that the console asks for, one after the other.
/// If it names a disk, boots that.
fn prepare_and_serve() -> Result<()> {
    if let Some(disk) = env::var_os(DISK) {
        return disk::enter(&disk.to_string_lossy());
    }
    prepare()?;
    let command_line = command_line()?;
    if let Ok(scenario) = parameter(&command_line, "ctdrop.scenario") {
        state(&try_out(scenario));
        return Ok(());
    }
    let mut requests = io::stdin().lines();
    loop {
        println!("{READY}");
        match requests.next() {
            Some(scenario) => state(&try_out(&scenario?)),
            None => return Ok(()),
        }
    }
}

/// Makes the machine what a distribution makes of it.
fn prepare() -> Result<()> {
    mount_all()?;
    let lo = Command::new("/sbin/ip")
        .args(["link", "set", "lo", "up"])
        .status();
    ensure!(lo.context("cannot run ip")?.success(), "cannot set lo up");
    fs::write("/proc/sys/kernel/hostname", "ctdrop-vm").context("cannot name the guest")?;
    // What files do at a boot is told by the init, and this one is known to nobody.
    let (path, text) = DISTRIBUTION;
    fs::write(path, text).with_context(|| format!("cannot write {path}"))?;
    fs::create_dir_all(SYSTEMD).with_context(|| format!("cannot make {SYSTEMD}"))
}

/// States a verdict, in a line of its own: meanwhile only a dying kernel may
/// write to the console.
fn state(verdict: &Verdict) {
    let path = "/proc/sys/kernel/printk";
    let level = fs::read_to_string(path);
    let _ = fs::write(path, "1");
    println!("\n{}", verdict.to_line());
    init::drain_console();
    if let Ok(level) = level {
        let _ = fs::write(path, level);
    }
}

/// The verdict on a scenario.
fn try_out(scenario: &str) -> Verdict {
    run(scenario).unwrap_or_else(|error| failed(&error))
}

/// Has the scenario run by a process of its own, so that whatever happens to
/// that one, there is a verdict.
fn run(scenario: &str) -> Result<Verdict> {
    let mut child = Command::new("/proc/self/exe");
    child.args([CHILD, scenario]).env("PATH", PATH);
    // The console's input is for init alone.
    let status = init::run(child.stdin(Stdio::null()))?;
    let verdict = match fs::read_to_string(VERDICT) {
        Ok(line) => Verdict::in_line(&line).with_context(|| format!("not a verdict: {line}"))?,
        Err(_) => bail!("the process of the scenario ended with {status}"),
    };
    fs::remove_file(VERDICT).with_context(|| format!("cannot remove {VERDICT}"))?;
    if let Some(trouble) = taint() {
        print!("{}", kernel_log()?);
        bail!("the kernel is tainted by {trouble}, and the scenario ended {verdict:?}");
    }
    Ok(verdict)
}

/// Runs a scenario and leaves its verdict for init.
pub fn child(scenario: &str) -> Result<()> {
    let run = || scenario::find(scenario)?.on(&machine()?);
    let verdict = match run() {
        Ok(()) => Verdict::Ok,
        Err(error) => failed(&error),
    };
    fs::write(VERDICT, verdict.to_line()).with_context(|| format!("cannot write {VERDICT}"))
}

/// Prints an error with everything it has to say, for the console's reader.
fn failed(error: &Error) -> Verdict {
    println!("{error:?}");
    Verdict::of(error)
}

/// This machine, with the backend that the kernel's command line names.
fn machine() -> Result<Machine> {
    let command_line = command_line()?;
    let target = kernels::find(parameter(&command_line, "ctdrop.kernel")?)?;
    Ok(Machine {
        ctdrop: PathBuf::from(CTDROP),
        backend: target.backend,
        forced: target.is_forced(),
        auto: target.auto,
        extent: Extent::of(parameter(&command_line, "ctdrop.all").is_ok()),
        guest: true,
    })
}

/// The kernel's command line.
fn command_line() -> Result<String> {
    fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")
}

/// The value of a kernel parameter.
fn parameter<'a>(command_line: &'a str, name: &str) -> Result<&'a str> {
    let mut parameters = command_line.split_whitespace();
    let value = parameters.find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='));
    value.with_context(|| format!("no {name} in the kernel parameters"))
}

/// What broke in the kernel without ending it. Bits of `tainted`:
/// <https://docs.kernel.org/admin-guide/tainted-kernels.html>
fn taint() -> Option<&'static str> {
    let path = Path::new("/proc/sys/kernel/tainted");
    let bits: u64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let troubles = [(7, "an oops"), (9, "a warning"), (14, "a soft lockup")];
    troubles
        .into_iter()
        .find_map(|(bit, trouble)| (bits & (1 << bit) != 0).then_some(trouble))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let line = "console=ttyS0 xctdrop.scenario=no ctdrop.scenario=boots ctdrop.kernel=6.1\n";
        assert_eq!(parameter(line, "ctdrop.scenario").unwrap(), "boots");
        assert_eq!(parameter(line, "ctdrop.kernel").unwrap(), "6.1");
        assert!(parameter(line, "ctdrop").is_err());
    }
}
