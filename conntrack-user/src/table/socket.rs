//! The netlink socket that a dump comes through.

use std::{
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
    sockopt,
};

use crate::table::receive::Source;

/// Receive buffer of the socket, in bytes. The kernel writes ahead one datagram
/// only, so this is never used up; but too small a default refuses even that.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How long the kernel may take for the next datagram: it goes through all
/// buckets in between, also where few entries match.
const PATIENCE: Duration = Duration::from_secs(30);

/// A `NETLINK_NETFILTER` socket of the network namespace that the calling
/// thread is in.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        // Beyond the limit of the host, which takes CAP_NET_ADMIN; else up to it.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self(socket))
    }
}

impl Source for Socket {
    fn request(&mut self, message: &[u8]) -> io::Result<()> {
        send(&self.0, message, SendFlags::empty())?;
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // With TRUNC the length is that of the datagram, even if it was cut.
        let (_, length) = recv(&self.0, buffer, RecvFlags::TRUNC)?;
        Ok(length)
    }
}

/// A source that fails as soon as nobody wants any more of it.
#[derive(Debug)]
pub(crate) struct Unless<'a, S> {
    /// Whether it is to fail.
    pub(crate) stop: &'a AtomicBool,
    /// What is read for as long as it is not.
    pub(crate) source: S,
}

impl<S: Source> Source for Unless<'_, S> {
    fn request(&mut self, message: &[u8]) -> io::Result<()> {
        self.source.request(message)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("it was stopped"));
        }
        self.source.receive(buffer)
    }
}
