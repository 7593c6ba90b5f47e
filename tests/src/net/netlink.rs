//! The part of nfnetlink that the tests speak: conntrack, queue, nftables.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::netns::Netns;

/// `NLM_F_REQUEST`, linux/netlink.h: every message to the kernel has it.
const REQUEST: u16 = 0x1;
/// `NLM_F_EXCL`: fail if the object is there.
pub(super) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`: make the object if it is not there.
pub(super) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: at the end of the list.
pub(super) const APPEND: u16 = 0x800;
/// `NLA_F_NESTED`: the attribute holds attributes.
const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK`: what is left of an attribute's type without its flags.
const TYPE_MASK: u16 = 0x3fff;

/// Room for what the kernel answers to one batch of requests, in bytes.
const RECEIVE_BUFFER: i32 = 8 << 20;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Requests to be sent together.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The messages, each padded to four bytes.
    bytes: Vec<u8>,
    /// How many there are.
    count: usize,
}

/// The attributes of a request in the making.
#[derive(Debug)]
pub(super) struct Attributes<'a>(&'a mut Vec<u8>);

impl Requests {
    /// Adds a request: `kind` is the subsystem × 256 + the message, `family`
    /// and `resource` go into the `struct nfgenmsg`.
    pub(super) fn add(
        &mut self,
        kind: u16,
        flags: u16,
        (family, resource): (u8, u16),
        body: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((REQUEST | flags).to_ne_bytes());
        // Sequence and port: nothing here waits for a particular answer.
        self.bytes.extend([0; 8]);
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        body(&mut Attributes(&mut self.bytes));
        let length =
            u32::try_from(self.bytes.len() - start).expect("a request is far smaller than 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.count += 1;
    }

    /// How many requests there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }
}

impl Attributes<'_> {
    /// Adds an attribute that holds `value`.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.write(kind, |attributes| attributes.0.extend(value))
    }

    /// Adds an attribute that holds attributes.
    pub(super) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.write(kind | NESTED, body)
    }

    /// Writes an attribute whose payload `body` writes, and pads it.
    fn write(&mut self, kind: u16, body: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        body(&mut Attributes(self.0));
        let length =
            u16::try_from(self.0.len() - start).expect("attributes here are shorter than 64 KiB");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// A `NETLINK_NETFILTER` socket of one namespace.
#[derive(Debug)]
pub(super) struct NetlinkSocket(OwnedFd);

impl NetlinkSocket {
    /// Opens one in `netns`.
    pub(super) fn open(netns: &Netns) -> Result<Self> {
        let socket = netns.run(|| {
            // SAFETY: socket takes three integers.
            let fd = unsafe {
                libc::socket(
                    libc::AF_NETLINK,
                    libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                    libc::NETLINK_NETFILTER,
                )
            };
            check(fd).context("cannot open a netfilter netlink socket; are you root?")?;
            // SAFETY: the descriptor was just opened and has no other owner.
            Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
        })?;
        set_option(
            &socket.0,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            RECEIVE_BUFFER,
        )?;
        // Errors then carry the header of the request only.
        set_option(&socket.0, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)?;
        Ok(socket)
    }

    /// Sends `requests`; the kernel has carried them out on return. Gives how
    /// many it refused, by error number.
    pub(super) fn carry_out(&self, requests: &Requests) -> Result<BTreeMap<i32, u64>> {
        let bytes = &requests.bytes;
        // SAFETY: the pointer and the length describe `bytes`.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error()).context("cannot send to netfilter netlink");
        }
        let mut refused = BTreeMap::new();
        let mut buffer = vec![0; 1 << 16];
        while let Some(length) = self.receive(&mut buffer, libc::MSG_DONTWAIT)? {
            for error in messages(&buffer[..length]).filter_map(Message::error) {
                if error != 0 {
                    *refused.entry(error).or_default() += 1;
                }
            }
        }
        Ok(refused)
    }

    /// Sends `requests`; fails if the kernel refused any of them.
    pub(super) fn command(&self, requests: &Requests, what: &str) -> Result<()> {
        if let Some((error, _)) = self.carry_out(requests)?.first_key_value() {
            return Err(io::Error::from_raw_os_error(*error))
                .with_context(|| format!("the kernel refused to {what}"));
        }
        Ok(())
    }

    /// Limits how long [`Self::receive`] waits.
    pub(super) fn set_timeout(&self, timeout: Duration) -> Result<()> {
        set_receive_timeout(&self.0, timeout)
    }

    /// Receives a datagram; `None` if there is none yet.
    pub(super) fn receive(&self, buffer: &mut [u8], flags: i32) -> Result<Option<usize>> {
        // SAFETY: the pointer and the length describe `buffer`.
        let length = unsafe {
            libc::recv(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags,
            )
        };
        if let Ok(length) = usize::try_from(length) {
            return Ok(Some(length));
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock {
            return Ok(None);
        }
        Err(error).context("cannot receive from netfilter netlink")
    }
}

/// A message from the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// Subsystem × 256 + message, or a control message.
    pub(super) kind: u16,
    /// What follows the `struct nlmsghdr`.
    pub(super) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The error number of an error message; 0 acknowledges.
    fn error(self) -> Option<i32> {
        let is_error = i32::from(self.kind) == libc::NLMSG_ERROR;
        let number = self.payload.first_chunk::<4>().filter(|_| is_error)?;
        Some(-i32::from_ne_bytes(*number))
    }

    /// The value of the attribute `kind` after the `struct nfgenmsg`.
    pub(super) fn attribute(self, kind: u16) -> Option<&'a [u8]> {
        let mut rest = self.payload.get(4..)?;
        while let [l0, l1, k0, k1, ..] = *rest {
            let length = usize::from(u16::from_ne_bytes([l0, l1]));
            let value = rest.get(4..length)?;
            if u16::from_ne_bytes([k0, k1]) & TYPE_MASK == kind {
                return Some(value);
            }
            rest = rest.get(length.next_multiple_of(4)..)?;
        }
        None
    }
}

/// The messages in a datagram from the kernel.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = datagram.first_chunk::<HEADER>()?;
        let length = u32::from_ne_bytes(*header.first_chunk()?) as usize;
        let message = Message {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            payload: datagram.get(HEADER..length)?,
        };
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(message)
    })
}

/// Sets an integer option of a socket.
pub(super) fn set_option(socket: &OwnedFd, level: i32, name: i32, value: i32) -> Result<()> {
    set_raw_option(socket, level, name, &value.to_ne_bytes())
}

/// Limits how long receiving waits.
pub(super) fn set_receive_timeout(socket: &OwnedFd, timeout: Duration) -> Result<()> {
    let Ok(seconds) = i64::try_from(timeout.as_secs()) else {
        bail!("a timeout of {timeout:?} is too long");
    };
    let microseconds = i64::from(timeout.subsec_micros());
    // A `struct timeval` of a 64-bit kernel.
    let value = [seconds.to_ne_bytes(), microseconds.to_ne_bytes()].concat();
    set_raw_option(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &value)
}

/// Sets an option of a socket.
pub(super) fn set_raw_option(socket: &OwnedFd, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let length = libc::socklen_t::try_from(value.len())?;
    // SAFETY: the pointer and the length describe `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            length,
        )
    };
    check(result)
        .map(drop)
        .with_context(|| format!("cannot set option {name} of level {level} of a socket"))
}

/// The result of a system call that gives -1 and sets errno when it fails.
pub(super) fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
