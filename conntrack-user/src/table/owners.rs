//! Whose an address is: of a container or pod, of another namespace, of the
//! namespace itself.

use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use foldhash::fast::RandomState;

use crate::{kernel::netns::Namespaces, table::entry::Address};

/// Addresses that are remembered. A host with more containers than this is not
/// known; addresses beyond have no owner.
const ADDRESSES: usize = 65_536;

/// Whose addresses are whose, as the table of one namespace has them.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    known: Arc<Known>,
    /// The namespace whose table it is, as an index.
    table: Option<u32>,
}

/// Owners by address, as indices into `list`.
#[derive(Debug, Default)]
struct Known {
    list: Vec<Owner>,
    by_address: HashMap<Address, u32, RandomState>,
    /// Who has the addresses that several have.
    shared: HashSet<(Address, u32), RandomState>,
}

/// A namespace that has addresses.
#[derive(Debug)]
struct Owner {
    /// Inode of the namespace.
    netns: u32,
    name: String,
    /// Whether it is that of the machine, or the one that ctdrop runs in.
    machine: bool,
}

impl Owners {
    /// Asks every namespace for its own addresses. Those that cannot be asked
    /// are left out; with them goes only a name.
    pub fn find(namespaces: &Namespaces) -> Self {
        let mut known = Known::default();
        for namespace in &namespaces.list {
            if let Ok(addresses) = namespace.inside(local_addresses) {
                let owner = Owner {
                    netns: namespace.inode,
                    name: namespace.name.clone(),
                    machine: namespace.host || namespace.is_own(),
                };
                known.add(owner, addresses);
            }
        }
        Self {
            known: Arc::new(known),
            table: None,
        }
    }

    /// The same, as seen from a namespace whose table it is about: an address
    /// that it has itself is its own, whoever else has it.
    #[must_use]
    pub fn seen_from(&self, netns: u32) -> Self {
        let place = self.known.list.iter().position(|it| it.netns == netns);
        Self {
            known: Arc::clone(&self.known),
            table: place.and_then(|place| u32::try_from(place).ok()),
        }
    }

    /// The owner of an address, as an index. One that several have is of none of
    /// them, unless the table's own namespace is among them: which one is meant
    /// depends on routes.
    pub fn index_of(&self, address: Address) -> Option<u32> {
        let index = self.known.by_address.get(&address).copied()?;
        if index != NOBODY {
            return Some(index);
        }
        let own = |&table: &u32| self.known.shared.contains(&(address, table));
        self.table.filter(own)
    }

    /// The name of the owner of that index.
    pub fn name(&self, index: u32) -> Option<&str> {
        self.owner(index).map(|owner| owner.name.as_str())
    }

    /// The name of the owner of an address.
    pub fn of(&self, address: Address) -> Option<&str> {
        self.name(self.index_of(address)?)
    }

    /// Whether the owner of that index is the machine itself, or runs ctdrop: not
    /// something to be stopped.
    pub fn is_machine(&self, index: u32) -> bool {
        self.owner(index).is_some_and(|owner| owner.machine)
    }

    fn owner(&self, index: u32) -> Option<&Owner> {
        self.known.list.get(index as usize)
    }
}

impl Known {
    /// Adds the addresses of one owner.
    fn add(&mut self, owner: Owner, addresses: Vec<Address>) {
        let index = u32::try_from(self.list.len()).unwrap_or(NOBODY);
        self.list.push(owner);
        for address in addresses {
            if let Some(other) = self.by_address.get_mut(&address) {
                if *other != index && self.shared.len() < ADDRESSES {
                    if *other != NOBODY {
                        self.shared.insert((address, *other));
                    }
                    self.shared.insert((address, index));
                }
                if *other != index {
                    *other = NOBODY;
                }
            } else if self.by_address.len() < ADDRESSES {
                self.by_address.insert(address, index);
            }
        }
    }
}

/// The index of what has no owner of its own.
const NOBODY: u32 = u32::MAX;

/// The addresses of the namespace that the calling thread is in, without those
/// of loopback and of links.
fn local_addresses() -> Result<Vec<Address>> {
    let read = |name: &str| {
        let path = format!("/proc/thread-self/net/{name}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    let mut addresses = v4(&read("fib_trie")?);
    // Without IPv6 there is no such file.
    addresses.extend(v6(&read("if_inet6").unwrap_or_default()));
    Ok(addresses)
}

/// Addresses in `fib_trie`: a line `|-- 192.0.2.1`, the next one has `/32 host
/// LOCAL` (`fib_trie_seq_show`, `net/ipv4/fib_trie.c`).
fn v4(text: &str) -> Vec<Address> {
    let mut addresses = Vec::new();
    let mut leaf = None;
    for line in text.lines() {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<std::net::Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = leaf
            && !address.is_loopback()
        {
            addresses.push(Address::v4(address.octets()));
        }
    }
    // The trie comes once for each table.
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Addresses in `if_inet6`: 32 hexadecimal digits, then index, prefix, scope,
/// flags, device; scope 0 is global (`if6_seq_show`, `net/ipv6/addrconf.c`).
fn v6(text: &str) -> Vec<Address> {
    let global = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = fields.next().filter(|digits| digits.len() == 32)?;
        let bits = u128::from_str_radix(address, 16).ok()?;
        (fields.nth(2)? == "00").then(|| Address::v6(bits.to_be_bytes()))
    };
    text.lines().filter_map(global).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 172.17.0.0/16 2 0 2
        |-- 172.17.0.0
           /16 link UNICAST
        |-- 172.17.0.2
           /32 host LOCAL
        |-- 172.17.255.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
Local:
        |-- 172.17.0.2
           /32 host LOCAL
";

    #[test]
    fn only_own_addresses_are_taken() {
        assert_eq!(v4(TRIE), [Address::v4([172, 17, 0, 2])]);
        let text = "fd000000000000000000000000000002 02 40 00 80     eth0\n\
                    fe800000000000000000000000000002 02 40 20 80     eth0\n\
                    00000000000000000000000000000001 01 80 10 80       lo\nbroken\n";
        let addresses: Vec<_> = v6(text).iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["fd00::2"]);
    }

    const fn address(last: u8) -> Address {
        Address::v4([10, 0, 0, last])
    }

    /// Two containers and the host; all three have 10.0.0.2.
    pub(crate) fn owners() -> Owners {
        let mut known = Known::default();
        for (netns, name, own) in [(7, "docker/a", 1), (8, "docker/b", 3), (9, "host", 5)] {
            let owner = Owner {
                netns,
                name: name.to_owned(),
                machine: name == "host",
            };
            known.add(owner, vec![address(own), address(2)]);
        }
        Owners {
            known: Arc::new(known),
            table: None,
        }
    }

    #[test]
    fn an_address_of_several_is_of_none() {
        let owners = owners();
        assert_eq!(owners.of(address(1)), Some("docker/a"));
        assert_eq!(owners.of(address(2)), None);
        assert_eq!(owners.of(address(3)), Some("docker/b"));
        assert_eq!(owners.of(address(4)), None);
    }

    #[test]
    fn in_its_own_table_an_address_of_several_is_its_own() {
        let owners = owners();
        let seen_by = [7, 8, 9, 10].map(|netns| owners.seen_from(netns));
        assert_eq!(
            seen_by
                .each_ref()
                .map(|owners| owners.of(address(2)).map(ToOwned::to_owned)),
            [Some("docker/a"), Some("docker/b"), Some("host"), None]
                .map(|name| name.map(ToOwned::to_owned))
        );
        // What another one alone has is not its own.
        assert_eq!(seen_by[0].of(address(3)), Some("docker/b"));
    }

    #[test]
    fn the_machine_is_not_to_be_stopped() {
        let owners = owners();
        let machine = |last| owners.is_machine(owners.index_of(address(last)).unwrap());
        assert!(machine(5) && !machine(1));
    }
}
