//! Conntrack's entries and zones.

use conntrack_ebpf::ABSENT;

use super::{
    memory::{Access, Read, layout, read},
    net::Net,
    numbers::jiffies,
    tuple::Tuple,
};

/// `zone->id` of the `struct nf_conntrack_zone *` at `address`.
pub fn zone_id<R: Access>(address: u64) -> Read<u16> {
    R::number(address, layout(|it| &it.zone_id))
}

/// A `struct nf_conn *`.
#[derive(Clone, Copy)]
pub struct Conntrack(u64);

impl Conntrack {
    /// The entry at an address.
    pub const fn at(address: u64) -> Self {
        Self(address)
    }

    /// The namespace it belongs to.
    pub fn net(self) -> Read<Net> {
        read(self.0, layout(|it| &it.ct_net)).map(Net::at)
    }

    /// Its original tuple.
    pub fn tuple(self) -> Read<Tuple> {
        read(self.0, layout(|it| &it.ct_tuple))
    }

    /// Its zone; 0 on a kernel without zones.
    pub fn zone(self) -> Read<u16> {
        let offset = layout(|it| &it.ct_zone);
        if offset == ABSENT {
            Ok(0)
        } else {
            read(self.0, offset)
        }
    }

    /// `ct->status`, bits of `enum ip_conntrack_status`
    /// (`include/uapi/linux/netfilter/nf_conntrack_common.h`).
    pub fn status(self) -> Read<u64> {
        read(self.0, layout(|it| &it.ct_status))
    }

    /// Whether it is in the hash table, or has been.
    ///
    /// Until it is inserted, the place for the link of its reply direction
    /// holds its 32-bit hash; after that an address, and after it was taken out
    /// a poisoned one (`__nf_conntrack_confirm` and `hlist_nulls_del_rcu`). The
    /// bit `IPS_CONFIRMED` does not tell: kernels before July 2025 set it before
    /// they have decided (fixed by commit 2d72afb34065).
    pub fn was_inserted(self) -> Read<bool> {
        let link: u64 = read(self.0, layout(|it| &it.ct_reply_pprev))?;
        Ok(link > u64::from(u32::MAX))
    }

    /// Whether its time is over: `nf_ct_is_expired`
    /// (`include/net/netfilter/nf_conntrack.h`, 4.9 and later).
    pub fn is_expired(self) -> Read<bool> {
        let timeout: u32 = read(self.0, layout(|it| &it.ct_timeout))?;
        Ok(timeout.wrapping_sub(jiffies()).cast_signed() <= 0)
    }

    /// Whether its extensions are of an older generation than the kernel's:
    /// `nf_ct_ext_valid_pre` (`net/netfilter/nf_conntrack_extend.c`, 5.19 to
    /// 6.18). False on kernels without generations.
    pub fn extensions_are_stale(self) -> Read<bool> {
        let newest = layout(|it| &it.ext_genid_address);
        let gen_id = layout(|it| &it.ext_gen_id);
        if newest == 0 || gen_id == ABSENT {
            return Ok(false);
        }
        let extensions: u64 = read(self.0, layout(|it| &it.ct_ext))?;
        if extensions == 0 {
            return Ok(false);
        }
        let theirs: u32 = read(extensions, gen_id)?;
        let current: u32 = read(newest, 0)?;
        Ok(theirs != current)
    }
}
