//! Network namespaces.

use core::marker::PhantomData;

use conntrack_ebpf::{ABSENT, early_drops::AllocationKey};

use super::{
    memory::{Access, Probed, Read, Unreadable, layout, read},
    numbers::low_of_address,
};

/// What is known about a namespace, independent of how its address was found.
#[derive(Clone, Copy)]
pub struct SeenNet {
    address: u64,
    /// [`Net::inum`]
    pub inum: u32,
}

impl SeenNet {
    /// Its counter `drop` on the CPU of this offset: `net->ct.stat->drop`. 0 if conntrack
    /// is not loaded.
    pub fn drops(self, own_offset: u64) -> Read<u32> {
        let stat: u64 = read(self.address, layout(|it| &it.net_ct_stat))?;
        if stat == 0 {
            return Ok(0);
        }
        read(stat.wrapping_add(own_offset), layout(|it| &it.stat_drop))
    }
}

/// A `struct net *`.
#[derive(Clone, Copy)]
pub struct Net<R = Probed>(u64, PhantomData<R>);

impl<R: Access> Net<R> {
    /// The namespace at an address.
    pub const fn at(address: u64) -> Self {
        Self(address, PhantomData)
    }

    /// Identifies an allocation in it, by the tuple's hash.
    pub fn allocation_key(self, hash: u32) -> AllocationKey {
        AllocationKey {
            net: self.0,
            net_low: low_of_address(self.0),
            hash,
        }
    }

    /// `net->ns.inum`, the inode of the namespace.
    pub fn inum(self) -> Read<u32> {
        R::number(self.0, layout(|it| &it.net_inum))
    }

    /// What the program at the tracepoint reads about it.
    pub fn seen(self) -> Read<SeenNet> {
        Ok(SeenNet {
            address: self.0,
            inum: self.inum()?,
        })
    }

    /// Whether its table holds as many entries as the limit allows, at this
    /// moment (`__nf_conntrack_alloc`, `net/netfilter/nf_conntrack_core.c`, 5.10
    /// to 7.3).
    pub fn is_full(self) -> Read<bool> {
        let address = layout(|it| &it.max_address);
        if address == 0 {
            return Err(Unreadable);
        }
        let max: u32 = read(address, 0)?;
        Ok(max != 0 && self.entries()? >= max)
    }

    /// Entries in its table: `net->ct.count`, or since 5.13
    /// `nf_ct_pernet(net)->count` (`include/net/netns/generic.h`).
    fn entries(self) -> Read<u32> {
        let net_count = layout(|it| &it.net_count);
        if net_count != ABSENT {
            return read(self.0, net_count);
        }
        let net_id = layout(|it| &it.net_id_address);
        let generic_ptr = layout(|it| &it.generic_ptr);
        if net_id == 0 || generic_ptr == ABSENT {
            return Err(Unreadable);
        }
        let id: u32 = read(net_id, 0)?;
        let generic: u64 = read(self.0, layout(|it| &it.net_gen))?;
        let own: u64 = read(generic, generic_ptr.wrapping_add(id.wrapping_mul(8)))?;
        read(own, layout(|it| &it.generic_count))
    }
}
