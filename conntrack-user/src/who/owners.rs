//! Whose an address is: of a container or pod, of another namespace, of the
//! namespace itself.

use std::{collections::HashMap, fs};

use anyhow::{Context as _, Result};
use foldhash::fast::RandomState;

use super::entry::Address;
use crate::kernel::netns::Namespaces;

/// Addresses that are remembered. A host with more containers than this is not
/// known; addresses beyond have no owner.
const ADDRESSES: usize = 65_536;

/// Owners by address, as indices into `names`.
#[derive(Debug, Default)]
pub struct Owners {
    names: Vec<String>,
    by_address: HashMap<Address, u32, RandomState>,
}

impl Owners {
    /// Asks every namespace for its own addresses. Those that cannot be asked
    /// are left out; with them goes only a name.
    pub fn find(namespaces: &Namespaces) -> Self {
        let mut owners = Self::default();
        for namespace in &namespaces.list {
            if let Ok(addresses) = namespace.inside(local_addresses) {
                owners.add(&namespace.name, addresses);
            }
        }
        owners
    }

    /// Adds the addresses of one owner. An address that two have is of neither:
    /// which one is meant depends on routes.
    fn add(&mut self, name: &str, addresses: Vec<Address>) {
        let index = u32::try_from(self.names.len()).unwrap_or(NOBODY);
        self.names.push(name.to_owned());
        for address in addresses {
            if let Some(other) = self.by_address.get_mut(&address) {
                if *other != index {
                    *other = NOBODY;
                }
            } else if self.by_address.len() < ADDRESSES {
                self.by_address.insert(address, index);
            }
        }
    }

    /// The owner of an address, as an index.
    pub fn index_of(&self, address: Address) -> Option<u32> {
        let index = self.by_address.get(&address).copied();
        index.filter(|&index| index != NOBODY)
    }

    /// The name of the owner of that index.
    pub fn name(&self, index: u32) -> Option<&str> {
        self.names.get(index as usize).map(String::as_str)
    }

    /// The name of the owner of an address.
    pub fn of(&self, address: Address) -> Option<&str> {
        self.name(self.index_of(address)?)
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
mod tests {
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

    #[test]
    fn an_address_of_two_is_of_neither() {
        let address = |last| Address::v4([10, 0, 0, last]);
        let mut owners = Owners::default();
        owners.add("docker/a", vec![address(1), address(2)]);
        owners.add("docker/b", vec![address(2), address(3)]);
        assert_eq!(owners.of(address(1)), Some("docker/a"));
        assert_eq!(owners.of(address(2)), None);
        assert_eq!(owners.of(address(3)), Some("docker/b"));
        assert_eq!(owners.of(address(4)), None);
    }
}
