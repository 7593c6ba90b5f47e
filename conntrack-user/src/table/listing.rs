//! The table as a copied tree has it: the text of `/proc/net/nf_conntrack` or
//! `ip_conntrack`, a line for each entry.

use std::{io::BufRead, net::IpAddr};

use anyhow::Result;

use crate::{
    say::protocol::protocol_number,
    table::{
        entry::{self, Entry, TCP},
        filter::{IPV4, IPV6},
    },
};

/// Calls `visit` with each entry of a listing. A line that is none is passed over.
pub fn read(text: impl BufRead, visit: &mut impl FnMut(&Entry)) -> Result<()> {
    for line in text.split(b'\n') {
        if let Some(entry) = parse(&String::from_utf8_lossy(&line?)) {
            visit(&entry);
        }
    }
    Ok(())
}

/// `ipv4     2 tcp      6 431999 ESTABLISHED src=… dst=… sport=… dport=… packets=…
/// bytes=… src=… [ASSURED] mark=… zone=… use=…`; `ip_conntrack` begins with the
/// protocol. An entry that is offloaded shows neither time nor state
/// (`net/netfilter/nf_conntrack_standalone.c: ct_seq_show`).
fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace().peekable();
    let is_family = |word: &&str| matches!(*word, "ipv4" | "ipv6");
    if words.next_if(is_family).is_some() {
        words.next()?;
    }
    let name = words.next()?;
    let number = words.next()?.parse().ok();
    let protocol = number.or_else(|| protocol_number(name))?;
    let mut entry = Entry {
        protocol,
        // Replied unless it is said otherwise.
        status: entry::SEEN_REPLY,
        ..Entry::default()
    };
    if let Some(seconds) = words.next_if(|word| word.parse::<u32>().is_ok()) {
        entry.timeout = seconds.parse().ok();
    }
    if let Some(state) =
        words.next_if(|word| word.starts_with(|char: char| char.is_ascii_uppercase()))
        && protocol == TCP
    {
        entry.state = entry::tcp_state(state);
    }
    let mut sources = 0;
    for word in words {
        match word.split_once('=') {
            Some(("src", value)) => {
                sources += 1;
                let address: IpAddr = value.parse().ok()?;
                if sources == 1 {
                    entry.src = address.into();
                    entry.family = if address.is_ipv4() { IPV4 } else { IPV6 };
                } else {
                    entry.reply_src = address.into();
                }
            }
            Some(("dst", value)) if sources == 1 => {
                entry.dst = value.parse::<IpAddr>().ok()?.into();
            }
            Some(("sport" | "id", value)) if sources == 1 => entry.sport = value.parse().ok()?,
            Some(("dport", value)) if sources == 1 => entry.dport = value.parse().ok()?,
            Some(("type", value)) if sources == 1 => entry.dport |= value.parse::<u16>().ok()? << 8,
            Some(("code", value)) if sources == 1 => entry.dport |= value.parse::<u16>().ok()?,
            Some(("packets", value)) => {
                let packets: u64 = value.parse().ok()?;
                entry.packets = Some(entry.packets.unwrap_or(0).saturating_add(packets));
            }
            Some(("mark", value)) => entry.mark = value.parse().ok()?,
            Some(("zone" | "zone-orig", value)) => entry.zone = value.parse().ok()?,
            None if word == "[UNREPLIED]" => entry.status &= !entry::SEEN_REPLY,
            None if word == "[ASSURED]" => entry.status |= entry::ASSURED,
            _ => {}
        }
    }
    (sources > 0).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::entry::{Address, Progress, UDP};

    fn entries(text: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        read(text.as_bytes(), &mut |entry| entries.push(*entry)).unwrap();
        entries
    }

    #[test]
    fn both_generations_are_read() {
        let found = entries(
            "\
ipv4     2 tcp      6 428000 ESTABLISHED src=192.0.2.1 dst=192.0.2.9 sport=1 dport=80 src=192.0.2.9 dst=192.0.2.1 sport=80 dport=1 [ASSURED] mark=0 zone=7 use=2
ipv6     10 udp      17 29 src=2001:db8::1 dst=2001:db8::2 sport=1 dport=53 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 sport=53 dport=1 mark=0 zone=0 use=2
tcp      6 300000 ESTABLISHED src=192.0.2.1 dst=192.0.2.9 sport=2 dport=80 packets=1 bytes=40 src=192.0.2.9 dst=192.0.2.1 sport=80 dport=2 packets=2 bytes=40 [ASSURED] mark=16 use=1
nonsense
",
        );
        let [first, second, third] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(first.is_established());
        assert_eq!((first.timeout, first.zone), (Some(428_000), 7));
        assert_eq!(first.src, Address::v4([192, 0, 2, 1]));
        assert_eq!(first.reply_src, Address::v4([192, 0, 2, 9]));
        assert_eq!((first.sport, first.dport), (1, 80));
        assert_eq!(first.progress(), Progress::Assured);
        assert_eq!(
            (second.protocol, second.progress()),
            (UDP, Progress::Unreplied)
        );
        assert_eq!(second.family, IPV6);
        assert_eq!((third.packets, third.mark), (Some(3), 16));
    }

    #[test]
    fn what_is_offloaded_shows_no_time() {
        let found = entries(
            "ipv4 2 tcp 6 src=192.0.2.1 dst=192.0.2.9 sport=1 dport=80 src=192.0.2.9 dst=192.0.2.1 sport=80 dport=1 [OFFLOAD] mark=0 use=2\n\
             ipv4 2 icmp 1 29 src=192.0.2.1 dst=192.0.2.9 type=8 code=0 id=5 src=192.0.2.9 dst=192.0.2.1 type=0 code=0 id=5 mark=0 use=2\n",
        );
        assert_eq!((found[0].timeout, found[0].state), (None, None));
        assert_eq!((found[1].sport, found[1].dport), (5, 8 << 8));
        assert_eq!(found[1].progress(), Progress::Replied);
    }
}
