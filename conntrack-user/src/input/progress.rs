//! How far reading has come, for whoever shows it.

/// Is told how far reading has come.
pub trait Progress {
    /// A source is read now, of so many bytes if that is known.
    fn begin(&mut self, source: &str, length: Option<u64>);

    /// So many bytes of it have been read.
    fn reached(&mut self, bytes: u64);

    /// The source has been read.
    fn end(&mut self);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _: &str, _: Option<u64>) {}

    fn reached(&mut self, _: u64) {}

    fn end(&mut self) {}
}
