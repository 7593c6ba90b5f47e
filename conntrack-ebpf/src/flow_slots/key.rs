//! A flow in words, and the set of slots that it belongs to.

#![expect(
    clippy::inline_always,
    reason = "a call in a program costs more than what is called"
)]

use crate::FlowKey;

/// Sets of a table, a power of two.
pub const SETS: usize = 32_768;

/// Words of a key.
pub(super) const KEY_WORDS: usize = 6;

/// Numbers that key the hash: two for each word of a key, and one more.
pub const SEEDS: usize = 2 * KEY_WORDS + 1;

/// A flow as the table keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotKey {
    pub(super) words: [u64; KEY_WORDS],
    pub(super) reason: u32,
}

impl From<&FlowKey> for SlotKey {
    #[inline(always)]
    fn from(flow: &FlowKey) -> Self {
        let [src, src_rest] = halves(flow.src);
        let [dst, dst_rest] = halves(flow.dst);
        let ports = u64::from(flow.sport) << 32 | u64::from(flow.dport) << 48;
        let kind = u64::from(flow.family) << 48 | u64::from(flow.protocol) << 56;
        Self {
            words: [
                src,
                src_rest,
                dst,
                dst_rest,
                u64::from(flow.netns) | ports,
                u64::from(flow.sender) | u64::from(flow.zone) << 32 | kind,
            ],
            reason: flow.reason,
        }
    }
}

impl From<&SlotKey> for FlowKey {
    fn from(key: &SlotKey) -> Self {
        let [src, src_rest, dst, dst_rest, place, kind] = key.words;
        let [_, _, sport, dport] = quarters(place);
        let [_, _, zone, kind_half] = quarters(kind);
        let [family, protocol] = kind_half.to_le_bytes();
        Self {
            src: joined(src, src_rest),
            dst: joined(dst, dst_rest),
            netns: low(place),
            sport,
            dport,
            zone,
            family,
            protocol,
            reason: key.reason,
            sender: low(kind),
        }
    }
}

/// The two halves of an address.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn halves(address: [u8; 16]) -> [u64; 2] {
    let number = u128::from_ne_bytes(address);
    [number as u64, (number >> 64) as u64]
}

/// The address of two halves.
fn joined(low: u64, high: u64) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_ne_bytes()
}

/// A number's quarters, the lowest first.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn quarters(word: u64) -> [u16; 4] {
    [
        word as u16,
        (word >> 16) as u16,
        (word >> 32) as u16,
        (word >> 48) as u16,
    ]
}

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
pub(super) const fn low(word: u64) -> u32 {
    word as u32
}

pub(super) const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

/// The set of a flow, from the hash of its tuple that conntrack has computed.
///
/// The kernel keys this hash (`hash_conntrack_raw`, `net/netfilter/nf_conntrack_core.c`: with
/// `jhash2` up to 5.14, then with `siphash`). So nobody can choose tuples with the same hash.
pub const fn set_of_tuple(hash: u32) -> u32 {
    hash >> (32 - SETS.trailing_zeros())
}

impl SlotKey {
    /// [`FlowKey::sender`]
    pub const fn sender(&self) -> u32 {
        low(self.words[5])
    }

    /// The set of this flow, if conntrack's hash of its tuple is not known.
    ///
    /// The sum of products of Lemire and Kaser (*Strongly universal string hashing is
    /// fast*, 2014, `MULTILINEAR-HM`). If somebody who does not know the seeds chooses two
    /// flows, the chance that they are in the same set is about one in the number of sets,
    /// whatever they have in common.
    #[inline(always)]
    pub fn set(&self, seed: impl Fn(usize) -> u64) -> u32 {
        let product = |place: usize| {
            let word = self.words[place];
            let first = u64::from(low(word)).wrapping_add(seed(2 * place));
            let second = (word >> 32).wrapping_add(seed(2 * place + 1));
            first.wrapping_mul(second)
        };
        let mut sum = seed(2 * KEY_WORDS)
            .wrapping_add(product(0))
            .wrapping_add(product(2))
            .wrapping_add(product(4))
            .wrapping_add(product(5));
        // These words are 0 for IPv4 addresses.
        if self.words[1] | self.words[3] != 0 {
            sum = sum.wrapping_add(product(1)).wrapping_add(product(3));
        }
        set_of_tuple(high(sum))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Reason;

    /// Random numbers as user space uses them, but the same in each run: splitmix64, Steele, Lea
    /// and Flood, *Fast splittable pseudorandom number generators*, 2014.
    fn seed(place: usize) -> u64 {
        let mut number = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(place as u64 + 1);
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    /// A flow with a value in each part.
    pub(crate) fn flow() -> FlowKey {
        FlowKey {
            src: 0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f_u128.to_be_bytes(),
            dst: 0x3031_3233_3435_3637_3839_3a3b_3c3d_3e3f_u128.to_be_bytes(),
            netns: 0xf000_0601,
            sport: 0xa1a2,
            dport: 0xb1b2,
            zone: 0xc1c2,
            family: 10,
            protocol: 17,
            reason: Reason::TableFull as u32,
            sender: 0xd1d2_d3d4,
        }
    }

    /// The set of its slots.
    pub(crate) fn set_of(flow: &FlowKey) -> u32 {
        SlotKey::from(flow).set(seed)
    }

    #[test]
    fn other_seeds_choose_other_sets() {
        let flows = (0..100).map(|sport| FlowKey { sport, ..flow() });
        let same = flows.filter(|flow| {
            let other = SlotKey::from(flow).set(|place| seed(place + SEEDS));
            set_of(flow) == other
        });
        assert!(same.count() <= 1);
    }

    #[test]
    fn the_parts_of_ipv6_addresses_choose_the_set() {
        let sets: BTreeSet<_> = (0..=255)
            .map(|last| {
                let mut flow = flow();
                flow.src[15] = last;
                set_of(&flow)
            })
            .collect();
        assert!(sets.len() > 240, "{} sets of 256 flows", sets.len());
    }
}
