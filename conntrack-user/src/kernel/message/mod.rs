//! What conntrack says in the kernel log, in the words of every kernel.
//!
//! Each message is a whole line, as the kernel wrote it: without the time and
//! the host that a log file puts before it.

mod damaged;
#[cfg(test)]
pub(crate) mod forms;
#[cfg(test)]
mod tests;

use crate::kernel::generation::Generation;

/// A message that has to do with refused packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The kernel has started.
    Booted,
    /// Conntrack has started, with its module or with the kernel. The module
    /// begins with the limit said here, whatever was in force before.
    Loaded(Load),
    /// A table was full and an entry was refused; mostly, but not always, for a
    /// packet.
    TableFull {
        /// Inode of the network namespace. Kernels before 6.16 or so name none,
        /// later ones all but the host's.
        netns: Option<u32>,
        /// Number of the container, on OpenVZ's kernels.
        container: Option<u32>,
        /// The limit, which early kernels of 2.4 say.
        limit: Option<u64>,
        /// Which code wrote it.
        generation: Generation,
        /// In which words.
        wording: Wording,
    },
    /// There were more expected connections than `nf_conntrack_expect_max`.
    ExpectationsFull,
    /// The kernel has kept network messages back, of conntrack or of others.
    Suppressed {
        /// How many.
        messages: u64,
        /// What kept them back.
        limiter: Limiter,
    },
}

/// How a kernel words that a table is full: the older kernel's is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wording {
    /// With the limit: early kernels of 2.4.
    WithLimit,
    /// With a full stop: until 3.5 or so, as Enterprise Linux 6 has it.
    WithStop,
    /// Without: until 4.8, as Enterprise Linux 7 has it.
    WithoutStop,
    /// With the module's name twice: since 4.9.
    NameTwice,
}

/// What keeps network messages back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limiter {
    /// A bucket of tokens of network messages: 2.4.
    NetTokens,
    /// A bucket of tokens, of other messages, too: 2.6.18.
    PrintkTokens,
    /// A burst in each interval: 2.6.27 or so and later.
    Interval,
}

impl Limiter {
    /// Whether it is a bucket of tokens.
    pub const fn counts_tokens(self) -> bool {
        matches!(self, Self::NetTokens | Self::PrintkTokens)
    }
}

/// What conntrack says when it starts. Kernels since 4.18 or so say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which code started.
    pub generation: Generation,
    /// Buckets of the hash table.
    pub buckets: u64,
    /// Entries allowed.
    pub max: u64,
}

/// What every line about conntrack has in it.
pub const CONNTRACK: &[u8] = b"_conntrack";

/// What every line about suppressed messages has in it, also one that is cut short.
pub const SUPPRESSED: &[u8] = b"s suppr";

/// How the first line of a kernel begins.
pub const BOOTED: &[u8] = b"Linux version ";

impl Message {
    /// Recognises a line; blanks at its end do not matter.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        let message = table_full(line)
            .or_else(|| limit_exceeded(line))
            .or_else(|| suppressed(line))
            .or_else(|| loaded(line))
            .or_else(|| expectations_full(line))
            .or_else(|| line.starts_with(BOOTED).then_some(Self::Booted));
        debug_assert!(
            message.is_none_or(|message| has(line, message.needle())),
            "a log is searched for a needle that this line does not have: {line:?}"
        );
        message
    }

    /// What large logs are searched for: every form of the message has it, and
    /// lines without it are not parsed.
    const fn needle(self) -> &'static [u8] {
        match self {
            Self::TableFull { .. } | Self::Loaded(_) | Self::ExpectationsFull => CONNTRACK,
            Self::Suppressed { .. } => SUPPRESSED,
            Self::Booted => BOOTED,
        }
    }

    /// Whether a line has a message about a full table somewhere in it, as one of
    /// another program that quotes the kernel.
    pub fn is_quoted_in(line: &[u8]) -> bool {
        has(line, b"conntrack: table full") || has(line, b"conntrack: maximum limit of ")
    }
}

/// `net/netfilter/nf_conntrack_core.c: __nf_conntrack_alloc`, before 2.6.20
/// `net/ipv4/netfilter/ip_conntrack_core.c`:
///
/// - 2.4, 2.6.18: `ip_conntrack: table full, dropping packet.`
/// - OpenVZ's kernels: `ip_conntrack: VPS 101 table full, dropping packet.`
/// - 2.6.32: `nf_conntrack: table full, dropping packet.`
/// - 3.10, 4.4: the same without the full stop
/// - 4.9 and later: with the prefix twice, by the format and by `pr_fmt`
/// - 6.16 and later: `table full in netns 4026532114, dropping packet`
fn table_full(line: &[u8]) -> Option<Message> {
    let (generation, rest) = prefix(line)?;
    let twice = prefix(rest).map(|(_, rest)| rest);
    let rest = twice.unwrap_or(rest);
    let (container, rest) = match rest.strip_prefix(b"VPS ") {
        Some(rest) => {
            let (container, rest) = number(rest)?;
            let container = u32::try_from(container).ok()?;
            (Some(container), rest.strip_prefix(b" ")?)
        }
        None => (None, rest),
    };
    let rest = rest.strip_prefix(b"table full")?;
    let (netns, rest) = match rest.strip_prefix(b" in netns ") {
        Some(rest) => {
            let (netns, rest) = number(rest)?;
            (Some(u32::try_from(netns).ok()?), rest)
        }
        None => (None, rest),
    };
    let with_stop = match rest {
        b", dropping packet" => false,
        b", dropping packet." => true,
        _ => return None,
    };
    let wording = match (twice.is_some() || netns.is_some(), with_stop) {
        (true, _) => Wording::NameTwice,
        (false, true) => Wording::WithStop,
        (false, false) => Wording::WithoutStop,
    };
    Some(Message::TableFull {
        netns,
        container,
        limit: None,
        generation,
        wording,
    })
}

/// `net/ipv4/netfilter/ip_conntrack_core.c: init_conntrack`, 2.4.0 and some time after:
/// `ip_conntrack: maximum limit of 8184 entries exceeded`. At first each such packet was
/// refused; later the kernel wrote this, and then looked for an entry to evict instead.
fn limit_exceeded(line: &[u8]) -> Option<Message> {
    let rest = line.strip_prefix(b"ip_conntrack: maximum limit of ")?;
    let (limit, rest) = number(rest)?;
    (rest == b" entries exceeded").then_some(Message::TableFull {
        netns: None,
        container: None,
        limit: Some(limit),
        generation: Generation::IpConntrack,
        wording: Wording::WithLimit,
    })
}

/// - 2.4, 2.6.18, `net/ipv4/netfilter/ip_conntrack_core.c`: `ip_conntrack version
///   2.4 (8189 buckets, 65512 max) - 232 bytes per conntrack`
/// - until 4.17 or so, `net/netfilter/nf_conntrack_core.c`: `nf_conntrack version
///   0.5.0 (16384 buckets, 65536 max)`
fn loaded(line: &[u8]) -> Option<Message> {
    let rest = prefix(line).map_or(line, |(_, rest)| rest);
    let (generation, rest) = module(rest)?;
    let rest = rest.strip_prefix(b" version ")?;
    let parenthesis = rest.iter().position(|&byte| byte == b'(')?;
    let (buckets, rest) = number(&rest[parenthesis + 1..])?;
    let (max, rest) = number(rest.strip_prefix(b" buckets, ")?)?;
    rest.starts_with(b" max)").then_some(Message::Loaded(Load {
        generation,
        buckets,
        max,
    }))
}

/// The module that a line begins with, a colon and a blank; and what follows.
fn prefix(line: &[u8]) -> Option<(Generation, &[u8])> {
    let (generation, rest) = module(line)?;
    Some((generation, rest.strip_prefix(b": ")?))
}

/// The module that a text begins with, and what follows its name.
fn module(text: &[u8]) -> Option<(Generation, &[u8])> {
    Generation::ALL.into_iter().find_map(|generation| {
        let rest = text.strip_prefix(generation.module().as_bytes())?;
        Some((generation, rest))
    })
}

/// `net/netfilter/nf_conntrack_expect.c: nf_ct_expect_related_report`, 2.6.32
/// to 7.3.
fn expectations_full(line: &[u8]) -> Option<Message> {
    (line == b"nf_conntrack: expectation table full").then_some(Message::ExpectationsFull)
}

/// - 2.4, `net/core/utils.c`: `NET: 37 messages suppressed.`
/// - 2.6.18, `kernel/printk.c`: `printk: 5990 messages suppressed.`
/// - 2.6.32, `lib/ratelimit.c`: `__ratelimit: 510 callbacks suppressed`
/// - later, the same: `net_ratelimit: 510 callbacks suppressed`
///
/// All network messages share one limit.
fn suppressed(line: &[u8]) -> Option<Message> {
    let messages = b" messages suppressed.".as_slice();
    let callbacks = b" callbacks suppressed".as_slice();
    let (limiter, rest, end) = [
        (b"NET: ".as_slice(), Limiter::NetTokens, messages),
        (b"printk: ", Limiter::PrintkTokens, messages),
        (b"__ratelimit: ", Limiter::Interval, callbacks),
        (b"net_ratelimit: ", Limiter::Interval, callbacks),
    ]
    .into_iter()
    .find_map(|(head, limiter, end)| Some((limiter, line.strip_prefix(head)?, end)))?;
    let (messages, rest) = number(rest)?;
    (rest == end).then_some(Message::Suppressed { messages, limiter })
}

fn has(line: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(line, needle).is_some()
}

/// The decimal number a text begins with, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}
