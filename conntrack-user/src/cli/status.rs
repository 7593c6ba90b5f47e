//! The arguments of `ctdrop status`.

use std::{path::PathBuf, time::Duration};

use crate::cli::{
    Output,
    values::{interval, percent},
};

/// Options of `ctdrop status`.
#[derive(Clone, Debug, clap::Args)]
pub struct Status {
    /// Output: text for people, json for programs
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: Output,

    /// Judge this mounted or copied tree in place of the running host: its etc,
    /// usr and, for the kernel's numbers, what was copied of its proc
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,

    /// Time between the two looks at the kernel's numbers
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,

    /// A table this full is a warning, in per cent of the limit; not above --critical
    #[arg(long, value_name = "PERCENT", default_value_t = 75, value_parser = percent())]
    pub warning: u8,

    /// A table this full is critical
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = percent())]
    pub critical: u8,
}
