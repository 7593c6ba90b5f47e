//! `ctdrop daemon`: observe from now on, and keep the evidence.
//!
//! It is `ctdrop watch` under pressure alone (`--arm auto`), which records and prints what
//! changes.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    auto::guard::Mode, commands::watch, engine, observe::arming::Arm, say::output::Output,
    store::keep::Bounds, subscribers::Printed,
};

/// Where evidence is kept, unless another directory is given.
pub const STATE: &str = "/var/lib/ctdrop";

/// The file in it.
const FILE: &str = "ctdrop.db";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Form of the output.
    pub output: Output,
    /// Where evidence is kept.
    pub state: PathBuf,
    /// How much of it.
    pub bounds: Bounds,
}

/// The file of evidence in a directory.
pub fn file(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Observes until `shutdown`.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let state = &options.state;
    // Addresses and names of processes are nobody else's business.
    let mut directory = DirBuilder::new();
    let made = directory.recursive(true).mode(0o700).create(state);
    made.with_context(|| {
        format!(
            "cannot create directory {}: run as root, or name another directory with --state-dir",
            state.display()
        )
    })?;
    let watch = watch::options::Options {
        engine: engine::options::Options {
            arm: Arm::Auto,
            // What runs for months must not keep the module from being unloaded.
            release_module: true,
            names_ineffective: false,
            ..engine::options::Options::default()
        },
        output: options.output,
        service_names: false,
        fix: Mode::Off,
        ceiling: None,
        printed: Printed::Changes,
        screen: false,
        record: Some(watch::options::Record {
            file: file(state),
            bounds: options.bounds,
        }),
        replay: None,
    };
    watch::run(watch, shutdown).await
}
