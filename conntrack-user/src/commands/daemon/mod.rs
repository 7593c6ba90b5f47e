//! `ctdrop daemon`: observe from now on, and keep the evidence.
//!
//! It is `ctdrop watch` under pressure alone (`--arm auto`), which records and prints what
//! changes. Its settings come from the command line and from a file, which SIGHUP has read
//! again.

mod config;
pub mod otlp;
mod reload;
pub mod settings;
mod value;
pub(crate) mod values;

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc::Receiver, watch as latest};

pub(crate) use self::config::FILE as CONFIG;
pub use self::settings::STATE;
use crate::{
    auto::guard::Mode,
    commands::{
        daemon::{
            config::Read,
            reload::Reloader,
            settings::{ALL, Given, Settings},
        },
        watch::{self, Beside},
    },
    engine,
    observe::arming::Arm,
    say::{
        journal::{self, Level},
        stdout,
    },
    subscribers::{
        self, Printed,
        fix_request::FixRequest,
        metrics::{
            Metrics,
            export::Counts,
            listen::{Listen, Listener},
            server::Server,
            shared::Shared,
        },
        otlp::{Otlp, Sender},
        service::{Manager, Service},
        worker::Worker,
    },
};

/// The file in it.
const FILE: &str = "ctdrop.db";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file of settings, if it is not the usual one.
    pub config: Option<PathBuf>,
    /// What the command line sets.
    pub flags: Given,
    /// The settings are only shown.
    pub check: bool,
}

/// The file of evidence in a directory.
pub fn file(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Observes until `shutdown`. With each of `reloads` the file of settings is read again.
///
/// # Errors
///
/// What is wrong with the settings, or cannot be observed or recorded.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
    reloads: Receiver<()>,
) -> Result<()> {
    let Options {
        config: named,
        flags,
        check,
    } = options;
    let read = config::read(named.as_deref())?;
    let given = flags.clone().or(read.given.clone()).or(Given::defaults());
    let settings = Settings::from(given.clone());
    settings.otlp.check()?;
    if let Some(hook) = &settings.hook {
        hook.check()?;
    }
    if check {
        let named = named.unwrap_or_else(|| CONFIG.into());
        return stdout::lines(shown(&named, &read, &flags));
    }
    let is_asked_for = flags.metrics_listen.is_some() || read.given.metrics_listen.is_some();
    make(&settings.state)?;
    let manager = Manager::of_environment().context("cannot use the socket NOTIFY_SOCKET")?;
    let (bounds, latest_bounds) = latest::channel(settings.live.bounds);
    let (live, latest_live) = latest::channel(settings.live);
    let shared = Arc::new(Shared::default());
    let _server = serve(&settings.listen, is_asked_for, &shared)?;
    let sending = send(&settings, &shared)?;
    let counts = sending.as_ref().map(|sending| Arc::clone(&sending.counts));
    let metrics = Metrics::new(shared, file(&settings.state), latest_live).with_export(counts);
    let mut others = vec![
        Worker::start("the metrics", metrics)?,
        Worker::start("the service manager", Service::new(manager.clone()))?,
    ];
    let mut _sender = None;
    if let Some(sending) = sending {
        others.push(Worker::start("the export by OTLP", sending.told)?);
        _sender = Some(sending.sender);
    }
    if let Some(request) = FixRequest::of_environment() {
        others.push(Worker::start("the request for a fix", request)?);
    }
    let reloader = Reloader {
        named,
        flags,
        given,
        bounds,
        live,
        manager: manager.clone(),
    };
    tokio::spawn(reloader.follow(reloads));
    let ending = manager.clone();
    let shutdown = async move {
        shutdown.await;
        ending.stops();
    };
    let beside = Beside {
        bounds: Some(latest_bounds),
        others,
        manager,
    };
    watch::run_beside(watching(&settings), beside, shutdown).await
}

/// Serves the metrics, on the socket of the service manager if it has passed one. A failure is an
/// error if `metrics.listen` was set. If not, ctdrop goes on without metrics.
fn serve(listen: &Listen, is_asked_for: bool, shared: &Arc<Shared>) -> Result<Option<Server>> {
    let listening =
        Listener::passed().and_then(|passed| Listener::choose(passed, listen, is_asked_for));
    let serving = listening.and_then(|listener| {
        let server = listener.map(|listener| Server::start(listener, Arc::clone(shared)));
        server.transpose()
    });
    match serving {
        Err(error) if !is_asked_for => {
            journal::complain(
                Level::Warning,
                format!("{error:#}. ctdrop goes on without metrics"),
            );
            Ok(None)
        }
        serving => serving,
    }
}

/// The export by OTLP.
struct Sending {
    told: Otlp,
    sender: Sender,
    counts: Arc<Counts>,
}

/// Starts the export by OTLP, if it is on.
fn send(settings: &Settings, shared: &Arc<Shared>) -> Result<Option<Sending>> {
    if !settings.otlp.is_on() {
        return Ok(None);
    }
    let counts = Arc::new(Counts::default());
    let started = subscribers::otlp::start(
        &settings.otlp,
        &settings.state,
        &file(&settings.state),
        Arc::clone(shared),
        Arc::clone(&counts),
    );
    let (told, sender) = started?;
    Ok(Some(Sending {
        told,
        sender,
        counts,
    }))
}

/// Makes the directory of evidence.
fn make(state: &Path) -> Result<()> {
    // Addresses and names of processes are nobody else's business.
    let mut directory = DirBuilder::new();
    let made = directory.recursive(true).mode(0o700).create(state);
    made.with_context(|| {
        format!(
            "cannot create directory {}: run as root, or name another directory with --state-dir",
            state.display()
        )
    })
}

/// What `ctdrop watch` is to do.
fn watching(settings: &Settings) -> watch::options::Options {
    watch::options::Options {
        engine: engine::options::Options {
            arm: Arm::Auto,
            // What runs for months must not keep the module from being unloaded.
            release_module: true,
            names_ineffective: false,
            ..engine::options::Options::default()
        },
        output: settings.output,
        service_names: false,
        fix: Mode::Off,
        ceiling: None,
        printed: Printed::Changes,
        screen: false,
        record: Some(watch::options::Record {
            file: file(&settings.state),
            bounds: settings.live.bounds,
        }),
        hook: settings.hook.clone(),
        pcap: None,
        replay: None,
    }
}

/// The settings in force, in the form of the file, and where each comes from.
fn shown(path: &Path, read: &Read, flags: &Given) -> Vec<String> {
    let path = path.display();
    let mut lines = vec![if read.is_there {
        format!("# {path} is sound")
    } else {
        format!("# {path} is not there")
    }];
    let given = flags.clone().or(read.given.clone()).or(Given::defaults());
    let mut table = "";
    for setting in ALL {
        let Some(written) = (setting.written)(&given) else {
            continue;
        };
        if setting.table != table {
            table = setting.table;
            lines.push(format!("[{table}]"));
        }
        let source = if (setting.written)(flags).is_some() {
            "the command line"
        } else if (setting.written)(&read.given).is_some() {
            "the file"
        } else {
            "the default"
        };
        lines.push(format!("{} = {written}  # {source}", setting.key));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_shown_with_where_they_come_from() {
        let flags = Given {
            max_size: Some(1 << 30),
            ..Given::default()
        };
        let read = Read {
            given: Given {
                max_size: Some(8 << 20),
                state: Some("/srv/ctdrop".into()),
                ..Given::default()
            },
            is_there: true,
        };
        let lines = shown(Path::new("/etc/x.toml"), &read, &flags);
        assert_eq!(lines[0], "# /etc/x.toml is sound");
        for line in [
            "format = \"text\"  # the default",
            "state_dir = \"/srv/ctdrop\"  # the file",
            "max_size = \"1GiB\"  # the command line",
        ] {
            assert!(lines.iter().any(|shown| shown == line), "{line}: {lines:?}");
        }
        // It is a file of settings again.
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let again = config::read(Some(&file)).unwrap().given;
        assert_eq!(again, flags.or(read.given).or(Given::defaults()));
    }

    /// Every setting is in the documentation and in the example, which is sound and sets
    /// what is in force without it.
    #[test]
    fn the_example_and_the_documentation_have_every_setting() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let example = text("packaging/config.toml");
        let documentation = text("docs/config.md");
        let mut table = "";
        let mut whole = String::new();
        for setting in ALL {
            let written = (setting.written)(&Given::defaults()).unwrap();
            let line = format!("{} = {written}", setting.key);
            assert!(
                example.contains(&format!("\n#{line}\n")),
                "{line}: packaging/config.toml"
            );
            let row = format!("| `{}.{}` |", setting.table, setting.key);
            assert!(documentation.contains(&row), "{row}: docs/config.md");
            if setting.table != table {
                table = setting.table;
                whole.extend(["[", table, "]\n"]);
            }
            whole.extend([&line, "\n"]);
        }
        let settings = |text: &str| {
            let lines = text.lines().map(|line| line.trim_start_matches('#').trim());
            let is_setting = |line: &&str| {
                let key = line.split_once(" = ").map(|(key, _)| key);
                line.starts_with('[') || ALL.iter().any(|setting| Some(setting.key) == key)
            };
            let lines = lines.filter(is_setting);
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            settings(&example),
            settings(&whole),
            "packaging/config.toml"
        );
    }
}
