//! The arguments of `ctdrop daemon`.

use std::{path::PathBuf, time::Duration};

use crate::{
    cli::values::{duration, series, size},
    commands::daemon::{CONFIG, Options, STATE, otlp, settings::Given},
    say::output::Output,
    subscribers::{
        hook::command::Command,
        metrics::{
            listen::{DEFAULT as LISTEN, Listen},
            numbers::MOST,
        },
        otlp::settings::Endpoint,
    },
};

/// Options of `ctdrop daemon`. What is given here wins over the file of settings.
#[derive(Clone, Debug, clap::Args)]
pub struct Daemon {
    /// The file of settings.
    #[arg(long, value_name = "FILE", help = format!(
        "Read settings from this file (docs/config.md) [default: {CONFIG}, if it is there]"
    ))]
    pub config: Option<PathBuf>,

    /// Only check the settings: show those in force and where each comes from
    #[arg(long)]
    pub check: bool,

    /// Form of the output: text for people, json for programs (one object a line) [default: text]
    #[arg(short, long, value_enum)]
    pub output: Option<Output>,

    /// The directory of the evidence.
    #[arg(long, value_name = "DIR", help = format!(
        "The directory with the evidence database; the daemon writes ctdrop.db there [default: {STATE}]"
    ))]
    pub state_dir: Option<PathBuf>,

    /// Maximum size of the evidence database on the disk, such as 64MiB or 1GiB
    /// [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,

    /// Keep details for this long, such as 90d; summaries of incidents are kept longer
    /// [default: 90d]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub max_age: Option<Duration>,

    /// Where metrics are served.
    #[arg(long, value_name = "ADDR|unix:PATH", value_parser = Listen::read, help = format!(
        "Serve /metrics, /healthz and /readyz there, or nowhere: off [default: {LISTEN}]"
    ))]
    pub metrics_listen: Option<Listen>,

    /// Flows with series of their own.
    #[arg(long, value_name = "N", value_parser = series, help = format!(
        "Export series of the N flows with the most refused packets, {MOST} at most; they hold \
         addresses [default: 0]"
    ))]
    pub metrics_top: Option<usize>,

    /// Run this command when an incident is opened and when it is closed, with the incident as JSON
    /// on its standard input; ctdrop runs no shell for it (docs/hooks.md)
    #[arg(long, value_name = "CMD", value_parser = Command::read)]
    pub exec: Option<Command>,

    /// Send metrics and records of incidents by OTLP over HTTP to this address, such as
    /// `https://collector.example:4318`, or off [default: off]
    #[arg(long, value_name = "URL", value_parser = Endpoint::read)]
    pub otlp_endpoint: Option<Endpoint>,

    /// Send the headers in this file by OTLP, such as "authorization: Bearer …"; others must not
    /// be able to read the file
    #[arg(long, value_name = "FILE")]
    pub otlp_headers_file: Option<PathBuf>,

    /// Trust the certificate authorities in this PEM file for OTLP [default: those of the host]
    #[arg(long, value_name = "FILE")]
    pub otlp_ca_file: Option<PathBuf>,
}

impl From<Daemon> for Options {
    fn from(arguments: Daemon) -> Self {
        Self {
            config: arguments.config,
            check: arguments.check,
            flags: Given {
                output: arguments.output,
                state: arguments.state_dir,
                max_size: arguments.max_size,
                max_age: arguments.max_age,
                metrics_listen: arguments.metrics_listen,
                metrics_namespaces: None,
                metrics_top: arguments.metrics_top,
                metrics_owners: None,
                hook: arguments.exec.map(Some),
                otlp: otlp::Given {
                    endpoint: arguments.otlp_endpoint,
                    headers_file: arguments.otlp_headers_file.map(Some),
                    ca_file: arguments.otlp_ca_file.map(Some),
                    ..otlp::Given::default()
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{
            Command,
            read::tests::{assert_accepted, assert_refused},
        },
        commands::daemon::settings::Settings,
        store::keep::Bounds,
    };

    #[test]
    fn by_default_it_keeps_256_mib_for_90_days() {
        let Command::Daemon(options) = Command::read(["ctdrop", "daemon"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!(options.flags, Given::default());
        let settings = Settings::from(options.flags);
        assert_eq!(settings.live.bounds, Bounds::default());
        assert_eq!(settings.state, PathBuf::from("/var/lib/ctdrop"));
        assert_accepted("ctdrop daemon --max-size 1GiB --max-age 7d -o json");
        assert_accepted("ctdrop daemon --metrics-listen unix:/run/m --metrics-top 5");
        assert_refused("ctdrop daemon --metrics-top 51", 2, "from 0 to 50");
        assert_refused("ctdrop daemon --metrics-listen here", 2, "127.0.0.1:10917");
        assert_accepted("ctdrop daemon --otlp-endpoint https://c:4318 --otlp-ca-file ca.pem");
        assert_refused("ctdrop daemon --otlp-endpoint c:4318", 2, "https://");
        assert_accepted("ctdrop daemon --check --config here.toml");
        assert_accepted("ctdrop daemon --exec true");
        assert_refused("ctdrop daemon --exec 'a", 2, "close it");
        assert_refused("ctdrop daemon --max-size 1KiB", 2, "4 MiB or more");
        assert_refused("ctdrop daemon --max-size lots", 2, "such as 64MiB");
    }
}
