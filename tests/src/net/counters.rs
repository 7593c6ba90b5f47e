//! Conntrack's own counters of a namespace.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};

use super::netns::Netns;

/// The counters of `/proc/net/stat/nf_conntrack`, summed over the CPUs, by the
/// names in its header (`drop`, `insert_failed`, `clashres`, ...).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads them in `netns`.
    pub fn read(netns: &Netns) -> Result<Self> {
        netns.run(|| {
            // Not /proc/net: that shows the namespace of the first thread.
            let path = "/proc/thread-self/net/stat/nf_conntrack";
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {path}; is nf_conntrack loaded?"))?;
            Self::parse(&text)
        })
    }

    /// One counter; 0 if this kernel does not have it.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// How far each counter has moved since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let moved = |(name, value): (&String, &u64)| {
            // Sums of 32-bit counters: right unless more than one CPU wraps.
            let difference = value.wrapping_sub(earlier.get(name));
            (name.clone(), difference)
        };
        Self(self.0.iter().map(moved).collect())
    }

    /// The counters that are not zero.
    #[must_use]
    pub fn nonzero(mut self) -> Self {
        self.0.retain(|_, value| *value != 0);
        self
    }

    /// All of them, by name.
    pub fn into_map(self) -> BTreeMap<String, u64> {
        self.0
    }

    /// Parses the file: a header with names, then a row of hexadecimal
    /// numbers for each CPU.
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let header = lines.next().context("the counter file is empty")?;
        let names: Vec<&str> = header.split_whitespace().collect();
        let mut counters = BTreeMap::new();
        for row in lines {
            for (name, digits) in names.iter().zip(row.split_whitespace()) {
                let value = u64::from_str_radix(digits, 16)
                    .with_context(|| format!("counter {name} is {digits}, no number"))?;
                *counters.entry((*name).to_owned()).or_default() += value;
            }
        }
        // Every row repeats the size of the table; see `Netns::entries`.
        counters.remove("entries");
        Ok(Self(counters))
    }
}

impl Netns {
    /// How many entries conntrack counts in this namespace.
    pub fn entries(&self) -> Result<u64> {
        self.number("net.netfilter.nf_conntrack_count")
    }

    /// The limit; one number for all namespaces, compared with each one's count.
    pub fn limit(&self) -> Result<u64> {
        self.number("net.netfilter.nf_conntrack_max")
    }

    /// A sysctl that holds one number.
    fn number(&self, sysctl: &str) -> Result<u64> {
        let value = self.sysctl(sysctl)?;
        value
            .parse()
            .with_context(|| format!("{sysctl} is {value}, no number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_by_name() {
        let text = "entries  clashres drop early_drop\n\
                    00000005 00000001 0000000a 00000000\n\
                    00000005 00000002 00000006 00000001\n";
        let counters = Counters::parse(text).unwrap();
        assert_eq!(counters.get("clashres"), 3);
        assert_eq!(counters.get("drop"), 16);
        assert_eq!(counters.get("entries"), 0);
        assert_eq!(counters.get("chainlength"), 0);
    }

    #[test]
    fn a_difference_keeps_only_what_moved() {
        let before = Counters::parse("drop found\n01 07\n").unwrap();
        let after = Counters::parse("drop found\n03 07\n").unwrap();
        let expected = Counters::parse("drop\n2\n").unwrap();
        assert_eq!(after.since(&before).nonzero(), expected);
    }
}
