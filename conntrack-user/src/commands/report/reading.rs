//! Reads evidence, and shows the progress.

use anyhow::Result;

use crate::{
    commands::bar::Bar,
    store::{
        Reader,
        digest::{Asked, Digest},
    },
};

/// Reads the evidence of a time, and shows the progress.
pub(super) fn digest(reader: &Reader, asked: &Asked) -> Result<Digest> {
    let template = "reading the evidence {wide_bar} {percent} %, {eta} left";
    let mut bar = Bar::new(template, "", Some(1000));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 1"
    )]
    let mut reached = |part: f64| bar.reached((part * 1000.0) as u64);
    Ok(reader.digest(asked, &mut reached)?)
}
