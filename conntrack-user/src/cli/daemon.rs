//! The arguments of `ctdrop daemon`.

use std::{path::PathBuf, time::Duration};

use crate::{
    cli::values::{duration, size},
    commands::daemon::{Options, STATE},
    say::output::Output,
    store::keep::Bounds,
};

/// Options of `ctdrop daemon`.
#[derive(Clone, Debug, clap::Args)]
pub struct Daemon {
    /// Output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Write the evidence database, ctdrop.db, to this directory
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub state_dir: PathBuf,

    /// Maximum size of the evidence database on the disk, such as 64MiB or 1GiB
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "256MiB")]
    pub max_size: u64,

    /// Keep details for this long, such as 90d; summaries of incidents are kept longer
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "90d")]
    pub max_age: Duration,
}

impl From<Daemon> for Options {
    fn from(arguments: Daemon) -> Self {
        Self {
            output: arguments.output,
            state: arguments.state_dir,
            bounds: Bounds {
                bytes: arguments.max_size,
                age: arguments.max_age,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{
        Command,
        read::tests::{assert_accepted, assert_refused},
    };

    #[test]
    fn by_default_it_keeps_256_mib_for_90_days() {
        let Command::Daemon(options) = Command::read(["ctdrop", "daemon"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!(options.bounds, Bounds::default());
        assert_eq!(options.state, PathBuf::from("/var/lib/ctdrop"));
        assert_accepted("ctdrop daemon --max-size 1GiB --max-age 7d -o json");
        assert_refused("ctdrop daemon --max-size 1KiB", 2, "4 MiB or more");
        assert_refused("ctdrop daemon --max-size lots", 2, "such as 64MiB");
    }
}
