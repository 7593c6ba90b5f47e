//! The settings of the daemon. What the command line says wins, then what the file says.

use std::{path::PathBuf, time::Duration};

use crate::{
    commands::daemon::{
        otlp,
        value::{Value, quoted},
        values::{duration, duration_text, size, size_text},
    },
    say::output::Output,
    store::keep::Bounds,
    subscribers::{
        hook::command::Command,
        metrics::{
            Live,
            listen::Listen,
            numbers::{Cardinality, MOST},
        },
        otlp::settings::Settings as Otlp,
    },
};

/// Where evidence is kept, unless another directory is given.
pub const STATE: &str = "/var/lib/ctdrop";

/// What somebody has chosen; the rest is open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Form of the output.
    pub output: Option<Output>,
    /// Where evidence is kept.
    pub state: Option<PathBuf>,
    /// The most room that it may take, in bytes.
    pub max_size: Option<u64>,
    /// How long details are kept.
    pub max_age: Option<Duration>,
    /// Where metrics are served.
    pub metrics_listen: Option<Listen>,
    /// Namespaces with series of their own.
    pub metrics_namespaces: Option<usize>,
    /// Flows with series of their own.
    pub metrics_top: Option<usize>,
    /// The most namespaces whose container or pod has its names in the metrics.
    pub metrics_owners: Option<usize>,
    /// What is run for incidents, if anything is.
    pub hook: Option<Option<Command>>,
    /// Where and how to send by OTLP.
    pub otlp: otlp::Given,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Form of the output.
    pub output: Output,
    /// Where evidence is kept.
    pub state: PathBuf,
    /// Where metrics are served.
    pub listen: Listen,
    /// What is run for incidents, if anything is.
    pub hook: Option<Command>,
    /// Where and how to send by OTLP.
    pub otlp: Otlp,
    /// What may change while it runs: how much evidence is kept, and what is exported.
    pub live: Live,
}

impl Given {
    /// What is in force where nobody has chosen anything.
    pub fn defaults() -> Self {
        let Live {
            bounds,
            cardinality,
        } = Live::default();
        Self {
            output: Some(Output::Text),
            state: Some(STATE.into()),
            max_size: Some(bounds.bytes),
            max_age: Some(bounds.age),
            metrics_listen: Some(Listen::default()),
            metrics_namespaces: Some(cardinality.namespaces),
            metrics_top: Some(cardinality.top),
            metrics_owners: Some(cardinality.owners),
            hook: Some(None),
            otlp: otlp::Given::defaults(),
        }
    }

    /// This, and where it says nothing, the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            output: self.output.or(other.output),
            state: self.state.or(other.state),
            max_size: self.max_size.or(other.max_size),
            max_age: self.max_age.or(other.max_age),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            metrics_namespaces: self.metrics_namespaces.or(other.metrics_namespaces),
            metrics_top: self.metrics_top.or(other.metrics_top),
            metrics_owners: self.metrics_owners.or(other.metrics_owners),
            hook: self.hook.or(other.hook),
            otlp: self.otlp.or(other.otlp),
        }
    }
}

impl From<Given> for Settings {
    /// Takes the defaults where nothing was chosen.
    fn from(given: Given) -> Self {
        let Live {
            bounds,
            cardinality,
        } = Live::default();
        Self {
            output: given.output.unwrap_or(Output::Text),
            state: given.state.unwrap_or_else(|| STATE.into()),
            listen: given.metrics_listen.unwrap_or_default(),
            hook: given.hook.flatten(),
            otlp: given.otlp.into(),
            live: Live {
                bounds: Bounds {
                    bytes: given.max_size.unwrap_or(bounds.bytes),
                    age: given.max_age.unwrap_or(bounds.age),
                },
                cardinality: Cardinality {
                    namespaces: given.metrics_namespaces.unwrap_or(cardinality.namespaces),
                    top: given.metrics_top.unwrap_or(cardinality.top),
                    owners: given.metrics_owners.unwrap_or(cardinality.owners),
                },
            },
        }
    }
}

/// A setting of the file.
pub(super) struct Setting {
    /// Its table.
    pub(super) table: &'static str,
    /// Its key there.
    pub(super) key: &'static str,
    /// Whether SIGHUP puts another value in force.
    pub(super) reloads: bool,
    /// Takes a value.
    pub(super) take: fn(&mut Given, Value<'_>) -> Result<(), String>,
    /// The value that was chosen, as the file has it; none if none was.
    pub(super) written: fn(&Given) -> Option<String>,
}

/// How many series of a kind there are.
///
/// # Errors
///
/// What is to be given instead.
pub(crate) fn series(number: u64) -> Result<usize, String> {
    let number = usize::try_from(number).ok();
    number
        .filter(|&number| number <= MOST)
        .ok_or_else(|| format!("give a whole number from 0 to {MOST}"))
}

/// Every setting, in the order of the documentation.
pub(super) const ALL: &[Setting] = &[
    Setting {
        table: "output",
        key: "format",
        reloads: false,
        take: |given, value| {
            given.output = Some(match value.text()? {
                "text" => Output::Text,
                "json" => Output::Json,
                _ => return Err("give text or json".to_owned()),
            });
            Ok(())
        },
        written: |given| {
            let name = |output| match output {
                Output::Text => "text",
                Output::Json => "json",
            };
            given.output.map(|output| quoted(name(output)))
        },
    },
    Setting {
        table: "evidence",
        key: "state_dir",
        reloads: false,
        take: |given, value| {
            let path = PathBuf::from(value.text()?);
            if !path.is_absolute() {
                return Err(
                    "give a directory that begins with /: a service has no other place".to_owned(),
                );
            }
            given.state = Some(path);
            Ok(())
        },
        written: |given| {
            let state = given.state.as_ref();
            state.map(|state| quoted(&state.to_string_lossy()))
        },
    },
    Setting {
        table: "evidence",
        key: "max_size",
        reloads: true,
        take: |given, value| {
            given.max_size = Some(size(value.text()?)?);
            Ok(())
        },
        written: |given| given.max_size.map(|bytes| quoted(&size_text(bytes))),
    },
    Setting {
        table: "evidence",
        key: "max_age",
        reloads: true,
        take: |given, value| {
            given.max_age = Some(duration(value.text()?)?);
            Ok(())
        },
        written: |given| given.max_age.map(|age| quoted(&duration_text(age))),
    },
    Setting {
        table: "metrics",
        key: "listen",
        reloads: false,
        take: |given, value| {
            given.metrics_listen = Some(Listen::read(value.text()?)?);
            Ok(())
        },
        written: |given| {
            let listen = given.metrics_listen.as_ref();
            listen.map(|listen| quoted(&listen.to_string()))
        },
    },
    Setting {
        table: "metrics",
        key: "namespaces",
        reloads: true,
        take: |given, value| {
            given.metrics_namespaces = Some(series(value.number()?)?);
            Ok(())
        },
        written: |given| given.metrics_namespaces.map(|most| most.to_string()),
    },
    Setting {
        table: "metrics",
        key: "top",
        reloads: true,
        take: |given, value| {
            given.metrics_top = Some(series(value.number()?)?);
            Ok(())
        },
        written: |given| given.metrics_top.map(|most| most.to_string()),
    },
    Setting {
        table: "metrics",
        key: "owners",
        reloads: true,
        take: |given, value| {
            given.metrics_owners = Some(series(value.number()?)?);
            Ok(())
        },
        written: |given| given.metrics_owners.map(|most| most.to_string()),
    },
    Setting {
        table: "hooks",
        key: "exec",
        reloads: false,
        take: |given, value| {
            given.hook = Some(match value.text()? {
                "" | "off" => None,
                text => Some(Command::read(text)?),
            });
            Ok(())
        },
        written: |given| {
            let command = given.hook.as_ref()?.as_ref();
            Some(quoted(command.map_or("", Command::text)))
        },
    },
    of_otlp(
        "endpoint",
        |given, value| otlp::take_endpoint(&mut given.otlp, value),
        |given| otlp::endpoint(&given.otlp),
    ),
    of_otlp(
        "metrics_endpoint",
        |given, value| otlp::take_metrics(&mut given.otlp, value),
        |given| otlp::metrics(&given.otlp),
    ),
    of_otlp(
        "logs_endpoint",
        |given, value| otlp::take_logs(&mut given.otlp, value),
        |given| otlp::logs(&given.otlp),
    ),
    of_otlp(
        "headers",
        |given, value| otlp::take_headers(&mut given.otlp, value),
        |given| otlp::headers(&given.otlp),
    ),
    of_otlp(
        "headers_file",
        |given, value| otlp::take_headers_file(&mut given.otlp, value),
        |given| otlp::headers_file(&given.otlp),
    ),
    of_otlp(
        "ca_file",
        |given, value| otlp::take_ca_file(&mut given.otlp, value),
        |given| otlp::ca_file(&given.otlp),
    ),
    of_otlp(
        "interval",
        |given, value| otlp::take_interval(&mut given.otlp, value),
        |given| otlp::interval(&given.otlp),
    ),
    of_otlp(
        "timeout",
        |given, value| otlp::take_timeout(&mut given.otlp, value),
        |given| otlp::timeout(&given.otlp),
    ),
    of_otlp(
        "compression",
        |given, value| otlp::take_compression(&mut given.otlp, value),
        |given| otlp::compression(&given.otlp),
    ),
    of_otlp(
        "queue_size",
        |given, value| otlp::take_queue_size(&mut given.otlp, value),
        |given| otlp::queue_size(&given.otlp),
    ),
];

/// A setting of OTLP.
const fn of_otlp(
    key: &'static str,
    take: fn(&mut Given, Value<'_>) -> Result<(), String>,
    written: fn(&Given) -> Option<String>,
) -> Setting {
    Setting {
        table: "otlp",
        key,
        reloads: false,
        take,
        written,
    }
}
