//! Packets.

use core::marker::PhantomData;

use aya_ebpf::helpers::bpf_probe_read_kernel_buf;
use conntrack_ebpf::capture::SNAP_LENGTH;

use super::{
    conntrack::Conntrack,
    memory::{Access, Probed, Read, Unreadable, layout, read},
    net::{Net, SeenNet},
    numbers::low,
};

/// A `struct sk_buff *`.
#[derive(Clone, Copy)]
pub struct Skb<R = Probed>(u64, PhantomData<R>);

impl<R: Access> Skb<R> {
    /// The packet at an address.
    pub const fn at(address: u64) -> Self {
        Self(address, PhantomData)
    }

    /// Its address, an identity while it lives.
    pub const fn address(self) -> u64 {
        self.0
    }

    /// `skb->_nfct`: the entry's address, and in the lowest three bits the
    /// state (`NFCT_PTRMASK`, `include/linux/skbuff.h`). 0 if no entry was made;
    /// 7 for an untracked packet.
    pub fn nfct(self) -> Read<u64> {
        R::number(self.0, layout(|it| &it.skb_nfct))
    }

    /// The conntrack entry it carries.
    pub fn conntrack(self) -> Read<Conntrack> {
        match self.nfct()? & !7 {
            0 => Err(Unreadable),
            address => Ok(Conntrack::at(address)),
        }
    }

    /// The namespace it is in: that of its device, else of its socket, else of the
    /// device it is routed to. A packet on its way out has no device yet in the output
    /// hook.
    pub fn net(self) -> Read<SeenNet> {
        let device: u64 = R::number(self.0, layout(|it| &it.skb_dev))?;
        if device != 0 {
            return Net::<R>::at(R::number(device, layout(|it| &it.dev_net))?).seen();
        }
        let socket: u64 = R::number(self.0, layout(|it| &it.skb_sk))?;
        if socket != 0 {
            return Net::<R>::at(R::number(socket, layout(|it| &it.sk_net))?).seen();
        }
        // The lowest bit says whether the reference is counted (SKB_DST_NOREF).
        let route: u64 = R::number(self.0, layout(|it| &it.skb_dst))?;
        let device: u64 = read(route & !1, layout(|it| &it.dst_dev))?;
        Net::<Probed>::at(read(device, layout(|it| &it.dev_net))?).seen()
    }

    /// Whether it belongs to a socket, as one on its way out does.
    pub fn has_socket(self) -> Read<bool> {
        let socket: u64 = R::number(self.0, layout(|it| &it.skb_sk))?;
        Ok(socket != 0)
    }

    /// `skb->protocol`, host order: 0x0800 or 0x86dd.
    pub fn protocol(self) -> Read<u16> {
        R::number(self.0, layout(|it| &it.skb_protocol)).map(u16::from_be)
    }

    /// The part of the packet that lies in one piece, from the network header
    /// on.
    pub fn network(self) -> Read<Bytes> {
        let head: u64 = R::number(self.0, layout(|it| &it.skb_head))?;
        let data: u64 = R::number(self.0, layout(|it| &it.skb_data))?;
        let network: u16 = R::number(self.0, layout(|it| &it.skb_network_header))?;
        let len: u32 = R::number(self.0, layout(|it| &it.skb_len))?;
        let paged: u32 = R::number(self.0, layout(|it| &it.skb_data_len))?;
        let start = head.wrapping_add(u64::from(network));
        let end = data.wrapping_add(u64::from(len.wrapping_sub(paged)));
        let paged = u64::from(paged);
        Ok(Bytes { start, end, paged })
    }
}

/// A stretch of packet bytes in kernel memory.
#[derive(Clone, Copy)]
pub struct Bytes {
    start: u64,
    end: u64,
    /// How many more bytes the packet has outside of the linear part of its buffer.
    paged: u64,
}

impl Bytes {
    /// How many bytes the packet has from the start on.
    pub const fn length(self) -> u32 {
        low(self.end.wrapping_sub(self.start).wrapping_add(self.paged))
    }

    /// How many of them are in the linear part of its buffer.
    pub const fn linear(self) -> u32 {
        low(self.end.wrapping_sub(self.start))
    }

    /// Copies the first bytes. If there are fewer, it also copies the memory behind them.
    /// Fails if there are none.
    pub fn copy_to(self, room: &mut [u8; SNAP_LENGTH]) -> Read<()> {
        if self.start >= self.end {
            return Err(Unreadable);
        }
        // SAFETY: the helper takes any address and fails cleanly on a bad one.
        unsafe { bpf_probe_read_kernel_buf(self.start as *const u8, room) }.map_err(|_| Unreadable)
    }

    /// Copies what lies at `offset`; fails past the end.
    pub fn read<T: Copy>(self, offset: u32) -> Read<T> {
        let last = self
            .start
            .wrapping_add(u64::from(offset))
            .wrapping_add(size_of::<T>() as u64);
        if last > self.end {
            return Err(Unreadable);
        }
        read(self.start, offset)
    }
}

/// Whether a packet was freed because netfilter dropped it, by the number of
/// the reason.
pub fn is_netfilter_drop(reason: u32) -> bool {
    reason == layout(|it| &it.reason_netfilter_drop)
}
