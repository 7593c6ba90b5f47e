//! Ports and endpoints, with the names of services where these are asked for.

use std::{collections::HashMap, fs};

use anyhow::{Context as _, Result};

use crate::say::{
    protocol::{has_ports, is_icmp, protocol_number},
    text::plain,
};

/// Service names by protocol and port.
#[derive(Debug, Default)]
pub struct Services(HashMap<(u8, u16), String>);

impl Services {
    /// Reads them from `/etc/services`.
    pub fn read() -> Result<Self> {
        let path = "/etc/services";
        let text = fs::read_to_string(path).with_context(|| {
            format!("cannot read {path}: run without --service-names to see numbers")
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
                && let (Ok(port), Some(protocol)) = (port.parse(), protocol_number(protocol))
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

/// A destination port, or ICMP type and code.
pub fn port_text(protocol: u8, port: u16, services: &Services) -> String {
    if is_icmp(protocol) {
        let [kind, code] = port.to_be_bytes();
        return format!("type {kind} code {code}");
    }
    match services.name(protocol, port) {
        Some(name) => plain(name),
        None if has_ports(protocol) => port.to_string(),
        None => String::new(),
    }
}

/// An address with what [`port_text`] says; none if that is empty.
pub fn endpoint(address: &str, place: &str) -> String {
    if place.is_empty() {
        address.to_owned()
    } else if place.contains(' ') {
        format!("{address} {place}")
    } else if address.contains(':') {
        format!("[{address}]:{place}")
    } else {
        format!("{address}:{place}")
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
}
