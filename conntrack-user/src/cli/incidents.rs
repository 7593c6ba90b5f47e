//! The arguments of `ctdrop incidents`.

use std::path::PathBuf;

use crate::{
    commands::{
        daemon::{self, STATE},
        incidents::Options,
    },
    say::output::Output,
};

/// Options of `ctdrop incidents`.
#[derive(Clone, Debug, clap::Args)]
pub struct Incidents {
    /// Form of the output: text for people, json for programs (one object a line)
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// The directory with the evidence database
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub state_dir: PathBuf,

    /// Read this evidence database, such as one that watch --record has written
    #[arg(long, value_name = "FILE", conflicts_with = "state_dir")]
    pub db: Option<PathBuf>,
}

impl From<Incidents> for Options {
    fn from(arguments: Incidents) -> Self {
        let Incidents {
            output,
            state_dir,
            db,
        } = arguments;
        Self {
            output,
            file: db.unwrap_or_else(|| daemon::file(&state_dir)),
        }
    }
}
