//! Runs scenarios: as `/init` inside a guest, as a command outside.

use std::{
    env, panic,
    path::PathBuf,
    process::ExitCode,
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};
use ctdrop_tests::{
    agent,
    bench::Figure,
    guest, host, scenario,
    stage::{Backend, Extent, Machine, console::Show},
    system, vm,
    vm::{Binaries, disk::Disk, image::Image, kernels, systems, systems::System},
};

/// Tries ctdrop on real kernels.
#[derive(Debug, Parser)]
#[command(name = "ctdrop-tests")]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Task {
    /// List kernels and scenarios, systems and stories
    List,
    /// Download and prepare kernels, and the disks of systems
    Images {
        /// Only this kernel or system; may be repeated
        #[arg(long = "kernel", value_name = "NAME")]
        kernels: Vec<String>,
    },
    /// Run a scenario in a virtual machine
    Vm {
        /// The scenario's name
        scenario: String,
        /// The kernel to boot
        #[arg(long, value_name = "NAME")]
        kernel: String,
        /// Show the console while the guest runs
        #[arg(long)]
        console: bool,
        /// What the guest runs
        #[command(flatten)]
        under_test: UnderTest,
    },
    /// Boot a Debian system from a disk of its own and run a script there
    System {
        /// The system's name
        system: String,
        /// What its shell runs
        script: String,
        /// What the guest has
        #[command(flatten)]
        under_test: UnderTest,
    },
    /// Run a scenario on this machine's own kernel; needs root
    Here {
        /// The scenario's name
        scenario: String,
        /// What the scenario runs
        #[command(flatten)]
        under_test: UnderTest,
    },
    /// Show ctdrop at work in a virtual machine
    Demo {
        /// The kernel to boot
        #[arg(long, value_name = "NAME", default_value = "6.12")]
        kernel: String,
        /// What the guest runs
        #[command(flatten)]
        under_test: UnderTest,
    },
    /// Measure: in a virtual machine, or on this machine's own kernel
    Bench {
        /// The scenario's name
        scenario: String,
        /// The kernel to boot; none: this machine's own
        #[arg(long, value_name = "NAME")]
        kernel: Option<String>,
        /// Give the guest bpftrace and dropwatch, and a clock that counts the
        /// instructions it executes
        #[arg(long, requires = "kernel")]
        instructions: bool,
        /// What is measured
        #[command(flatten)]
        under_test: UnderTest,
    },
    /// Do what the host asks for; what systemd of a disk guest starts
    #[command(hide = true)]
    Agent,
    /// Run a scenario in a guest; what init starts
    #[command(name = guest::CHILD, hide = true)]
    Guest {
        /// The scenario's name
        scenario: String,
    },
}

/// The program under test.
#[derive(Args, Debug)]
struct UnderTest {
    /// The ctdrop to try [default: the one beside this program]
    #[arg(long, value_name = "PATH", env = "CTDROP_BIN")]
    ctdrop: Option<PathBuf>,
}

impl UnderTest {
    /// The two programs of a guest. Its init is what was built together with ctdrop, or else
    /// this program.
    fn binaries(self) -> Result<Binaries> {
        let own = env::current_exe().context("cannot find the path of this program")?;
        let ctdrop = self.ctdrop.unwrap_or_else(|| own.with_file_name("ctdrop"));
        let beside = ctdrop.with_file_name("ctdrop-tests");
        let init = if beside.exists() { beside } else { own };
        Ok(Binaries { ctdrop, init })
    }
}

fn main() -> ExitCode {
    if guest::is_init() {
        guest::init();
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ctdrop-tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for.
fn run(task: Task) -> Result<()> {
    match task {
        Task::List => {
            list();
            Ok(())
        }
        Task::Images { kernels } => images(&kernels),
        Task::Vm {
            scenario,
            kernel,
            console,
            under_test,
        } => {
            let mut watch = |line: &str| {
                if console {
                    println!("{line}");
                }
            };
            let took = in_vm(&kernel, &scenario, under_test, &mut watch)?;
            println!("{kernel}::{scenario}: ok ({:.1} s)", took.as_secs_f64());
            Ok(())
        }
        Task::System {
            system,
            script,
            under_test,
        } => {
            let (system, binaries) = (systems::find(&system)?, under_test.binaries()?);
            let ended = vm::on_system(system, &binaries, &[], "script", |guest| {
                guest.run(["sh", "-c", &script])
            })?;
            print!("{}", ended.stdout);
            eprint!("{}", ended.stderr);
            ensure!(ended.code == Some(0), "it ended with {:?}", ended.code);
            Ok(())
        }
        Task::Here {
            scenario,
            under_test,
        } => {
            let machine = here(under_test)?;
            let scenario = scenario::find(&scenario)?;
            // The others change the machine, which only a guest is for.
            ensure!(
                scenario.backends.contains(&machine.backend),
                "scenario {} is for guests: ctdrop-tests vm --kernel 6.12 {0}",
                scenario.name
            );
            scenario.on(&machine)
        }
        Task::Demo { kernel, under_test } => {
            let mut show = Show::default();
            let mut watch = |line: &str| {
                if let Some(line) = show.pick(line) {
                    println!("{line}");
                }
            };
            in_vm(&kernel, "demo", under_test, &mut watch).map(|_| ())
        }
        Task::Bench {
            scenario,
            kernel,
            instructions,
            under_test,
        } => bench(&scenario, kernel.as_deref(), instructions, under_test),
        Task::Agent => agent::serve(),
        Task::Guest { scenario } => guest::child(&scenario),
    }
}

/// Runs a scenario that measures, and prints what it shows and its figures.
fn bench(
    scenario: &str,
    kernel: Option<&str>,
    instructions: bool,
    under_test: UnderTest,
) -> Result<()> {
    let Some(kernel) = kernel else {
        return scenario::find(scenario)?.on(&here(under_test)?);
    };
    let mut show = Show::default();
    let mut watch = |line: &str| {
        if show.pick(line).is_some() || Figure::is_stated_in(line) {
            println!("{line}");
        } else if instructions && !line.is_empty() {
            eprintln!("{line}");
        }
    };
    if instructions {
        let (target, scenario) = (kernels::find(kernel)?, scenario::find(scenario)?);
        return vm::bench(&target, scenario, &under_test.binaries()?, &mut watch).map(drop);
    }
    in_vm(kernel, scenario, under_test, &mut watch).map(drop)
}

/// Runs a scenario in a virtual machine and says how long it took.
fn in_vm(
    kernel: &str,
    scenario: &str,
    under_test: UnderTest,
    watch: &mut dyn FnMut(&str),
) -> Result<Duration> {
    let (target, scenario) = (kernels::find(kernel)?, scenario::find(scenario)?);
    vm::run(&target, scenario, &under_test.binaries()?, watch)
}

/// This machine, with its own kernel.
fn here(under_test: UnderTest) -> Result<Machine> {
    Ok(Machine {
        ctdrop: under_test.binaries()?.ctdrop,
        backend: Backend::HERE,
        forced: false,
        auto: false,
        extent: Extent::of(env::var_os("CTDROP_ALL").is_some()),
        guest: false,
    })
}

/// Lists what there is.
fn list() {
    for kernel in kernels::ALL {
        println!(
            "kernel {:12} {} of Debian {}",
            kernel.name, kernel.package, kernel.suite
        );
    }
    for scenario in scenario::ALL {
        println!("scenario {:10} {}", scenario.name, scenario.about);
    }
    for system in systems::ALL {
        println!("system {:8} Debian {} on a disk", system.name, system.suite);
    }
    for story in system::ALL {
        println!("story {:15} {}", story.name, story.about);
    }
}

/// Prepares kernels and systems; no name means all that are tried by default, or with
/// `CTDROP_ALL` all of them.
fn images(names: &[String]) -> Result<()> {
    let (mut kernels, mut systems) = (Vec::new(), Vec::new());
    for name in names {
        match systems::find(name) {
            Ok(system) => systems.push(system),
            Err(_) => kernels.push(kernels::find(name)?.kernel.name),
        }
    }
    if names.is_empty() {
        let all = env::var_os("CTDROP_ALL").is_some();
        let tried = kernels::ALL.iter();
        let tried = tried.filter(|kernel| all || kernel.tried != kernels::Tried::Nothing);
        kernels.extend(tried.map(|kernel| kernel.name));
        systems.extend(systems::ALL);
    }
    for kernel in kernels::ALL {
        if kernels.contains(&kernel.name) {
            prepare_kernel(kernel)?;
        }
    }
    prepare_systems(&systems)
}

/// Prepares a kernel.
fn prepare_kernel(kernel: &kernels::Kernel) -> Result<()> {
    let image = Image::provide(kernel)?;
    let missing = image.missing()?;
    let without = if missing.is_empty() {
        String::new()
    } else {
        format!(" (without {missing})")
    };
    println!(
        "kernel {}: {}{without}",
        kernel.name,
        image.kernel().display()
    );
    Ok(())
}

/// Prepares systems, all at once: most of it is one program after the other.
fn prepare_systems(systems: &[&'static System]) -> Result<()> {
    if !systems.is_empty() && !host::Facts::gather()?.root {
        println!("systems: made by the first trial on each, which is root");
        return Ok(());
    }
    let provide = |system: &'static System| {
        let start = Instant::now();
        let disk = Disk::provide(system)?;
        let (path, took) = (disk.kernel(), start.elapsed().as_secs_f64());
        println!("system {}: {} ({took:.1} s)", system.name, path.display());
        anyhow::Ok(())
    };
    thread::scope(|scope| {
        let started: Vec<_> = systems
            .iter()
            .map(|&system| scope.spawn(move || provide(system)))
            .collect();
        let mut ended = started.into_iter().map(ScopedJoinHandle::join);
        ended.try_for_each(|ended| ended.unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}
