//! Receives a dump, ahead of whoever adds it up.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender},
};

use crate::table::wire;

/// Bytes of a datagram: the kernel never writes more than 32 KiB at once, and
/// as much only if the reader has room for it (`netlink_dump`,
/// `net/netlink/af_netlink.c`).
pub(super) const DATAGRAM: usize = 64 << 10;

/// Datagrams that are received ahead.
pub(super) const AHEAD: usize = 8;

/// How often a dump goes on after the kernel lacked room for a datagram.
pub(super) const PATIENCE: u64 = 1000;

/// What a dump is asked of and comes from.
pub trait Source {
    /// Sends a message to the kernel.
    fn request(&mut self, message: &[u8]) -> io::Result<()>;

    /// Receives a datagram and gives its length, which is that of the datagram
    /// even if it had no room.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// What the thread that receives hands over.
pub(super) enum Received {
    /// A datagram: the first bytes of the buffer.
    Datagram(Vec<u8>, usize),
    /// The kernel lacked room for one.
    Overrun,
    /// Nothing more can be received.
    Failed(io::Error),
}

/// Receives datagrams up to the one that ends the dump, or for as long as
/// somebody wants them.
pub(super) fn receive(
    source: &mut impl Source,
    full: &SyncSender<Received>,
    free: &Receiver<Vec<u8>>,
) {
    let mut overruns = 0;
    while let Ok(mut buffer) = free.recv() {
        let length = loop {
            match source.receive(&mut buffer) {
                Ok(length) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The dump goes on with the next call.
                Err(error)
                    if error.raw_os_error() == Some(libc::ENOBUFS) && overruns < PATIENCE =>
                {
                    overruns += 1;
                    if full.send(Received::Overrun).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    // Nobody may want to know any more.
                    let _ = full.send(Received::Failed(error));
                    return;
                }
            }
        };
        let last = buffer.get(..length).is_none_or(wire::ends);
        if full.send(Received::Datagram(buffer, length)).is_err() || last {
            return;
        }
    }
}
