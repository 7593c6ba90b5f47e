//! Pseudonyms for addresses and names, and which words of a text are neither.
//!
//! A word stays if ctdrop itself says it (`words.txt`) and nobody on the host is called
//! so. Everything else is masked: what is not known to be harmless is not shown.

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, SocketAddrV4},
};

use anyhow::{Context as _, Result};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::{
    kernel::message::{Load, Message},
    report::redact::chunk::{
        in_chunk, is_letter, is_network, is_number, is_time_of_day, looks_like_address, parts,
        spelled_out, trimmed, words_of,
    },
};

/// The words that ctdrop and its files have in them.
const WORDS: &str = include_str!("words.txt");

/// The words of names that say of what kind they are.
const KINDS: [&str; 17] = [
    "host",
    "pod",
    "docker",
    "containerd",
    "crio",
    "podman",
    "lxc",
    "nspawn",
    "container",
    "netns",
    "net",
    "unknown",
    "service",
    "scope",
    "slice",
    "system",
    "netfilter",
];

/// The words of the name of a program, a unit or a session that tell of nobody.
const PROGRAMS: [&str; 19] = [
    "sysctl", "systemd", "ctdrop", "modprobe", "insmod", "tee", "sh", "bash", "dash", "busybox",
    "iptables", "ufw", "init", "process", "system", "user", "session", "kube", "proxy",
];

/// Names with a dot in them that are files of the platform, or words.
const DOTTED: [&str; 8] = [
    "rc.local",
    "rc.sysctl",
    "rc.sysinit",
    "rc.modules",
    "if-up.d",
    "ctdrop.db",
    "e.g",
    "i.e",
];

/// Where the name of a sysctl begins.
const SYSCTLS: [&str; 6] = [
    "net.netfilter.",
    "net.ipv4.",
    "net.ipv6.",
    "net.core.",
    "net.bridge.",
    "net.nf_conntrack_max",
];

/// How files of the configuration end: none of these is a domain.
const ENDINGS: [&str; 10] = [
    "conf", "d", "service", "scope", "slice", "socket", "timer", "rules", "yaml", "toml",
];

/// Numbers from here on may be addresses, unless they are limits.
const LARGE: u64 = 1 << 24;

/// Masks addresses and names: one has the same mask in a whole report, another in the next.
pub struct Mask {
    key: [u8; 32],
    words: HashSet<&'static str>,
    /// Parts of names that are known.
    names: BTreeSet<String>,
    /// Limits and buckets.
    numbers: BTreeSet<u64>,
    /// Versions of kernels and of ctdrop.
    versions: BTreeSet<String>,
}

impl Mask {
    /// With a key that nobody knows, and that is forgotten with it.
    pub fn random() -> Result<Self> {
        let mut key = [0; 32];
        let mut filled = 0;
        while filled < key.len() {
            let more =
                rustix::rand::getrandom(&mut key[filled..], rustix::rand::GetRandomFlags::empty());
            filled += more.context("cannot get random bytes for --redact")?;
        }
        Ok(Self::keyed(key))
    }

    pub(in crate::report) fn keyed(key: [u8; 32]) -> Self {
        Self {
            key,
            words: WORDS.lines().collect(),
            names: BTreeSet::new(),
            numbers: BTreeSet::new(),
            versions: BTreeSet::new(),
        }
    }

    /// Learns a name, whose parts are masked wherever they are.
    pub(super) fn learn(&mut self, name: &str) {
        for part in name.split(|char| !in_chunk(char)).flat_map(words_of) {
            if !KINDS.contains(&part.as_str()) && !is_number(&part) {
                self.names.insert(part.to_lowercase());
            }
        }
    }

    /// Learns who changed a limit: `comm[pid]` and the place it is in.
    pub(super) fn learn_maker(&mut self, maker: &str) {
        for part in maker.split(|char| !in_chunk(char)).flat_map(words_of) {
            let mut words = part.split('-');
            if !words.all(|word| is_number(word) || PROGRAMS.contains(&word)) {
                self.learn(&part);
            }
        }
    }

    /// Learns a version, which is no address and no host.
    pub(super) fn learn_version(&mut self, version: &str) {
        self.versions.insert(version.to_owned());
    }

    /// Learns a limit, which is no address.
    pub(super) fn learn_number(&mut self, number: u64) {
        self.numbers.insert(number);
    }

    fn digest(&self, kind: &str, of: &[u8]) -> String {
        // A key of any length is right for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return format!("{kind}-?");
        };
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(of);
        let digest = mac.finalize().into_bytes();
        let [a, b, c, ..] = digest.as_slice() else {
            return format!("{kind}-?");
        };
        format!("{kind}-{a:02x}{b:02x}{c:02x}")
    }

    fn ip(&self, address: IpAddr) -> String {
        self.digest("ip", address.to_canonical().to_string().as_bytes())
    }

    /// A whole text that is an address.
    pub(super) fn address(&self, text: &str) -> String {
        match text.parse() {
            _ if text.is_empty() => String::new(),
            Ok(address) => self.ip(address),
            Err(_) => self.digest("ip", text.as_bytes()),
        }
    }

    /// A whole text that is a name: only its kind stays.
    pub(super) fn name(&self, text: &str) -> String {
        self.chunks(text, Self::parts_of_name)
    }

    fn parts_of_name(&self, chunk: &str) -> String {
        parts(chunk, |word| {
            if KINDS.contains(&word) {
                word.to_owned()
            } else {
                self.digest("name", word.as_bytes())
            }
        })
    }

    /// `comm[pid]`
    pub(super) fn process(&self, text: &str) -> String {
        match text.rsplit_once('[') {
            Some((name, pid)) if pid.trim_end_matches(']').parse::<u32>().is_ok() => {
                format!("{}[{pid}", self.name(name))
            }
            _ => self.name(text),
        }
    }

    /// A text with addresses and names in it.
    pub(in crate::report) fn text(&self, text: &str) -> String {
        if let Some((from, to)) = spelled_out(text) {
            let address = self.digest("ip", &text.as_bytes()[from..to]);
            let (before, after) = (self.text(&text[..from]), self.text(&text[to..]));
            return format!("{before}{address}{after}");
        }
        self.chunks(text, |mask, chunk| {
            if chunk.split([':', '%']).all(|part| mask.is_ours(part)) {
                parts(chunk, |word| mask.word(word))
            } else {
                mask.parts_of_name(chunk)
            }
        })
    }

    /// A line of the kernel's log: only what it is about stays.
    pub(super) fn log_line(text: &str) -> String {
        match Message::parse(text.as_bytes()) {
            Some(Message::TableFull { .. }) => "table full, dropping packet".to_owned(),
            Some(Message::Suppressed { messages, .. }) => {
                format!("{messages} messages suppressed")
            }
            Some(Message::Loaded(Load { buckets, max, .. })) => {
                format!("conntrack was loaded ({buckets} buckets, {max} max)")
            }
            Some(Message::ExpectationsFull) => "expectation table full".to_owned(),
            Some(Message::Booted) => "the kernel has started".to_owned(),
            None => "another line".to_owned(),
        }
    }

    /// Replaces each part of a text that may be an address or a name.
    fn chunks(&self, text: &str, inner: impl Fn(&Self, &str) -> String) -> String {
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let begin = rest.find(in_chunk).unwrap_or(rest.len());
            out.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let end = rest.find(|char| !in_chunk(char)).unwrap_or(rest.len());
            let before = &text[..text.len() - rest.len()];
            let (chunk, after) = rest.split_at(end);
            // A user may be called like a word of ctdrop.
            if before.ends_with("/home/") {
                out.push_str(&self.digest("name", chunk.as_bytes()));
            } else if is_network(chunk, after) {
                out.push_str(&self.digest("ip", chunk.as_bytes()));
            } else {
                let (marks, chunk, end) = trimmed(chunk);
                let masked = self.whole(chunk).unwrap_or_else(|| inner(self, chunk));
                out.extend([marks, &masked, end]);
            }
            rest = after;
        }
        out
    }

    /// A chunk that is an address as a whole, or harmless as a whole.
    fn whole(&self, chunk: &str) -> Option<String> {
        if let Ok(address) = chunk.parse::<IpAddr>() {
            return Some(self.ip(address));
        }
        if let Ok(socket) = chunk.parse::<SocketAddrV4>() {
            return Some(format!(
                "{}:{}",
                self.ip((*socket.ip()).into()),
                socket.port()
            ));
        }
        if humantime::parse_rfc3339(chunk).is_ok()
            || is_time_of_day(chunk)
            || self.versions.contains(chunk) && !chunk.contains(char::is_alphabetic)
        {
            return Some(chunk.to_owned());
        }
        looks_like_address(chunk).then(|| self.digest("ip", chunk.as_bytes()))
    }

    /// Whether a chunk with dots in it is ours as a whole: a host may be called by words
    /// each of which ctdrop says, too.
    fn is_ours(&self, chunk: &str) -> bool {
        let lower = chunk.to_lowercase();
        let labels: Vec<&str> = lower.split('.').collect();
        let ending = labels.last().is_some_and(|last| ENDINGS.contains(last));
        match labels[..] {
            [_] => true,
            // A decimal number, or a kernel's series.
            [whole, rest] if is_number(whole) && self.is_small(rest) => true,
            _ => {
                ending
                    || DOTTED.contains(&lower.as_str())
                    || self.versions.contains(chunk)
                    || SYSCTLS.iter().any(|begin| lower.starts_with(begin))
            }
        }
    }

    fn word(&self, word: &str) -> String {
        if self.is_harmless(word) {
            word.to_owned()
        } else {
            self.digest("name", word.as_bytes())
        }
    }

    fn is_harmless(&self, word: &str) -> bool {
        let lower = word.to_lowercase();
        if self.names.contains(&lower) {
            return false;
        }
        let one = |part: &str| {
            !self.names.contains(part)
                && (part.is_empty()
                    || is_letter(part)
                    || self.words.contains(part)
                    || self.is_small(part))
        };
        let parts = lower.split(['-', '_']);
        // As many numbers are a date; more may be an address.
        let numbers = parts.clone().filter(|part| is_number(part)).count();
        one(&lower) || numbers < 4 && parts.clone().all(one)
    }

    /// Whether it is a number that is no address, with a unit perhaps.
    fn is_small(&self, word: &str) -> bool {
        const UNITS: [&str; 12] = [
            "", "s", "ms", "m", "h", "d", "day", "days", "kib", "mib", "gib", "th",
        ];
        let digits = word.trim_end_matches(|char: char| char.is_ascii_lowercase());
        let Ok(number) = digits.parse::<u64>() else {
            return false;
        };
        UNITS.contains(&&word[digits.len()..])
            && (number < LARGE || self.numbers.contains(&number))
            // 010000017 is no number of ours.
            && (digits == "0" || !digits.starts_with('0') || digits.len() <= 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask() -> Mask {
        let mut mask = Mask::keyed([7; 32]);
        mask.learn("pod/leaky-shop");
        mask.learn_number(33_554_432);
        mask.learn_version("6.12.0-1-amd64");
        mask.learn_maker("will[123] session-3.scope");
        mask
    }

    #[test]
    fn an_address_has_one_pseudonym_in_all_its_notations() {
        let mask = mask();
        let one = mask.address("192.0.2.53");
        assert!(one.starts_with("ip-") && one.len() == 9, "{one}");
        assert_eq!(mask.address("::ffff:192.0.2.53"), one);
        assert_eq!(mask.address("::ffff:c000:235"), one);
        assert_eq!(
            mask.text("to udp 192.0.2.53:53."),
            format!("to udp {one}:53.")
        );
        let six = mask.address("2001:db8::1");
        assert_eq!(mask.address("2001:0DB8:0:0:0:0:0:1"), six);
        assert_eq!(
            mask.text("tcp [2001:db8::1]:443"),
            format!("tcp [{six}]:443")
        );
        assert_ne!(Mask::keyed([8; 32]).address("192.0.2.53"), one);
    }

    #[test]
    fn what_is_not_known_to_be_harmless_is_masked() {
        let mask = mask();
        for text in [
            "3221225985",
            "0xc0000235",
            "c0000235",
            "53.2.0.192.in-addr.arpa",
            "0300.0.02.065",
            "fe80::1%eth0",
            "alice",
            "/home/alice/x",
            "/home/will/x",
            "leaky-shop",
            "ip-192-0-2-53",
            "1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            "admin.client.proxy.test",
            "3.0.2.in-addr.arpa",
            "10.9.8/24",
            "10.9.8",
            "1011.2233.4455",
            "10-9-8.7",
            "will[123]",
            "user will",
            "203,0,113,77",
            "at 203 0 113 77.",
            "203[.]0[.]113[.]77",
            "cb00:714d",
        ] {
            let masked = mask.text(text);
            assert!(
                masked.contains("ip-") || masked.contains("name-"),
                "{text} → {masked}"
            );
            assert!(
                ![
                    "alice", "leaky", "will", "client", "0.2", "9.8", "1011", "10-9", "714d", "[.]"
                ]
                .iter()
                .any(|name| masked.contains(name)),
                "{masked}"
            );
        }
    }

    #[test]
    fn words_and_numbers_of_ours_stay() {
        let mask = mask();
        for text in [
            "the table is full: 1,000 of 1,000 entries are in use (95 % counts as full)",
            "sysctl -w net.netfilter.nf_conntrack_max=33554432",
            "net.ipv4.netfilter.ip_conntrack_max = 65536",
            "options nf_conntrack hashsize=16384",
            "6.12.0-1-amd64",
            "2023-11-14T22:13:30Z",
            "12:30:45",
            "30s, 5m and 256MiB",
            "from 5 days to 2h 4m",
            "after 5days",
            "1,123,123,123 of 2,000 3 4 5",
            "limit 1,000 → 2,000",
            "/etc/sysctl.d/90-ctdrop.conf and /etc/rc.local",
            "1.5 of 6.12",
        ] {
            assert_eq!(mask.text(text), text);
        }
        assert!(mask.name("nginx.service").ends_with(".service"));
        assert!(mask.process("nginx[123]").ends_with("[123]"));
        assert_eq!(mask.name("host"), "host");
    }

    #[test]
    fn a_line_of_the_log_says_only_what_it_is_about() {
        let line = "nf_conntrack: nf_conntrack: table full in netns 4026532114, dropping packet";
        assert_eq!(Mask::log_line(line), "table full, dropping packet");
        assert_eq!(Mask::log_line("alice from 192.0.2.1"), "another line");
    }
}
