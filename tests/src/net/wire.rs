//! The cable into the firewall: frames in batches, and proof of their arrival.
//!
//! A veth puts frames into the backlog of the CPU that sent them, where they
//! wait for a softirq; a full backlog drops them (`net.core.netdev_max_backlog`,
//! 1000 by default). Therefore the sender stays on one CPU, and after every
//! batch sends a fence: a frame of an Ethernet type for experiments, which a
//! socket in the firewall receives. The backlog is a queue, so once the fence
//! has arrived, conntrack is done with all that was sent before it.

use std::{
    ffi::CString,
    fs, io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    lan::{CLIENT_MAC, LAN_MAC, Lan},
    netlink::{check, set_option, set_raw_option, set_receive_timeout},
    netns::Netns,
};

/// Frames between two fences: well below the default backlog of 1000.
pub(super) const BATCH: usize = 256;

/// IEEE 802 local experimental Ethernet type 1.
const FENCE_TYPE: u16 = 0x88b5;

/// How long a batch may take, in a slow emulator too.
const FENCE_TIMEOUT: Duration = Duration::from_secs(20);

/// One sender's end of the cable. Not for more than one thread.
#[derive(Debug)]
pub(super) struct Wire {
    /// Where frames leave the sender namespace.
    out: OwnedFd,
    /// Where fences arrive in the firewall namespace.
    fences: OwnedFd,
    /// Which sender this is, so that it knows its own fences.
    sender: u32,
    /// How many fences it has sent.
    sent_fences: u32,
    /// Length of a frame in bytes.
    length: usize,
    /// The frames of a batch, one after the other.
    frames: Vec<u8>,
    /// Where each of them is; `headers` points into it.
    _vectors: Vec<libc::iovec>,
    /// What `sendmmsg` reads.
    headers: Vec<libc::mmsghdr>,
}

impl Wire {
    /// Connects the `sender`th sender to the cable and binds the calling
    /// thread to one CPU. All its frames start out as copies of `frame`.
    pub(super) fn attach(lan: &Lan, sender: u32, frame: &[u8]) -> Result<Self> {
        stay_on_cpu(sender)?;
        let out = packet_socket(&lan.sender, "client", 0)?;
        set_option(&out, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
        let fences = packet_socket(&lan.firewall, "lan", FENCE_TYPE)?;
        receive_from(&fences, sender)?;
        set_receive_timeout(&fences, FENCE_TIMEOUT)?;
        let mut frames = frame.repeat(BATCH);
        let mut vectors: Vec<_> = frames
            .chunks_exact_mut(frame.len())
            .map(|frame| libc::iovec {
                iov_base: frame.as_mut_ptr().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let headers = vectors.iter_mut().map(header).collect();
        Ok(Self {
            out,
            fences,
            sender,
            sent_fences: 0,
            length: frame.len(),
            frames,
            _vectors: vectors,
            headers,
        })
    }

    /// The frames of the next batch, to be changed in place.
    pub(super) fn frames(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.frames.chunks_exact_mut(self.length)
    }

    /// Sends the first `count` frames and waits until conntrack has seen them.
    pub(super) fn send(&mut self, count: usize) -> Result<()> {
        let mut waiting = &mut self.headers[..count];
        while !waiting.is_empty() {
            let length = u32::try_from(waiting.len())?;
            // SAFETY: `length` headers are there, and each points through its
            // vector to a frame; vectors and frames live and stay in `self`.
            let sent =
                unsafe { libc::sendmmsg(self.out.as_raw_fd(), waiting.as_mut_ptr(), length, 0) };
            let sent = check(sent).context("cannot send frames from the interface client")?;
            waiting = &mut waiting[usize::try_from(sent)?..];
        }
        self.fence()
    }

    /// How many frames this sender has sent besides those of the flood.
    pub(super) const fn sent_fences(&self) -> u32 {
        self.sent_fences
    }

    /// Sends a fence and waits for it.
    fn fence(&mut self) -> Result<()> {
        self.sent_fences += 1;
        let mark = [self.sender.to_be_bytes(), self.sent_fences.to_be_bytes()].concat();
        let frame = [&LAN_MAC[..], &CLIENT_MAC, &FENCE_TYPE.to_be_bytes(), &mark].concat();
        // SAFETY: the pointer and the length describe `frame`.
        let sent =
            unsafe { libc::send(self.out.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        ensure!(
            usize::try_from(sent) == Ok(frame.len()),
            "cannot send a fence: {}",
            io::Error::last_os_error()
        );
        let mut arrived = [0; 8];
        // One of another sender may be here from before it was told to leave those out.
        while arrived[..] != mark {
            // SAFETY: the pointer and the length describe `arrived`.
            let length = unsafe {
                libc::recv(
                    self.fences.as_raw_fd(),
                    arrived.as_mut_ptr().cast(),
                    arrived.len(),
                    0,
                )
            };
            ensure!(
                length >= 0,
                "no fence arrived behind a batch: {}; was net.core.netdev_max_backlog lowered?",
                io::Error::last_os_error()
            );
        }
        Ok(())
    }
}

/// Has a socket receive the fences of one sender alone. Those of others would fill its queue while
/// this one's CPU is kept from its softirqs, and its own fence would find no room there.
fn receive_from(fences: &OwnedFd, sender: u32) -> Result<()> {
    let word_of_fence = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let step = |code: u32, skip_if_not, k| {
        anyhow::Ok(libc::sock_filter {
            code: u16::try_from(code)?,
            jt: 0,
            jf: skip_if_not,
            k,
        })
    };
    let filter = [
        step(word_of_fence, 0, 0)?,
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, sender)?,
        step(libc::BPF_RET | libc::BPF_K, 0, u32::MAX)?,
        step(libc::BPF_RET | libc::BPF_K, 0, 0)?,
    ];
    // A `struct sock_fprog` of a 64-bit kernel: how many steps, a gap, and where they are.
    let length = u64::try_from(filter.len())?.to_le_bytes();
    let program = [length, filter.as_ptr().addr().to_ne_bytes()].concat();
    set_raw_option(fences, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// The header by which `sendmmsg` sends one vector.
fn header(vector: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: the structure holds integers and pointers; all may be zero.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_iov = ptr::from_mut(vector);
    header.msg_hdr.msg_iovlen = 1;
    header
}

/// A packet socket on `interface` that receives frames of type `ethertype`
/// without their Ethernet header, or none if that is 0; it sends whole frames.
fn packet_socket(netns: &Netns, interface: &str, ethertype: u16) -> Result<OwnedFd> {
    let kind = if ethertype == 0 {
        libc::SOCK_RAW
    } else {
        libc::SOCK_DGRAM
    };
    netns.run(|| {
        // SAFETY: socket takes three integers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) };
        check(fd).context("cannot open a packet socket; are you root?")?;
        // SAFETY: the descriptor was just opened and has no other owner.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let address = link_address(interface, ethertype)?;
        let length = libc::socklen_t::try_from(size_of_val(&address))?;
        // SAFETY: the pointer and the length describe `address`.
        let result = unsafe { libc::bind(fd, ptr::from_ref(&address).cast(), length) };
        check(result).with_context(|| format!("cannot bind to the interface {interface}"))?;
        Ok(socket)
    })
}

/// The address of `interface` in the namespace of the calling thread.
fn link_address(interface: &str, ethertype: u16) -> Result<libc::sockaddr_ll> {
    let name = CString::new(interface)?;
    // SAFETY: `name` ends with a zero byte.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    ensure!(index != 0, "there is no interface {interface}");
    // SAFETY: the structure holds integers; all may be zero.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET)?;
    address.sll_protocol = ethertype.to_be();
    address.sll_ifindex = i32::try_from(index)?;
    Ok(address)
}

/// How many CPUs the process may use: the most senders worth having.
pub(super) fn senders() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|count| u32::try_from(count.get()).ok())
        .unwrap_or(1)
}

/// Binds the calling thread to the `number`th of the CPUs it may use.
fn stay_on_cpu(number: u32) -> Result<()> {
    // As many bits as `cpu_set_t` has.
    let mut allowed = [0_u64; 16];
    let length = size_of_val(&allowed);
    // SAFETY: the pointer and the length describe `allowed`.
    let result = unsafe { libc::sched_getaffinity(0, length, allowed.as_mut_ptr().cast()) };
    check(result).context("cannot read which CPUs this thread may use")?;
    let cpus = (0..1024).filter(|cpu| allowed[cpu / 64] & (1 << (cpu % 64)) != 0);
    let cpu = cpus
        .clone()
        .nth(number as usize)
        .with_context(|| format!("there is no CPU for sender {number}"))?;
    let mut only = [0_u64; 16];
    only[cpu / 64] = 1 << (cpu % 64);
    // SAFETY: the pointer and the length describe `only`.
    let result = unsafe { libc::sched_setaffinity(0, length, only.as_ptr().cast()) };
    check(result)
        .map(drop)
        .with_context(|| format!("cannot bind a sender to CPU {cpu}"))
}

/// How many packets `interface` has received; for a veth, how many of those
/// that its peer sent found room in the backlog.
pub(super) fn received(netns: &Netns, interface: &str) -> Result<u64> {
    netns.run(|| {
        // Not /proc/net: that shows the namespace of the first thread.
        let path = "/proc/thread-self/net/dev";
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        received_packets(&text, interface)
            .with_context(|| format!("{path} does not show packets received by {interface}"))
    })
}

/// The second number of the line of `interface`.
fn received_packets(text: &str, interface: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, numbers) = lines.find(|(name, _)| name.trim() == interface)?;
    numbers.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_packets_are_the_second_number() {
        let text = "Inter-| Receive\n face |bytes packets\n  wan: 5 6 0\n  lan: 90 7 1 2 3\n";
        assert_eq!(received_packets(text, "lan"), Some(7));
        assert_eq!(received_packets(text, "client"), None);
    }
}
