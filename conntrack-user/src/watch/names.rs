//! Names for what the kernel knows by number: namespaces, times, ports.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::{kernel::netns::Namespaces, observe::flow};

/// The name of a namespace.
pub fn netns(namespaces: &Namespaces, inode: u32) -> String {
    match namespaces.by_inode(inode) {
        Some(namespace) => namespace.name.clone(),
        None if inode == 0 => "unknown".to_owned(),
        None => format!("net:[{inode}]"),
    }
}

/// Turns `CLOCK_MONOTONIC`, in which the programs tell time, into wall-clock
/// time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the monotonic clock was at zero.
    zero: SystemTime,
}

impl Clock {
    /// Compares the two clocks now.
    pub fn now() -> Self {
        let monotonic = clock_gettime(ClockId::Monotonic);
        let since_zero = Duration::new(
            monotonic.tv_sec.cast_unsigned(),
            u32::try_from(monotonic.tv_nsec).unwrap_or(0),
        );
        Self {
            zero: SystemTime::now() - since_zero,
        }
    }

    /// A time of the programs as RFC 3339, in UTC, to the microsecond; none
    /// for a time that is not known.
    pub fn text(self, nanoseconds: u64) -> Option<String> {
        let time = self.zero + Duration::from_nanos(nanoseconds);
        (nanoseconds != 0).then(|| humantime::format_rfc3339_micros(time).to_string())
    }
}

/// This moment as RFC 3339, in UTC, to the millisecond.
pub fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

/// Service names by protocol and port.
#[derive(Debug, Default)]
pub struct Services(HashMap<(u8, u16), String>);

impl Services {
    /// Reads them from `/etc/services`.
    pub fn read() -> Result<Self> {
        let path = "/etc/services";
        let text = fs::read_to_string(path).with_context(|| {
            format!("cannot read {path} (leave --service-names away to see numbers)")
        })?;
        Ok(Self::parse(&text))
    }

    /// Reads lines of `name port/protocol aliases… # comment` (services(5)).
    /// The first name of a port counts.
    fn parse(text: &str) -> Self {
        let mut names = HashMap::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            if let (Some(name), Some(place)) = (words.next(), words.next())
                && let Some((port, protocol)) = place.split_once('/')
                && let (Ok(port), Some(protocol)) = (port.parse(), flow::protocol_number(protocol))
            {
                names
                    .entry((protocol, port))
                    .or_insert_with(|| name.to_owned());
            }
        }
        Self(names)
    }

    /// The name of a port, if it has one.
    pub fn name(&self, protocol: u8, port: u16) -> Option<&str> {
        self.0.get(&(protocol, port)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_by_protocol() {
        let services = Services::parse(
            "# comment\ndomain 53/tcp\ndomain 53/udp # Domain Name Server\n\
             http 80/tcp www\nsecond 80/tcp\nbroken line\nbad x/udp\n",
        );
        assert_eq!(services.name(17, 53), Some("domain"));
        assert_eq!(services.name(6, 80), Some("http"));
        assert_eq!(services.name(17, 80), None);
    }

    #[test]
    fn an_unknown_time_has_no_text() {
        let clock = Clock {
            zero: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(clock.text(0), None);
        assert_eq!(
            clock.text(1_500_000_000).unwrap(),
            "1970-01-01T00:00:01.500000Z"
        );
    }
}
