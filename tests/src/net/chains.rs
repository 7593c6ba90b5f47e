//! Hash chains that are too long: too many entries for too few buckets.
//!
//! Since 5.15 conntrack refuses an entry if the chain of either direction is
//! longer than 50 plus a random number below 30. The number of buckets is one
//! for all namespaces and can be set in the first one only, so this is for a
//! virtual machine: set `net.netfilter.nf_conntrack_buckets` to 512, the least
//! there is, and `net.netfilter.nf_conntrack_max` well above the number of
//! entries that the chains can hold.

use anyhow::{Result, bail, ensure};

use super::{
    ctnetlink::{Conntrack, Inserted},
    fill::Fill,
    netns::Netns,
};

/// The longest that a chain can get: an entry goes into a chain of 80, if the
/// random number is 29.
const LONGEST: u64 = 81;

/// Entries tried between two looks at how many were refused.
const ROUND: u32 = 2_000;

/// Rounds after which to give up.
const ROUNDS: u32 = 200;

/// Inserts entries until only one in 500 does not fail for the length of
/// chains: from then on nearly every new flow is refused at confirmation
/// (`chainlength` and `insert_failed` grow by one each). Those few that find two
/// shorter chains are seen in [`Netns::entries`].
pub fn saturate(netns: &Netns) -> Result<Inserted> {
    let buckets: u64 = netns
        .sysctl("net.netfilter.nf_conntrack_buckets")?
        .parse()?;
    let room = buckets * LONGEST / 2;
    let limit = netns.limit()?;
    ensure!(
        limit > room,
        "{buckets} buckets hold up to {room} entries, but the limit is {limit}: \
         raise nf_conntrack_max or lower nf_conntrack_buckets"
    );
    let conntrack = Conntrack::open(netns)?;
    let fill = Fill::default();
    let mut total = Inserted::default();
    for round in 0..ROUNDS {
        let numbers = round * ROUND..(round + 1) * ROUND;
        let outcome = conntrack.insert(numbers.map(|number| fill.entry(number)))?;
        total.add(&outcome);
        if outcome.inserted < u64::from(ROUND) / 500 {
            return Ok(total);
        }
    }
    let entries = netns.entries()?;
    bail!("the chains of {buckets} buckets are not full with {entries} entries: {total:?}")
}
