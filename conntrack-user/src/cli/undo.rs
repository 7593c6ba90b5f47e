//! The arguments of `ctdrop undo`.

use std::path::PathBuf;

use crate::{commands::undo::Options, say::output::Output};

/// Options of `ctdrop undo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Undo {
    /// The fix to undo; by default the last one
    #[arg(value_name = "ID")]
    pub id: Option<String>,

    /// Form of the output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Use this mounted or copied tree instead of this host; undo its fix
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// List all fixes, and change nothing
    #[arg(long, conflicts_with = "id")]
    pub list: bool,
}

impl From<Undo> for Options {
    fn from(arguments: Undo) -> Self {
        Self {
            id: arguments.id,
            output: arguments.output,
            root: arguments.root,
            list: arguments.list,
        }
    }
}
