//! The command `ctdrop`.

use std::{
    env, future,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use conntrack_user::{
    cli::{self, Command, CommandLine},
    commands::{
        completions, daemon, fix, incidents, logs, man, overview, probe, report, status, undo,
        watch, who,
    },
    say::{
        finding,
        journal::{self, Level},
        stdout,
    },
    subscribers::screen,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
};

/// The work runs on the main thread; signals are waited for on another one, so
/// that the second one ends the process whatever holds up the work.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let CommandLine { command, look } = match CommandLine::read(env::args_os()) {
        Ok(line) => line,
        Err(error) => return refused(&error),
    };
    look.apply();
    // Of a monitoring plugin 1 and 2 say something about the host.
    let failed = match command {
        Command::Status(_) | Command::Overview => finding::UNKNOWN,
        _ => 1,
    };
    match run(command).await {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(error) = cli::wrong_usage(&error) {
                return refused(&error);
            }
            journal::complain(Level::Error, format!("{error:#}"));
            failed.into()
        }
    }
}

/// Says what is wrong with the command line, or the help that was asked for.
fn refused(error: &clap::Error) -> ExitCode {
    let code = cli::refused_code(error, env::args_os());
    if let Some(line) = cli::refused_plugin(error, env::args_os()) {
        // If that cannot be printed, the exit code still says that the state is unknown.
        let _ = stdout::lines([line]);
    }
    match error.print().and_then(|()| io::stdout().flush()) {
        // Whoever closes a pipe does not want the rest of the help.
        Err(why) if code == 0 && why.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("ctdrop: {}: {why}", stdout::CANNOT_WRITE);
            ExitCode::FAILURE
        }
        _ => code.into(),
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Overview => return Ok(overview::run()?.code().into()),
        Command::Watch(options) => watch::run(*options, shutdown(Hangup::Ends)?).await?,
        Command::Daemon(options) => {
            let hangup = Hangup::of_daemon();
            daemon::run(*options, shutdown(hangup)?, reloads(hangup)?).await?;
        }
        Command::Incidents(options) => incidents::run(&options)?,
        Command::Report(options) => report::run(&options)?,
        Command::Probe(options) => probe::run(&options)?,
        Command::Who(options) => return Ok(who::run(&options)?.code().into()),
        Command::Logs(options) => logs::run(&options)?,
        Command::Status(options) => {
            let state = match options.watch {
                Some(every) => status::watch::run(options, every, shutdown(Hangup::Ends)?).await?,
                None => status::run(&options)?,
            };
            return Ok(state.code().into());
        }
        Command::Fix(options) => return Ok(fix::run(&options)?.code().into()),
        Command::Undo(options) => undo::run(&options)?,
        Command::Completions(options) => completions::run(&options)?,
        Command::Man(options) => man::run(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What SIGHUP asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hangup {
    /// An end: the terminal has hung up.
    Ends,
    /// That the settings are read again: a service has no terminal.
    Reloads,
}

impl Hangup {
    fn of_daemon() -> Self {
        if io::stdout().is_terminal() {
            Self::Ends
        } else {
            Self::Reloads
        }
    }
}

/// A message for each SIGHUP that asks for it; several that come at once are one.
fn reloads(hangup: Hangup) -> Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(1);
    if hangup == Hangup::Reloads {
        let mut signal = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                // One that waits already does for both.
                let _ = sender.try_send(());
            }
        });
    }
    Ok(receiver)
}

/// Ends with the first signal that asks for an end. The second one ends the
/// process at once.
fn shutdown(hangup: Hangup) -> Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals::catch(hangup)?;
    let (first, asked) = oneshot::channel();
    tokio::spawn(async move {
        signals.any().await;
        // Nobody listens any more if the work has ended by itself.
        let _ = first.send(());
        signals.any().await;
        screen::give_back();
        std::process::exit(1);
    });
    Ok(async move {
        // An error means that the task has ended, which it does not.
        let _ = asked.await;
    })
}

/// The signals that ask for an end: of a terminal that hangs up, too, so that
/// nothing is left on it.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    quit: Signal,
}

impl Signals {
    fn catch(hangup: Hangup) -> Result<Self> {
        let catch =
            |kind, name: &str| signal(kind).with_context(|| format!("cannot wait for {name}"));
        Ok(Self {
            interrupt: catch(SignalKind::interrupt(), "SIGINT")?,
            terminate: catch(SignalKind::terminate(), "SIGTERM")?,
            hangup: match hangup {
                Hangup::Ends => Some(catch(SignalKind::hangup(), "SIGHUP")?),
                Hangup::Reloads => None,
            },
            quit: catch(SignalKind::quit(), "SIGQUIT")?,
        })
    }

    async fn any(&mut self) {
        let Self {
            interrupt,
            terminate,
            hangup,
            quit,
        } = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = next(hangup.as_mut()) => {}
            _ = quit.recv() => {}
        }
    }
}

/// The next signal; none comes from one that is not waited for.
async fn next(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => future::pending().await,
    }
}

/// Whether the reader of our output has gone, which is its good right.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
