//! Reads evidence, and shows the progress.

use crate::{
    commands::bar::Bar,
    store::{
        Reader,
        digest::{Asked, Digest},
        failure::Failure,
    },
};

/// Reads the evidence of a time, and shows the progress.
pub(super) fn digest(reader: &Reader, asked: &Asked) -> Result<Digest, Failure> {
    let template = "reading the evidence {wide_bar} {percent} %, {eta} left";
    let mut bar = Bar::new(template, "", Some(1000));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 1"
    )]
    let mut reached = |part: f64| bar.reached((part * 1000.0) as u64);
    reader.digest(asked, &mut reached)
}
