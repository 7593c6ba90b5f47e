//! Conntrack's tuple.

/// A `struct nf_conntrack_tuple` (`include/net/netfilter/nf_conntrack_tuple.h`),
/// whose layout has not changed from 3.10 to 7.3.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tuple {
    /// `src.u3`
    pub src: [u8; 16],
    /// `src.u.all`, big endian; of ICMP the id
    pub src_port: [u8; 2],
    /// `src.l3num`
    pub family: u16,
    /// `dst.u3`
    pub dst: [u8; 16],
    /// `dst.u.all`, big endian; of ICMP type and code
    pub dst_port: [u8; 2],
    /// `dst.protonum`
    pub protocol: u8,
    /// `dst.dir`
    pub direction: u8,
}
const _: () = assert!(size_of::<Tuple>() == 40);
